"""Commits offsets for an empty group: looked at and journalled before, read back after, one partition at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kcfix.core.journal import Recorder
from kcfix.core.offsets import Committed, TopicPartition
from kcfix.core.ports.kafka import KafkaPort
from kcfix.errors import KcfixError, Refused, Unreachable

NO_WORDS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OffsetCommit:
    """What is to be committed on one partition, and what the plan found there."""

    partition: TopicPartition
    before: int | None
    """The committed offset that the plan rests on; None: nothing was committed. Another one is not overwritten."""
    offset: int


def commit_offsets(
    kafka: KafkaPort,
    group: str,
    commits: Iterable[OffsetCommit],
    journal: Recorder,
    steps: list[str],
    *,
    words: Mapping[str, object] = NO_WORDS,
) -> str | None:
    """Commit each that differs from what stands; None when all stand, else why the first that does not stand failed.

    `steps` gets one line a partition, with the old offset, from the moment that it may have had an effect. A commit
    that was not answered counts as made if it reads back. `words` go into the journal with each step.

    Raises:
        Refused: the journal can't be written; this partition and the following ones are as they were.
    """
    for commit in commits:
        if commit.before == commit.offset:
            continue
        why = _commit(kafka, group, commit, journal, steps, words)
        if why is not None:
            return f"{commit.partition} could not be committed: {why}"
    return None


def _commit(
    kafka: KafkaPort,
    group: str,
    commit: OffsetCommit,
    journal: Recorder,
    steps: list[str],
    words: Mapping[str, object],
) -> str | None:
    try:
        changed = changed_since(kafka, group, commit)
    except KcfixError as error:
        return error.message
    if changed is not None:
        return changed
    old = offset_text(commit.before)
    step = journal.intend(
        {
            "step": "commit",
            "group": group,
            "topic": commit.partition.topic,
            "partition": commit.partition.partition,
            "committed_offset_before": commit.before,
            "committed_offset": commit.offset,
            **words,
        }
    )
    steps.append(f"commit {commit.partition} at {commit.offset} (before: {old}): begun")
    failed: KcfixError | None = None
    try:
        kafka.commit(group, {commit.partition: commit.offset})
    except KcfixError as error:
        failed = error
    stands, otherwise = _stands(kafka, group, commit)
    journal.done(step, {"ok": stands, "error": failed.message if failed and not stands else otherwise})
    if stands:
        steps[-1] = f"committed {commit.partition} at {commit.offset} (before: {old})"
        return None
    why = failed.message if failed else otherwise or "it reads back otherwise"
    if isinstance(failed, Refused):
        steps.pop()
    else:
        steps[-1] = f"commit {commit.partition} at {commit.offset} (before: {old}): {why}"
    return why


def _committed(kafka: KafkaPort, group: str, partition: TopicPartition) -> Committed:
    return kafka.committed([group]).get(group, {}).get(partition, Committed(None))


def changed_since(kafka: KafkaPort, group: str, commit: OffsetCommit) -> str | None:
    """Why the committed offset is no longer the one that the plan rests on; None if it still is.

    Raises:
        Unreachable: it can't be told.
    """
    found = _committed(kafka, group, commit.partition)
    if found.error is not None:
        raise Unreachable(f"its committed offset: {found.error}", system="kafka")
    if found.offset == commit.before:
        return None
    return (
        f"its committed offset is {offset_text(found.offset)} now and was {offset_text(commit.before)} when this was "
        "planned: somebody else commits there"
    )


def _stands(kafka: KafkaPort, group: str, commit: OffsetCommit) -> tuple[bool | None, str | None]:
    """Whether the offset reads back as committed, and if not how; None where that can't be told."""
    try:
        found = _committed(kafka, group, commit.partition)
    except Unreachable as error:
        return None, error.message
    if found.error is not None:
        return None, found.error
    offset = found.offset
    return offset == commit.offset, None if offset == commit.offset else f"it reads back as {offset_text(offset)}"


def offset_text(offset: int | None) -> str:
    """A committed offset in words."""
    return "nothing" if offset is None else str(offset)

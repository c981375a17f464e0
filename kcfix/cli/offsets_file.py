"""`kcfix offsets export` and `import`: committed offsets in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kcfix import __version__
from kcfix.cli.offsets_move import move_sources
from kcfix.core.move.offsets_file import offsets_text, read_offsets
from kcfix.core.move.read import TopicChoice, read_lags
from kcfix.core.move.target import Target, TargetKind
from kcfix.core.offsets import TopicPartition
from kcfix.errors import Refused, Unreachable, UsageError
from kcfix.render.view import Cell, Text, View
from kcfix.services import Services


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file says."""

    committed: Mapping[TopicPartition, int]
    choices: tuple[TopicChoice, ...]


def export_file(group: str, topics: Sequence[TopicChoice], file: str, services: Services) -> View:
    """Write what the group has committed.

    Raises:
        NotFound, Unreachable: it can't be read. UsageError: the file can't be written.
    """
    from kcfix.services.text_file import write_text

    found, _, lags = read_lags(group, topics, move_sources(services))
    if found.error is not None:
        raise Unreachable(f"group {group}: {found.error}", system="kafka")
    cluster = services.kafka.cluster().cluster_id
    try:
        text = offsets_text(group, cluster, lags, at=services.now(), version=__version__)
    except ValueError as error:
        raise Unreachable(str(error), system="kafka") from error
    write_text(file, text)
    bare = sum(1 for lag in lags if lag.committed_offset is None)
    told = f"{len(lags)} partitions of group {group} in {file}"
    return View(
        schema="offsets-export",
        sections=(Text((told, *([Cell(f"on {bare} of them nothing is committed")] if bare else []))),),
        data=[
            {
                "topic": lag.partition.topic,
                "partition": lag.partition.partition,
                "committed_offset": lag.committed_offset,
                "log_start_offset": lag.log_start_offset,
                "log_end_offset": lag.log_end_offset,
            }
            for lag in lags
        ],
        summary={"group": group, "cluster_id": cluster, "file": file, "partitions": len(lags)},
        next=(f"kcfix offsets import --group {group} {file}",),
        ids=(file,),
    )


def import_target(group: str, file: str, services: Services) -> tuple[Target, Imported]:
    """The target that a file names.

    Raises:
        UsageError: it can't be read, or is of another group. Refused: it is of another cluster.
    """
    from kcfix.services.text_file import read_text

    saved = read_offsets(read_text(file), file)
    if saved.group not in (None, group):
        raise UsageError(f"{file} holds offsets of group {saved.group}, not of {group}")
    if saved.cluster_id is not None:
        here = services.kafka.cluster().cluster_id
        if here != saved.cluster_id:
            raise Refused(
                f"{file} is of cluster {saved.cluster_id}, and this is {here or 'one that does not say which'}"
            )
    numbers: dict[str, list[int]] = {}
    for tp in sorted(saved.offsets):
        numbers.setdefault(tp.topic, []).append(tp.partition)
    named = tuple(TopicChoice(topic, tuple(found)) for topic, found in numbers.items())
    committed = {tp: offset for tp, offset in saved.offsets.items() if offset is not None}
    return Target(TargetKind.FILE, file), Imported(committed, named)

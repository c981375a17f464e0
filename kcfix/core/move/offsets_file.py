"""Committed offsets in a file: as kcfix exports them, and as Kafka's own command does."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.offsets import PartitionLag, TopicPartition
from kcfix.errors import UsageError

SCHEMA = "kcfix.offsets-file/v1"


@dataclass(frozen=True, slots=True)
class SavedOffsets:
    """What a file says."""

    group: str | None
    """None: a file of Kafka's own command that does not name it."""
    cluster_id: str | None
    """None: not known, or not in the file."""
    offsets: Mapping[TopicPartition, int | None]
    """None: nothing was committed there."""


def offsets_text(
    group: str, cluster_id: str | None, lags: Iterable[PartitionLag], *, at: datetime, version: str
) -> str:
    """The file: JSON with a hash over everything else, so that a changed one is known.

    Raises:
        ValueError: what a partition has committed is unknown.
    """
    rows = []
    for lag in lags:
        if lag.error is not None:
            raise ValueError(f"{lag.partition}: {lag.error}")
        rows.append(
            {
                "topic": lag.partition.topic,
                "partition": lag.partition.partition,
                "committed_offset": lag.committed_offset,
                "log_start_offset": lag.log_start_offset,
                "log_end_offset": lag.log_end_offset,
            }
        )
    body: dict[str, object] = {
        "schema": SCHEMA,
        "kcfix": version,
        "exported_at": at.isoformat(),
        "cluster_id": cluster_id,
        "group": group,
        "offsets": rows,
    }
    return json.dumps({**body, "sha256": _digest(body)}, indent=2) + "\n"


def read_offsets(text: str, name: str) -> SavedOffsets:
    """The offsets in a file: kcfix's JSON, or the lines `[group,]topic,partition,offset` of kafka-consumer-groups.

    Raises:
        UsageError: it is neither, or was changed since it was written. Nothing was asked.
    """
    found = _json(text, name) if text.lstrip().startswith("{") else _lines(text, name)
    if not found.offsets:
        raise UsageError(f"{name} names no partition")
    return found


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _json(text: str, name: str) -> SavedOffsets:
    try:
        body = json.loads(text)
        if not isinstance(body, dict) or body.get("schema") != SCHEMA:
            raise UsageError(f"{name} is no file of `kcfix offsets export`")
        told = body.pop("sha256", None)
        if told != _digest(body):
            raise UsageError(f"{name} was changed since it was written: its hash is another")
        offsets: dict[TopicPartition, int | None] = {}
        for row in body["offsets"]:
            offset = row["committed_offset"]
            offsets[_partition(row["topic"], row["partition"])] = None if offset is None else _number(offset)
        cluster = body["cluster_id"]
        return SavedOffsets(str(body["group"]), None if cluster is None else str(cluster), offsets)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(f"{name} can't be read as a file of `kcfix offsets export`") from None


def _lines(text: str, name: str) -> SavedOffsets:
    groups: set[str] = set()
    offsets: dict[TopicPartition, int | None] = {}
    try:
        for row in csv.reader(text.lstrip("\ufeff").splitlines(), strict=True):
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) == 4:
                groups.add(cells.pop(0))
            topic, number, offset = cells
            offsets[_partition(topic, int(number))] = _number(int(offset))
    except (ValueError, csv.Error):
        raise UsageError(f"{name} is neither kcfix's export nor lines `[group,]topic,partition,offset`") from None
    if len(groups) > 1:
        raise UsageError(f"{name} holds offsets of {len(groups)} groups; one at a time")
    return SavedOffsets(next(iter(groups), None), None, offsets)


def _partition(topic: object, number: object) -> TopicPartition:
    if not isinstance(topic, str) or not topic:
        raise ValueError("a topic is a name")
    return TopicPartition(topic, _number(number))


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError("no number of a partition or an offset")
    return value

"""Committed offsets in a file."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from kcfix.core.move.offsets_file import SavedOffsets, offsets_text, read_offsets
from kcfix.core.offsets import TopicPartition
from kcfix.errors import UsageError
from tests.core.test_pin import TP, lag

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def exported() -> str:
    return offsets_text("g", "cluster-1", [lag(0, 9, 7)], at=NOW, version="0")


def test_what_is_written_is_read() -> None:
    assert read_offsets(exported(), "f") == SavedOffsets("g", "cluster-1", {TP: 7})
    bare = offsets_text("g", None, [lag(0, 9)], at=NOW, version="0")
    assert read_offsets(bare, "f") == SavedOffsets("g", None, {TP: None})


def test_an_unknown_offset_is_not_written_as_none_committed() -> None:
    with pytest.raises(ValueError, match="no leader"):
        offsets_text("g", None, [lag(0, 9, error="no leader")], at=NOW, version="0")


def test_a_file_that_was_changed_is_refused() -> None:
    with pytest.raises(UsageError, match="was changed"):
        read_offsets(exported().replace('"committed_offset": 7', '"committed_offset": 9'), "f")


@pytest.mark.parametrize(
    ("text", "group"),
    [("t,0,5\nt,1,6\n", None), ("g,t,0,5\r\n\r\ng,t,1,6\r\n", "g"), ('\ufeff"g","t",0,5\n"g","t",1,6', "g")],
)
def test_the_lines_of_kafka_s_own_command_are_read(text: str, group: str | None) -> None:
    assert read_offsets(text, "f") == SavedOffsets(group, None, {TopicPartition("t", 0): 5, TopicPartition("t", 1): 6})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "t,0",
        "t,x,5",
        "t,0,-1",
        "t,-1,0",
        "a,t,0,5\nb,t,0,6",
        "\x00,0,1\n\x00",
        '"t,0,5',
        json.dumps({"schema": "kcfix.offsets-file/v1"}),
    ],
)
def test_what_is_no_such_file_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError):
        read_offsets(text, "f")

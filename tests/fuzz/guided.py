"""Fuzzing that is guided by coverage, with atheris, which is not part of the development environment.

`pip install atheris` into an environment that has kcfix, then `python -m tests.fuzz.guided -max_total_time=600 FOLDER`,
FOLDER being where inputs are kept.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

with atheris.instrument_imports(include=["kcfix"]):
    from kcfix.adapters.docker_log import exactly, framed_lines, frames
    from kcfix.adapters.kafka_batches import UnreadableBatchError, decode, unpacked, walk
    from kcfix.clean import clean
    from kcfix.core.events import Record, parse_dead_letter, parse_event
    from kcfix.core.logs import parse as logparse
    from kcfix.core.offsets import TopicPartition
    from kcfix.core.workers import RawLine, Stream
    from kcfix.errors import Unreachable

WHERE = TopicPartition("t", 0)
AT = datetime(2026, 1, 15, tzinfo=UTC)


def one(data: bytes) -> None:
    """The same bytes as a piece of log, as a message, as Docker's stream and as a line."""
    try:
        for batch in walk(memoryview(data)):
            for record in decode(batch, WHERE):
                parse_event(record)
                parse_dead_letter(record)
            unpacked(batch)
    except UnreadableBatchError:
        pass
    with suppress(Unreachable):
        list(framed_lines("w", frames(exactly([data]))))
    record = Record("t", 0, 0, AT, None, data, ())
    parse_event(record)
    parse_dead_letter(record)
    text = data.decode("utf-8", "replace")
    entry = logparse.parse(RawLine("w", AT, Stream.STDOUT, text))
    logparse.payment_of(entry)
    logparse.offset_of(entry)
    logparse.error_of(entry)
    if clean(clean(text)) != clean(text):
        raise AssertionError(text)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()

r"""The bytes of Docker's log stream as lines.

Without a terminal every message comes as a frame: one byte for the stream, three empty, four for the length. A frame is
a message with its timestamp in front; one that does not end in a line feed is a piece of a line longer than 16 KiB,
and the next frame of the same stream goes on with it, *with a timestamp of its own* in front. With a terminal there are
no frames, only the bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from kcfix.adapters.docker_inspect import docker_time
from kcfix.core.workers import RawLine, Stream
from kcfix.errors import Unreachable

PIECE = 16 * 1024
"""Docker cuts longer lines into pieces of this size."""
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) ?")
_PIECES = re.compile(rb"[^\n]*\n|[^\n]+")
_HEADER = struct.Struct(">BxxxL")
_ENGINE_ERROR = 3
_LONGEST = 64
"""Pieces (1 MiB) that are kept of one line; what follows is dropped, so that no container can fill the memory."""
_EPOCH = datetime.fromtimestamp(0, UTC)

Read = Callable[[int], bytes]
"""Gives up to that many bytes, waiting for them; fewer only at the end of the stream."""


def exactly(chunks: Iterable[bytes]) -> Read:
    """A read over chunks of any size."""
    source = iter(chunks)
    rest = bytearray()

    def read(size: int) -> bytes:
        while len(rest) < size and (chunk := next(source, None)) is not None:
            rest.extend(chunk)
        taken = bytes(rest[:size])
        del rest[:size]
        return taken

    return read


def frames(read: Read) -> Iterator[tuple[Stream, bytes]]:
    """The messages of a multiplexed stream, in order. A frame that is cut off at the end is given as far as it goes.

    Raises:
        Unreachable: the engine put an error of its own into the stream.
    """
    while len(header := read(_HEADER.size)) == _HEADER.size:
        kind, length = _HEADER.unpack(header)
        body = read(length) if length else b""
        if kind == _ENGINE_ERROR:
            text = body.decode(errors="replace").strip()
            raise Unreachable(f"Docker broke off the log: {text}", system="docker")
        yield (Stream.STDERR if kind == 2 else Stream.STDOUT), body
        if len(body) < length:
            return


def framed_lines(container: str, messages: Iterable[tuple[Stream, bytes]]) -> Iterator[RawLine]:
    """The lines of framed messages; pieces of a line are put together under the time of the first."""
    open_lines: dict[Stream, tuple[datetime, list[bytes]]] = {}
    clock = _EPOCH
    for stream, message in messages:
        for piece in _PIECES.findall(message):
            stamp, text = _stamped(piece)
            clock = stamp or clock
            when, pieces = open_lines.pop(stream, (clock, []))
            if len(pieces) < _LONGEST:
                pieces.append(text)
            if text.endswith(b"\n"):
                yield _line(container, when, stream, b"".join(pieces))
            else:
                open_lines[stream] = (when, pieces)
    for stream, (when, pieces) in open_lines.items():
        yield _line(container, when, stream, b"".join(pieces))


def terminal_lines(container: str, chunks: Iterable[bytes]) -> Iterator[RawLine]:
    """The lines of a container with a terminal: one stream, no frames."""
    rest = b""
    clock = _EPOCH
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            clock, text = _unpieced(line, clock)
            yield _line(container, clock, Stream.STDOUT, text)
    if rest:
        clock, text = _unpieced(rest, clock)
        yield _line(container, clock, Stream.STDOUT, text)


def _unpieced(line: bytes, clock: datetime) -> tuple[datetime, bytes]:
    """A line's first timestamp and its text, without the timestamps in front of its further pieces."""
    stamp, text = _stamped(line)
    pieces = []
    while len(text) > PIECE and _STAMP.match(text, PIECE):
        pieces.append(text[:PIECE])
        _, text = _stamped(text[PIECE:])
    return stamp or clock, b"".join([*pieces, text])


def _stamped(message: bytes) -> tuple[datetime | None, bytes]:
    match = _STAMP.match(message)
    if match is None:
        return None, message
    return docker_time(match[1].decode()), message[match.end() :]


def _line(container: str, when: datetime, stream: Stream, text: bytes) -> RawLine:
    return RawLine(container, when, stream, text.removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace"))

"""A member of the newer consumer group protocol (KIP-848), which no library here speaks: one heartbeat by hand."""

from __future__ import annotations

import socket
import struct
import uuid

CONSUMER_GROUP_HEARTBEAT = 68


def join_by_heartbeat(port: int, group: str, topic: str) -> None:
    """Join the group; the coordinator keeps the member for its session timeout (45 s by default)."""
    body = b"".join(
        (
            _text(group),
            _text(str(uuid.uuid4())),
            struct.pack(">i", 0),  # epoch 0: join
            b"\x00\x00",  # no instance id, no rack
            struct.pack(">i", 60_000),  # rebalance time-out
            b"\x02",  # one topic
            _text(topic),
            b"\x00\x00",  # no pattern, the broker's own assignor
            b"\x01",  # owns no partition yet
            b"\x00",  # no tags
        )
    )
    header = struct.pack(">hhih", CONSUMER_GROUP_HEARTBEAT, 1, 1, -1) + b"\x00"
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        size = struct.unpack(">i", line.recv(4))[0]
        answer = b""
        while len(answer) < size:
            answer += line.recv(size - len(answer))
    error = struct.unpack_from(">h", answer, 9)[0]  # after correlation id, tags, throttle time
    assert error == 0, f"the broker answered error {error}"


def _text(text: str) -> bytes:
    raw = text.encode()
    assert len(raw) < 127
    return bytes([len(raw) + 1]) + raw

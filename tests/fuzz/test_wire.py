"""Bytes of a broker and of an engine that are not what they should be: the adapters' own errors, and no others."""

from __future__ import annotations

import gzip
import json
import socket
import struct
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcfix.adapters import kafka_protocol
from kcfix.adapters.docker_inspect import container_of, docker_time, event_of, shaped
from kcfix.adapters.docker_log import exactly, framed_lines, frames, terminal_lines
from kcfix.adapters.kafka_address import Deadline
from kcfix.adapters.kafka_batches import UnreadableBatchError, decode, skim, unpacked, walk
from kcfix.adapters.kafka_errors import LinkError
from kcfix.adapters.kafka_net import Connection
from kcfix.adapters.kafka_security import Security
from kcfix.core.offsets import TopicPartition
from kcfix.errors import Unreachable
from tests.fuzz.strange import altered, fuzzed, mangled, texts, values

WHERE = TopicPartition("t", 1)


def _batch() -> bytes:
    builder = kafka_protocol.DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for n in range(3):
        builder.append(n, 1_768_478_400_000 + n, b"key%d" % n, b"value" * n, [("eventId", b"e%d" % n), ("h", None)])
    return bytes(builder.build())


def _gzipped() -> bytes:
    raw = bytearray(_batch())
    raw = raw[:61] + gzip.compress(bytes(raw[61:]))
    struct.pack_into(">i", raw, 8, len(raw) - 12)
    struct.pack_into(">h", raw, 21, 1)
    return bytes(raw)


def _old(magic: int) -> bytes:
    from kafka.record.legacy_records import LegacyRecordBatchBuilder

    builder = LegacyRecordBatchBuilder(magic=magic, compression_type=0, batch_size=1 << 20)
    for n in range(2):
        builder.append(n, timestamp=1_768_478_400_000, key=b"k", value=b"v" * n)
    return bytes(builder.build())


BATCHES = (_batch() * 2, _gzipped(), _old(0), _old(1))


@fuzzed(60)
@given(st.sampled_from(BATCHES).flatmap(mangled))
def test_a_mangled_batch_gives_records_or_is_unreadable(data: bytes) -> None:
    try:
        assert len(skim(data, 5).data) == len(data)
        for batch in walk(memoryview(data)):
            assert batch.magic < 2 or sum(1 for _ in decode(batch, WHERE)) <= max(0, batch.count)
            unpacked(batch)
    except UnreadableBatchError as error:
        assert str(error)  # noqa: PT017 - any other exception fails the test


class _Line(socket.socket):
    """A socket from which these bytes come, and then the end."""

    def __init__(self, data: bytes) -> None:
        super().__init__(socket.AF_UNIX)
        self._data = memoryview(data)

    def settimeout(self, value: float | None) -> None:
        pass

    def sendall(self, data: Any, flags: int = 0) -> None:
        pass

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        count = min(len(buffer), len(self._data))
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count


REQUESTS = (
    ("ApiVersionsRequest", {"version": 3, "client_software_name": "k", "client_software_version": "1"}),
    ("ApiVersionsRequest", {"version": 0}),
    ("MetadataRequest", {"version": 12}),
    ("MetadataRequest", {"version": 4}),
    ("ListGroupsRequest", {"version": 4}),
    ("DescribeGroupsRequest", {"version": 5}),
    ("OffsetFetchRequest", {"version": 8}),
    ("OffsetCommitRequest", {"version": 8}),
    ("FindCoordinatorRequest", {"version": 4}),
    ("ListOffsetsRequest", {"version": 7}),
    ("FetchRequest", {"version": 12}),
    ("ProduceRequest", {"version": 9}),
    ("InitProducerIdRequest", {"version": 4}),
    ("DescribeConfigsRequest", {"version": 4}),
    ("SaslHandshakeRequest", {"version": 1}),
    ("SaslAuthenticateRequest", {"version": 2}),
)


@cache
def _request(number: int) -> Any:
    name, fields = REQUESTS[number]
    return getattr(kafka_protocol, name)(**fields)


@fuzzed(80)
@given(st.integers(0, len(REQUESTS) - 1), st.binary(max_size=80), st.booleans())
def test_an_answer_of_random_bytes_is_an_answer_or_no_kafka(number: int, body: bytes, flexible: bool) -> None:
    _receive(number, struct.pack(">i", 1) + (b"\0" if flexible else b"") + body)


@fuzzed(60)
@given(st.integers(0, len(REQUESTS) - 1), st.sampled_from([b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\x0f"]), st.data())
def test_a_huge_length_in_an_answer_takes_no_memory(number: int, huge: bytes, data: st.DataObject) -> None:
    before = data.draw(st.binary(max_size=12))
    _receive(number, struct.pack(">i", 1) + before + huge + data.draw(st.binary(max_size=12)))


def _receive(number: int, frame: bytes) -> None:
    line = _Line(struct.pack(">i", len(frame)) + frame)
    connection = Connection("broker:9092", "broker", line, "test", Security({}))
    try:
        connection.ask(_request(number), Deadline(5))
    except LinkError as error:
        assert str(error)  # noqa: PT017 - any other exception fails the test
        assert connection.closed
    finally:
        line.close()


INSPECTED: dict[str, Any] = {
    "Id": "0123456789abcdef",
    "Name": "/kc-purchase-worker",
    "Image": "sha256:1",
    "Created": "2026-01-15T11:00:00.123456789Z",
    "RestartCount": 1,
    "State": {
        "Status": "running",
        "StartedAt": "2026-01-15T11:00:00Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "ExitCode": 0,
        "OOMKilled": False,
        "Health": {"Status": "healthy"},
    },
    "Config": {
        "Image": "w",
        "Env": ["A=b"],
        "Labels": {"com.docker.compose.service": "purchase-worker"},
        "Healthcheck": {"Test": ["CMD", "x"]},
    },
    "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}, "Memory": 5},
    "NetworkSettings": {
        "Networks": {"n": {"IPAddress": "172.18.0.2", "Aliases": ["a"], "DNSNames": ["d"]}},
        "Ports": {"9092/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9092"}]},  # noqa: S104
    },
}
EVENT: dict[str, Any] = {
    "Action": "die",
    "timeNano": 1_768_478_400_000_000_000,
    "Actor": {"Attributes": {"name": "w", "exitCode": "137", "signal": "9"}},
}


@fuzzed(60)
@given(altered(INSPECTED))
def test_a_strange_inspect_is_a_container_or_no_docker(facts: Any) -> None:
    try:
        found = shaped(lambda: container_of(facts, None))
    except ValueError:
        return
    json.dumps(found.labels)
    assert found.exit_code is None or isinstance(found.exit_code, int)
    assert all(isinstance(text, str) for text in (found.id, found.name, found.image, *found.aliases))


@fuzzed(40)
@given(altered(EVENT))
def test_a_strange_event_is_an_event_or_nothing(facts: Any) -> None:
    try:
        shaped(lambda: event_of(facts))
    except ValueError as error:
        assert str(error)  # noqa: PT017 - any other exception fails the test


@fuzzed(60)
@given(values | texts)
def test_a_strange_time_is_no_time(value: Any) -> None:
    assert docker_time(value) is None or isinstance(value, str)


@fuzzed(80)
@given(st.data())
def test_a_mangled_log_gives_lines_or_is_broken_off(data: st.DataObject) -> None:
    message = b"2026-01-15T12:00:00.000000001Z hello\x1b[31m\n"
    whole = b"".join(struct.pack(">BxxxL", n, len(message)) + message for n in (1, 2, 1))
    raw = data.draw(mangled(whole) | st.binary(max_size=60))
    cut = data.draw(st.integers(1, 40))
    pieces = [raw[n : n + cut] for n in range(0, len(raw), cut)]
    try:
        framed = list(framed_lines("w", frames(exactly(pieces))))
    except Unreachable:
        framed = []
    assert all(line.timestamp.tzinfo for line in [*framed, *terminal_lines("w", pieces)])


@pytest.mark.parametrize("size", [-1, 0, 3, 2**31 - 1])
def test_an_answer_of_no_size_is_no_kafka(size: int) -> None:
    connection = Connection("broker:9092", "broker", _Line(struct.pack(">i", size)), "test", Security({}))
    with pytest.raises(LinkError):
        connection.ask(_request(1), Deadline(5))

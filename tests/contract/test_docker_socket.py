"""The adapter on engines that are not there, hang, talk nonsense, or stop in the middle: a socket that plays them."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.adapters.docker import open_docker
from kcfix.adapters.docker_inspect import container_of, docker_time
from kcfix.adapters.docker_log import exactly, framed_lines, frames, terminal_lines
from kcfix.core.ports.docker import DockerPort
from kcfix.core.workers import Stream
from kcfix.errors import AccessDenied, NotFound, OutcomeUnknown, Refused, Unreachable, UsageError

TIMEOUT = 0.4
"""Of tests in which it passes."""
PATIENCE = 20.0
"""Of the others: a busy machine must not fail them."""
Answer = bytes | None
"""What is sent back; None: nothing, for ever. b"" closes the connection."""


def reply(body: object, status: str = "200 OK") -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text


PING = reply(b"OK")


class Engine:
    """A server on a socket that answers each path as it is told; `/_ping` is answered unless it is told otherwise."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.answers: dict[str, Answer] = {"/_ping": PING}
        self.trickling: set[str] = set()
        """Paths whose answer comes byte by byte; of a stream, what follows its head."""
        self.cut: set[str] = set()
        """Paths after whose answer the line is closed."""
        self.asked: list[str] = []
        self._open: list[socket.socket] = []
        self._ports: list[DockerPort] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(20)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while request := connection.recv(65536):
                method, path = request.decode().split()[:2]
                path = path.removeprefix("/v1.41").partition("?")[0]
                self.asked.append(f"{method} {path}")
                answer = self.answers.get(path, reply({"message": f"no {path}"}, "404 Not Found"))
                if answer is None:
                    continue
                if path in self.trickling:
                    head = answer.find(b"\r\n\r\n") if b"chunked" in answer else 0
                    connection.sendall(answer[:head])
                    for byte in answer[head:]:
                        connection.sendall(bytes([byte]))
                        time.sleep(TIMEOUT / 8)
                connection.sendall(answer)
                if path in self.cut or not answer or (b"Content-Length" not in answer and b"chunked" not in answer):
                    connection.shutdown(socket.SHUT_RDWR)
                    return

    def open(self, timeout: float = PATIENCE) -> DockerPort:
        """The adapter on this engine."""
        self._ports.append(open_docker(self.url, timeout))
        return self._ports[-1]

    def close(self) -> None:
        for port in self._ports:
            port.close()
        for one in (self._listener, *self._open):
            one.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    started = Engine(tmp_path / "d.sock")
    yield started
    started.close()


READS: Mapping[str, Callable[[DockerPort], object]] = {
    "containers": lambda d: d.containers(),
    "inspect": lambda d: d.inspect("x"),
    "logs": lambda d: list(d.logs("x")),
    "now": lambda d: d.now(),
}
CHANGES: Mapping[str, Callable[[DockerPort], object]] = {
    "stop": lambda d: d.stop("x", grace=timedelta(0)),
    "start": lambda d: d.start("x"),
    "restart": lambda d: d.restart("x", grace=timedelta(0)),
}
PATHS = ("/containers/json", "/containers/x/json", "/info", "/containers/x/stop", "/containers/x/start")


def test_no_socket_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"no Docker socket at unix://.*/none.sock") as caught:
        open_docker(f"unix://{tmp_path}/none.sock", TIMEOUT)
    assert caught.value.hint is not None


def test_a_socket_that_nobody_listens_on_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "d.sock"))
    with pytest.raises(Unreachable, match="does not run: connection refused"):
        open_docker(f"unix://{tmp_path}/d.sock", TIMEOUT)


@pytest.mark.parametrize("host", ["foo://x", "ssh://somewhere", "npipe:////./pipe/docker_engine", "unix"])
def test_a_host_that_makes_no_sense_is_wrong_usage(host: str) -> None:
    with pytest.raises((UsageError, Unreachable)):
        open_docker(host, TIMEOUT)


def test_an_engine_that_accepts_and_never_answers_is_given_up_in_time(engine: Engine) -> None:
    engine.answers["/_ping"] = None
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"did not answer within 0\.4 s \(connecting\)"):
        engine.open(TIMEOUT)
    assert time.monotonic() - began < TIMEOUT * 5


@pytest.mark.parametrize("read", READS)
def test_every_read_ends_when_the_engine_hangs_later(engine: Engine, read: str) -> None:
    for path in PATHS:
        engine.answers[path] = None
    docker = engine.open(TIMEOUT)
    with pytest.raises(Unreachable, match="did not answer within"):
        READS[read](docker)


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH\r\n", b"", reply(b"<html>"), reply(["x"]), reply(5), reply([{"Id": {}}, None])],
    ids=["ssh", "closed", "html", "list", "number", "half a list"],
)
@pytest.mark.parametrize("read", READS)
def test_nonsense_is_no_answer(engine: Engine, read: str, answer: bytes) -> None:
    for path in PATHS:
        engine.answers[path] = answer
    docker = engine.open()
    with pytest.raises(Unreachable):
        READS[read](docker)


@pytest.mark.parametrize("read", READS)
def test_an_engine_in_trouble_is_quoted(engine: Engine, read: str) -> None:
    for path in PATHS:
        engine.answers[path] = reply({"message": "disk\nfull"}, "500 Internal Server Error")
    with pytest.raises(Unreachable, match="disk full"):
        READS[read](engine.open())


def test_an_answer_that_trickles_is_given_up_in_time(engine: Engine) -> None:
    engine.answers["/info"] = reply({"SystemTime": "2026-01-15T12:00:00Z"})
    engine.trickling.add("/info")
    docker = engine.open(TIMEOUT)
    with pytest.raises(Unreachable, match=r"did not answer within 0\.4 s \(asking for its clock\)"):
        docker.now()


def test_a_log_that_trickles_is_given_up_in_time(engine: Engine) -> None:
    engine.answers["/containers/x/json"] = reply({"Id": "x", "Name": "/left", "Config": {}})
    engine.answers["/containers/x/logs"] = chunked(frame("one " * 100 + "\n"))
    docker = engine.open(TIMEOUT)
    engine.trickling.add("/containers/x/logs")
    with pytest.raises(Unreachable, match=r"did not answer within 0\.4 s \(reading the log"):
        list(docker.logs("x"))


def test_a_first_answer_that_trickles_is_given_up_in_time(engine: Engine) -> None:
    engine.trickling.add("/_ping")
    with pytest.raises(Unreachable, match=r"did not answer within 0\.4 s \(connecting\)"):
        engine.open(TIMEOUT)


def test_something_else_that_listens_there_is_told_in_words(engine: Engine) -> None:
    engine.answers["/_ping"] = b"SSH-2.0-OpenSSH\r\n"
    with pytest.raises(Unreachable, match="what it answers is not Docker's"):
        engine.open()


def test_an_answer_that_breaks_off_is_told_in_words(engine: Engine) -> None:
    engine.answers["/containers/json"] = reply([{"Id": "x"}])[:-3]
    docker = engine.open()
    engine.cut.add("/containers/json")
    with pytest.raises(Unreachable, match="its answer broke off"):
        docker.containers()


def test_an_engine_with_no_room_for_a_connection_is_told_in_words(tmp_path: Path) -> None:
    path = str(tmp_path / "full.sock")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        with pytest.raises(Unreachable, match="takes no connections: too many wait already"):
            open_docker(f"unix://{path}", TIMEOUT)


def test_what_forbids_the_very_first_request_is_quoted(engine: Engine) -> None:
    engine.answers["/_ping"] = reply({"message": "not for you"}, "403 Forbidden")
    with pytest.raises(AccessDenied, match=r"\(connecting\): not for you") as caught:
        engine.open()
    assert caught.value.hint is None, "to join the group docker would not help"


def test_a_proxy_that_forbids_is_access_denied(engine: Engine) -> None:
    engine.answers["/containers/json"] = reply({"message": "not for you"}, "403 Forbidden")
    with pytest.raises(AccessDenied, match="not for you"):
        engine.open().containers()


def test_a_container_that_vanished_after_it_was_listed_is_left_out(engine: Engine) -> None:
    engine.answers["/containers/json"] = reply([{"Id": "x"}, {"Id": "gone"}])
    engine.answers["/containers/x/json"] = reply({"Id": "x", "Name": "/left"})
    assert [c.name for c in engine.open().containers()] == ["left"]


def test_one_container_that_hangs_is_named(engine: Engine) -> None:
    engine.answers["/containers/json"] = reply([{"Id": "x"}, {"Id": "hung"}])
    engine.answers["/containers/x/json"] = reply({"Id": "x", "Name": "/left"})
    engine.answers["/containers/hung/json"] = None
    with pytest.raises(Unreachable, match="inspecting container hung"):
        engine.open(5 * TIMEOUT).containers()  # time enough for all that comes before it, on a busy machine


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_the_engine_denies_is_refused_with_its_reason(engine: Engine, change: str) -> None:
    engine.answers[f"/containers/x/{change}"] = reply({"message": "port is already allocated"}, "500 X")
    with pytest.raises(Refused, match="port is already allocated"):
        CHANGES[change](engine.open())


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_what_is_not_there_is_not_found(engine: Engine, change: str) -> None:
    with pytest.raises(NotFound):
        CHANGES[change](engine.open())


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_without_an_answer_is_unknown(engine: Engine, change: str) -> None:
    engine.answers[f"/containers/x/{change}"] = b""
    docker = engine.open()
    with pytest.raises(OutcomeUnknown, match="may or may not have happened"):
        CHANGES[change](docker)
    assert f"POST /containers/x/{change}" in engine.asked


def test_a_change_that_never_left_changed_nothing(engine: Engine, tmp_path: Path) -> None:
    docker = engine.open()
    engine.close()
    (tmp_path / "d.sock").unlink()
    with pytest.raises(Unreachable) as caught:
        docker.start("x")
    assert not isinstance(caught.value, OutcomeUnknown)


def chunked(*parts: bytes, ends: bool = True) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)
    return head + body + (b"0\r\n\r\n" if ends else b"")


def frame(text: str, stream: int = 1, stamp: str = "2026-01-15T12:00:00.000000001Z ") -> bytes:
    message = (stamp + text).encode()
    return struct.pack(">BxxxL", stream, len(message)) + message


def log_of(engine: Engine, answer: bytes, *, tty: bool = False) -> Iterator[Any]:
    engine.answers["/containers/x/json"] = reply({"Id": "x", "Name": "/w", "Config": {"Tty": tty}})
    engine.answers["/containers/x/logs"] = answer
    return iter(engine.open().logs("x"))


def test_frames_may_be_cut_anywhere(engine: Engine) -> None:
    whole = frame("one\n") + frame("two\n", 2)
    answer = chunked(*(whole[n : n + 3] for n in range(0, len(whole), 3)))
    assert [(line.stream, line.text) for line in log_of(engine, answer)] == [
        (Stream.STDOUT, "one"),
        (Stream.STDERR, "two"),
    ]


def test_an_error_of_the_engine_inside_the_log_is_told(engine: Engine) -> None:
    lines = log_of(engine, chunked(frame("one\n"), frame("error from daemon in stream: EOF", 3, "")))
    assert next(lines).text == "one"
    with pytest.raises(Unreachable, match="error from daemon in stream"):
        next(lines)


def test_a_log_that_stops_in_the_middle_is_told(engine: Engine) -> None:
    answer = chunked(frame("one\n"), ends=False)
    engine.answers["/containers/x/json"] = reply({"Id": "x", "Name": "/w"})
    engine.answers["/containers/x/logs"] = answer
    lines = iter(engine.open(TIMEOUT).logs("x"))
    assert next(lines).text == "one"
    with pytest.raises(Unreachable):
        next(lines)


def test_pieces_of_a_line_lose_the_times_in_between() -> None:
    piece = "x" * 16384
    messages = [
        (Stream.STDOUT, f"2026-01-15T12:00:00Z {piece}".encode()),
        (Stream.STDERR, b"2026-01-15T12:00:01Z other\n"),
        (Stream.STDOUT, b"2026-01-15T12:00:02Z end\n"),
    ]
    other, whole = framed_lines("w", messages)
    assert (other.text, whole.text) == ("other", piece + "end")
    assert whole.timestamp.second == 0


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    piece = (Stream.STDOUT, b"2026-01-15T12:00:00Z " + b"x" * 16384)
    (line,) = framed_lines("w", [piece] * 1000)
    assert len(line.text) == 64 * 16384


def test_a_terminal_log_is_split_into_lines_and_pieces() -> None:
    stamp = b"2026-01-15T12:00:00.123456789Z "
    text = stamp + b"one\r\n" + stamp + b"x" * 16384 + stamp + b"tail\r\n" + stamp + b"open"
    lines = list(terminal_lines("w", [text[n : n + 1000] for n in range(0, len(text), 1000)]))
    assert [line.text for line in lines] == ["one", "x" * 16384 + "tail", "open"]
    assert lines[0].timestamp.microsecond == 123456


def test_a_frame_that_is_cut_off_is_given_as_far_as_it_goes() -> None:
    whole = frame("one\n")
    found = list(frames(exactly([whole[:-2]])))
    assert [body for _, body in found] == [whole[8:-2]]
    assert list(frames(exactly([whole[:5]]))) == []


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00Z", None, 5, "yesterday", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_none(text: object) -> None:
    assert docker_time(text) is None


def test_a_time_with_an_offset_is_turned_to_utc() -> None:
    found = docker_time("2026-01-15T17:30:00.5+05:30")
    assert found is not None
    assert found.isoformat() == "2026-01-15T12:00:00.500000+00:00"


PORTS = {
    "9092/tcp": [{"HostIp": "0.0.0.0", "HostPort": "29092"}, {"HostIp": "::", "HostPort": "29092"}],  # noqa: S104
    "5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": "25432"}],
    "80/tcp": [{"HostIp": "10.1.2.3", "HostPort": "8080"}],
    "81/tcp": [{"HostIp": "fd00::1", "HostPort": "8081"}],
    "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "53"}],  # noqa: S104
    "7/tcp": None,
}


@pytest.mark.parametrize(
    ("engine_host", "published"),
    [
        (None, {9092: "127.0.0.1:29092", 5432: "127.0.0.1:25432", 80: "10.1.2.3:8080", 81: "[fd00::1]:8081"}),
        ("ops.example", {9092: "ops.example:29092", 80: "10.1.2.3:8080", 81: "[fd00::1]:8081"}),
    ],
)
def test_a_published_port_is_where_it_is_reached_from_here(
    engine_host: str | None, published: Mapping[int, str]
) -> None:
    assert container_of({"NetworkSettings": {"Ports": PORTS}}, engine_host).published == published


def test_an_inspect_with_nothing_in_it_is_a_container_of_unknown_state() -> None:
    found = container_of({"Id": "x", "State": None, "Config": None, "NetworkSettings": None}, None)
    assert (found.state, found.started_at, found.labels) == ("UNKNOWN", None, {})

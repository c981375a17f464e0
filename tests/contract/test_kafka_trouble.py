"""What the adapter says of brokers that are not there, hang, hang up or are none: at once, or by the deadline."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kcfix.adapters import kafka_protocol
from kcfix.adapters.kafka import open_kafka
from kcfix.adapters.kafka_address import AddressMap, parse_address, parse_addresses
from kcfix.core.ports.kafka import KafkaPort
from kcfix.errors import KcfixError, Obstacle, Unreachable, UsageError

Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A listener that does something with each connection; gives its address."""
    closing = contextlib.ExitStack()

    def start(do: Callable[[socket.socket], None]) -> str:
        listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = listener.accept()
                    closing.enter_context(line)
                    do(line)

        thread = threading.Thread(target=accept)
        thread.start()
        closing.callback(thread.join, 5)
        closing.callback(lambda: listener.shutdown(socket.SHUT_RDWR))
        return f"127.0.0.1:{listener.getsockname()[1]}"

    with closing:
        yield start


def refused() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def failure(kafka: KafkaPort) -> KcfixError:
    try:
        kafka.topics()
    except KcfixError as error:
        return error
    finally:
        kafka.close()
    pytest.fail("it answered")


def test_a_broker_that_accepts_and_never_answers_is_given_up_by_the_deadline(serve: Serve) -> None:
    address = serve(lambda line: None)
    started = time.monotonic()
    error = failure(open_kafka([address], timeout=0.5))
    assert time.monotonic() - started < 2
    assert isinstance(error, Unreachable)
    assert error.code == 4
    told = rf"asking Kafka for its topics \({address}\): {address}: connected, but no answer within 0\.(5|4\d*) s"
    assert re.fullmatch(told, error.message), "what is left of the deadline after connecting"


def test_a_refused_connection_is_told_at_once() -> None:
    address = refused()
    started = time.monotonic()
    error = failure(open_kafka([address], timeout=5))
    assert time.monotonic() - started < 1
    assert f"{address}: nothing listens there (connection refused)" in error.message


def test_a_name_that_can_not_be_resolved_is_told_as_such() -> None:
    error = failure(open_kafka(["kafka.invalid:9092"], timeout=5))
    assert "kafka.invalid:9092: a name that this host can't resolve" in error.message
    assert error.hint is not None
    assert "--address-map" in error.hint


def test_a_mapped_address_is_told_with_both_names() -> None:
    address = refused()
    error = failure(open_kafka(["kafka:9092"], address_map={"kafka:9092": address}, timeout=5))
    assert f"kafka:9092 (here {address}): nothing listens there" in error.message


def test_a_listener_that_hangs_up_may_want_tls_or_a_login(serve: Serve) -> None:
    def hang_up(line: socket.socket) -> None:
        line.recv(1000)
        line.shutdown(socket.SHUT_RDWR)

    error = failure(open_kafka([serve(hang_up)], timeout=5))
    assert "closed the connection without an answer" in error.message
    assert "TLS" in str(error.hint)


def test_a_server_of_another_kind_is_no_kafka(serve: Serve) -> None:
    def greet(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    error = failure(open_kafka([serve(greet)], timeout=5))
    assert "the answer is not Kafka's" in error.message


@pytest.mark.parametrize("answer", [b"\x00\x00\x00\x04\xff\xff\xff\xff", b"\x00\x00\x00\x05\x00\x00\x00\x01\x00"])
def test_an_answer_that_makes_no_sense_is_no_crash(serve: Serve, answer: bytes) -> None:
    error = failure(open_kafka([serve(lambda line: line.sendall(answer))], timeout=5))
    assert isinstance(error, Unreachable)


def test_tls_to_a_plain_listener_fails_with_a_reason(serve: Serve) -> None:
    def greet(line: socket.socket) -> None:
        line.sendall(b"no TLS here")

    error = failure(open_kafka([serve(greet)], timeout=5, security={"security_protocol": "SSL"}))
    assert "that listener does not speak TLS" in error.message


def test_every_address_is_tried_and_all_are_named(serve: Serve) -> None:
    hanging, closed = serve(lambda line: None), refused()
    started = time.monotonic()
    error = failure(open_kafka([hanging, closed], timeout=2))
    assert time.monotonic() - started < 4
    assert hanging in error.message
    assert f"{closed}: nothing listens there" in error.message


def test_an_unknown_login_is_a_matter_of_settings(serve: Serve) -> None:
    security = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "NONSENSE", "sasl_plain_password": "hunter2"}
    error = failure(open_kafka([serve(_versions)], timeout=5, security=security))
    assert isinstance(error, UsageError)
    assert "NONSENSE" in error.message
    assert "hunter2" not in error.message


@pytest.mark.parametrize("option", ["ssl_cafile", "ssl_certfile", "ssl_password_file"])
def test_a_file_that_is_not_there_is_a_matter_of_settings(serve: Serve, option: str) -> None:
    security = {"security_protocol": "SSL", option: "/no/such/file.pem"}
    if option == "ssl_password_file":
        security["ssl_certfile"] = __file__
    error = failure(open_kafka([serve(_versions)], timeout=5, security=security))
    assert isinstance(error, UsageError)
    assert f"{option} /no/such/file.pem: No such file" in error.message


def test_a_file_without_certificates_is_named(serve: Serve, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing\n")
    for option in ("ssl_cafile", "ssl_certfile"):
        error = failure(
            open_kafka([serve(_versions)], timeout=5, security={"security_protocol": "SSL", option: str(empty)})
        )
        assert isinstance(error, UsageError)
        assert f"{option} {empty}" in error.message


def _versions(line: socket.socket) -> None:
    """Answer ApiVersions as a broker that knows nothing but that."""
    line.recv(1000)
    body = b"\x00\x00\x00\x01" + b"\x00\x00" + b"\x02" + b"\x00\x12\x00\x00\x00\x03\x00" + b"\x00\x00\x00\x00" + b"\x00"
    line.sendall(len(body).to_bytes(4, "big") + body)


def test_failing_leaves_no_log_line_and_no_socket(caplog: pytest.LogCaptureFixture, serve: Serve) -> None:
    caplog.set_level(logging.DEBUG)
    failure(open_kafka([refused(), serve(lambda line: None)], timeout=0.5))
    assert caplog.records == []
    # An open socket would be found by pytest as a ResourceWarning, which fails the test.


def test_warnings_of_the_library_do_not_land_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    make = kafka_protocol.get_sasl_mechanism("PLAIN")  # it warns of a password that is sent in the clear
    make(security_protocol="SASL_PLAINTEXT", sasl_plain_username="u", sasl_plain_password="p")  # noqa: S106 - made up
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("kafka").handlers)
    assert capsys.readouterr() == ("", "")


def test_the_library_is_whole_for_whoever_imports_it_after_kcfix() -> None:
    program = "import kcfix.adapters.kafka, kafka; print(kafka.KafkaProducer.__name__, kafka.errors.for_code(3).errno)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("KafkaProducer 3\n", "")


def test_a_strict_process_can_load_the_adapter() -> None:
    program = "from kcfix.adapters import kafka, kafka_commit, kafka_protocol, kafka_send; kafka_protocol.codec"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_map_is_asked_once_for_an_address_that_is_needed() -> None:
    asked: list[str] = []

    class Lazy(dict[str, str]):
        def get(self, key: str, default: object = None) -> str:
            asked.append(key)
            return "127.0.0.1:49153"

    map_ = AddressMap(Lazy())
    kafka = parse_address("kafka:9092")
    assert str(map_.lead(kafka)) == str(map_.lead(kafka)) == "127.0.0.1:49153"
    assert asked == ["kafka:9092"]


@pytest.mark.parametrize("text", ["", ":9092", "kafka:x", "kafka:0", "kafka:70000"])
def test_nonsense_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


def test_a_list_of_brokers_may_be_given_in_one_text() -> None:
    assert [str(a) for a in parse_addresses(["a:1, b", "a:1"])] == ["a:1", "b:9092"]


def test_no_address_at_all_is_a_matter_of_settings() -> None:
    with pytest.raises(UsageError):
        open_kafka([" , "])


@pytest.mark.parametrize(
    ("address", "obstacle"),
    [("no-such-host.invalid:9092", Obstacle.NAME), ("refused", Obstacle.REFUSED), ("hangs", Obstacle.TIMEOUT)],
)
def test_what_stood_in_the_way_is_a_value_as_well(serve: Serve, address: str, obstacle: Obstacle) -> None:
    address = {"refused": refused(), "hangs": serve(lambda line: None)}.get(address, address)
    error = failure(open_kafka([address], timeout=1))
    assert isinstance(error, Unreachable)
    assert error.obstacle is obstacle

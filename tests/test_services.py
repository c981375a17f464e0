"""Services: what is opened when, what is asked once, and readings under a deadline."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from kcfix.core.ports.docker import DockerPort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.workers import Container
from kcfix.errors import KcfixError, NotFound, Unreachable
from kcfix.services import Services
from kcfix.services.keep import Keep
from kcfix.settings import Source
from tests.builders import a_container, a_system


class CountingDocker:
    """An engine that counts how often it is asked."""

    def __init__(self, containers: Sequence[Container] | KcfixError) -> None:
        self._containers = containers
        self.asked = 0

    def silent(self) -> dict[str, str]:
        """No other engine."""
        return {}

    def containers(self) -> tuple[Container, ...]:
        """All containers, or the error."""
        self.asked += 1
        if isinstance(self._containers, KcfixError):
            raise self._containers
        return tuple(self._containers)


def test_the_password_of_the_key_goes_to_kafka_and_is_a_secret(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "KCFIX_KAFKA": '{ security_protocol = "SSL", ssl_password = "from the table" }',
        "KCFIX_KAFKA_KEY_PASSWORD": "key-pass-word",
    }
    services = Services(environ=environ, folder=tmp_path)
    assert services.settings.kafka_key_password == "key-pass-word"  # noqa: S105 - made up
    assert services.redact("key-pass-word and more") == "*** and more"


def services_on(
    docker: CountingDocker, tmp_path: Path, environ: dict[str, str] | None = None, **given: object
) -> Services:
    services = Services(
        environ={"HOME": str(tmp_path), **(environ or {})},
        folder=tmp_path,
        stdin=io.StringIO(),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        docker=cast("DockerPort", docker),
    )
    services.given = given
    return services


def test_what_is_given_needs_no_docker(tmp_path: Path) -> None:
    docker = CountingDocker([])
    services = services_on(docker, tmp_path, brokers="one:9092", dsn="postgresql://h/d")
    assert services.brokers[0] == ("one:9092",)
    assert services.dsn[0] == "postgresql://h/d"
    assert services.address_map.get("127.0.0.1:9092") is None
    assert docker.asked == 0


def test_discovery_asks_docker_once(tmp_path: Path) -> None:
    docker = CountingDocker(a_system())
    services = services_on(docker, tmp_path)
    assert services.brokers[0] == ("kafka:9092",)
    assert services.brokers[1].source is Source.DISCOVERED
    assert services.dsn[0] is not None
    assert services.containers
    assert docker.asked == 1


def test_a_dead_engine_is_asked_once_and_every_reader_gets_its_error(tmp_path: Path) -> None:
    docker = CountingDocker(Unreachable("docker: gone", system="docker"))
    services = services_on(docker, tmp_path)
    for _ in range(2):
        with pytest.raises(Unreachable, match="docker: gone"):
            _ = services.brokers
    assert docker.asked == 1


def test_a_run_that_goes_on_asks_again_what_was_silent(tmp_path: Path) -> None:
    docker = CountingDocker(Unreachable("no engine", system="docker"))
    services = services_on(docker, tmp_path, brokers="127.0.0.1:1")
    with pytest.raises(Unreachable):
        _ = services.discovery
    docker._containers = a_system()
    services.look_again(["docker"])
    assert services.discovery.workers
    assert docker.asked == 2


def test_a_run_that_goes_on_opens_only_what_was_silent_anew_and_counts_all_requests(tmp_path: Path) -> None:
    services = services_on(CountingDocker(a_system()), tmp_path, brokers="127.0.0.1:1")
    first, where = services.kafka, services.address_map
    services.look_again([])
    assert services.kafka is first
    assert services.address_map is not where  # containers come and go, and with them where an address leads
    cast("Any", first)._link._closed_requests = 3  # as if so many had been sent
    services.look_again(["kafka"])
    assert services.kafka is not first
    assert services.kafka_requests == 3
    services.close()


class Closable:
    """A port that tells when it is closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_what_was_dropped_is_closed_if_it_was_opened_here_and_the_rest_stays_open() -> None:
    keep = Keep()
    own, other, given = Closable(), Closable(), Closable()
    for name, port in (("kafka", own), ("database", other)):
        keep.once(name, partial(keep.to_be_closed, cast("KafkaPort", port)))
    keep.once("docker", lambda: given)
    dropped = keep.drop(("kafka", "docker", "database"), ("kafka", "docker"), ())
    assert dropped == [own, given]
    keep.close_later(dropped)
    assert own.closed.wait(20)
    assert (keep.found("kafka"), keep.found("database"), other.closed.is_set()) == (None, other, False)
    keep.close()
    assert other.closed.wait(20)
    assert not given.closed.is_set()


def test_without_any_address_kafka_and_database_say_how_to_give_one(tmp_path: Path) -> None:
    services = services_on(CountingDocker([]), tmp_path)
    with pytest.raises(Unreachable, match="no brokers are known") as caught:
        _ = services.kafka
    assert caught.value.hint is not None
    assert "--brokers" in caught.value.hint
    with pytest.raises(Unreachable, match="no address is known"):
        _ = services.database


def test_a_password_that_was_discovered_is_masked_from_then_on(tmp_path: Path) -> None:
    services = services_on(CountingDocker([a_container()]), tmp_path)
    assert services.dsn[0] is not None
    assert services.redact("it said made-up-password") == "it said ***"


def test_a_named_context_that_says_nothing_of_docker_takes_no_address_from_containers_here(tmp_path: Path) -> None:
    (tmp_path / "kcfix.toml").write_text('[contexts.far]\nbrokers = "kafka.invalid:9092"\ndsn = "postgresql://h/d"\n')
    docker = CountingDocker(a_system())
    services = services_on(docker, tmp_path, context="far")
    assert services.address_map.get("kafka.invalid:9092") is None
    assert docker.asked == 0


def test_readings_run_at_the_same_time_and_an_error_stands_in_for_a_value(tmp_path: Path) -> None:
    services = services_on(CountingDocker([]), tmp_path)
    together = threading.Barrier(2, timeout=5)
    lost = NotFound("no such thing")

    def meet() -> str:
        together.wait()
        return "met"

    def fail() -> str:
        raise lost

    found = services.readings({"one": meet, "two": meet, "three": fail})
    assert found == {"one": "met", "two": "met", "three": lost}
    assert list(found) == ["one", "two", "three"]


def test_a_reading_that_hangs_is_unreachable_after_the_deadline(tmp_path: Path) -> None:
    services = services_on(CountingDocker([]), tmp_path)
    free = threading.Event()
    found = services.readings({"kafka": free.wait, "quick": lambda: True}, deadline=0.05)
    free.set()
    late = found["kafka"]
    assert isinstance(late, Unreachable)
    assert late.message == "kafka: no answer within 0.05 s"
    assert found["quick"] is True


def test_a_defect_in_a_reading_is_raised(tmp_path: Path) -> None:
    def broken() -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        services_on(CountingDocker([]), tmp_path).readings({"x": broken})


def test_a_password_comes_from_where_the_settings_point_and_is_masked_from_then_on(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("made-up-word\n")
    (tmp_path / "kcfix.toml").write_text(
        f'brokers = "127.0.0.1:1"\ndsn = "postgresql://u@127.0.0.1:1/kc"\npassword_file = "{tmp_path}/word"\n'
        f'kafka_password_file = "{tmp_path}/word"\n'
    )
    services = services_on(CountingDocker([]), tmp_path)
    assert services.redact("made-up-word") == "made-up-word"
    _ = services.database
    assert services.redact("made-up-word") == "***"
    assert services.dsn[0] == "postgresql://u@127.0.0.1:1/kc"
    services.close()


def test_a_password_that_is_not_for_that_address_is_not_used_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "kcfix.toml").write_text('dsn = "postgresql://u@127.0.0.1:1/kc"\npassword_file = "/nowhere/at/all"\n')
    services = Services(environ={"HOME": str(tmp_path), "KCFIX_DSN": "postgresql://u@127.0.0.2:1/kc"}, folder=tmp_path)
    _ = services.database
    assert len(services.password_warnings) == 1
    assert "password_file" in services.password_warnings[0]
    assert "is not used: dsn comes from elsewhere (KCFIX_DSN)" in services.password_warnings[0]
    services.close()


@pytest.mark.parametrize(("protocol", "asked"), [("SASL_SSL", True), ("PLAINTEXT", False)])
def test_a_password_for_kafka_is_asked_for_only_where_there_is_a_login(
    tmp_path: Path, protocol: str, asked: bool
) -> None:
    login = ', sasl_mechanism = "PLAIN", sasl_plain_username = "u"' if asked else ""
    (tmp_path / "kcfix.toml").write_text(
        f'brokers = "127.0.0.1:1"\nkafka = {{ security_protocol = "{protocol}"{login} }}\n'
        'kafka_password_file = "/nowhere/at/all"\n'
    )
    services = services_on(CountingDocker([]), tmp_path)
    if asked:
        with pytest.raises(Unreachable, match="/nowhere/at/all"):
            _ = services.kafka
    else:
        _ = services.kafka
    services.close()

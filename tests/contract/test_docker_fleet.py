"""Several Docker engines as one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from kcfix.adapters.docker_fleet import Fleet
from kcfix.core.ports.docker import DockerPort
from kcfix.errors import NotFound, Unreachable
from tests.contract.test_docker import DockerContract, FakeWorld, World
from tests.fakes_docker import NOON, FakeDocker, container, line


class FleetWorld(FakeWorld):
    """Two engines, the second of which has the containers."""

    def __init__(self) -> None:
        super().__init__()
        inner = self.docker
        self.inner = inner
        self.fleet = Fleet([("one", FakeDocker), ("two", lambda: inner)])


class TestFleet(DockerContract):
    """A fleet keeps the contract of an engine."""

    @pytest.fixture
    def world(self) -> World:
        made = FleetWorld()
        return _AsWorld(made)


class _AsWorld(World):
    def __init__(self, fleet: FleetWorld) -> None:
        self._fleet = fleet
        self.docker: DockerPort = fleet.fleet

    def make(self, name, writes=(), *, stays=False, exit_code=0):  # type: ignore[no-untyped-def]
        return self.docker.inspect(self._fleet.make(name, writes, stays=stays, exit_code=exit_code).id)


DOWN = Unreachable("Docker at ssh://b did not answer", system="docker")


def dead() -> DockerPort:
    raise DOWN


def test_every_container_knows_its_host() -> None:
    fleet = Fleet(
        [("a", lambda: FakeDocker.of([container()])), ("b", lambda: FakeDocker.of([container("cache-worker")]))]
    )
    assert {(c.service, c.host) for c in fleet.containers()} == {("purchase-worker", "a"), ("cache-worker", "b")}
    assert fleet.silent() == {}


def test_a_silent_host_hides_only_its_own() -> None:
    fleet = Fleet([("a", lambda: FakeDocker.of([container()])), ("b", dead)])
    assert [c.host for c in fleet.containers()] == ["a"]
    assert fleet.silent() == {"b": DOWN.message}


def test_a_dead_host_is_asked_once() -> None:
    asked: list[str] = []

    def counted() -> DockerPort:
        asked.append("b")
        raise DOWN

    fleet = Fleet([("a", lambda: FakeDocker.of([container()])), ("b", counted)])
    fleet.containers()
    fleet.now()
    assert asked == ["b"]


def test_where_all_are_silent_nothing_is_said() -> None:
    with pytest.raises(Unreachable, match="did not answer"):
        Fleet([("a", dead), ("b", dead)]).containers()


def test_a_container_that_may_be_on_a_silent_host_is_not_called_missing() -> None:
    fleet = Fleet([("a", FakeDocker), ("b", dead)])
    with pytest.raises(Unreachable):
        fleet.inspect("kodingcaravan-purchase-worker")
    with pytest.raises(NotFound):
        Fleet([("a", FakeDocker), ("c", FakeDocker)]).inspect("kodingcaravan-purchase-worker")


def test_containers_of_one_name_on_two_hosts_are_told_apart() -> None:
    engines = {
        host: FakeDocker.of([container(project=host)], [line("kodingcaravan-purchase-worker", NOON, f"on {host}")])
        for host in "ab"
    }
    fleet = Fleet([(host, lambda engine=engine: engine) for host, engine in engines.items()])  # type: ignore[misc]
    names = [c.name for c in fleet.containers()]
    assert names == ["kodingcaravan-purchase-worker@a", "kodingcaravan-purchase-worker@b"]
    (told,) = fleet.logs(names[1])
    assert (told.container, told.text) == (names[1], "on b")
    fleet.restart(names[1], grace=timedelta(0))
    assert (engines["a"].done, engines["b"].done) == ([], ["restart kodingcaravan-purchase-worker"])
    assert fleet.inspect(names[1]).name == names[1]
    assert {e.container for e in fleet.events(NOON)} == {names[1]}

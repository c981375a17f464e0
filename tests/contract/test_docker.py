"""What every DockerPort does: the fake here, the real engine in test_docker_engine.py."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from kcfix.core.ports.docker import DockerPort
from kcfix.core.workers import Container, ContainerState, Stream
from kcfix.errors import NotFound
from tests.fakes_docker import NOON, FakeDocker, container, line

OUT, ERR = Stream.STDOUT, Stream.STDERR
Writes = Sequence[tuple[Stream, str]]


class World(ABC):
    """A place in which containers can be made."""

    docker: DockerPort

    @abstractmethod
    def make(self, name: str, writes: Writes = (), *, stays: bool = False, exit_code: int = 0) -> Container:
        """Make and run a container that writes these lines, one after the other, and then stays or exits.

        It carries the label `contract=yes` and the variable `MOOD=calm`. Returns once it has written everything.
        """


class DockerContract:
    """The contract. Names of containers are the world's: tests look at those that `make` returned."""

    @pytest.fixture
    def world(self) -> Any:
        raise NotImplementedError

    def test_the_engine_names_itself(self, world: World) -> None:
        engine = world.docker.engine()
        assert engine.version[:1].isdigit()
        assert engine.name
        assert "://" in engine.address

    def test_containers_are_there_running_or_not_sorted_by_name(self, world: World) -> None:
        ended = world.make("b", exit_code=3)
        lives = world.make("a", stays=True)
        found = {c.id: c for c in world.docker.containers()}
        assert (found[lives.id].state, found[ended.id].state) == (ContainerState.RUNNING, ContainerState.EXITED)
        assert (found[lives.id].exit_code, found[ended.id].exit_code) == (None, 3)
        names = [c.name for c in world.docker.containers()]
        assert names == sorted(names)

    def test_a_container_is_described(self, world: World) -> None:
        made = world.docker.inspect(world.make("a", stays=True).id)
        assert made.labels["contract"] == "yes"
        assert made.environment["MOOD"] == "calm"
        assert made.name in made.aliases
        assert made.started_at is not None
        assert made.started_at <= world.docker.now() + timedelta(seconds=1)
        assert (made.health, made.oom_killed, made.restart_count) == (None, False, 0)
        assert world.docker.inspect(made.name) == made

    def test_a_container_tells_what_it_was_made_from_and_how_it_is_limited(self, world: World) -> None:
        made = world.docker.inspect(world.make("a", stays=True).id)
        assert made.created_at is not None
        assert made.started_at is not None
        assert made.created_at <= made.started_at
        assert made.image_id is not None
        assert world.docker.image_ids([made.image, "kcfix/no-such-image"]) == {made.image: made.image_id}
        assert (made.memory_limit_bytes, made.health_check) == (None, False)

    def test_what_happened_to_containers_is_remembered_oldest_first(self, world: World) -> None:
        before = world.docker.now() - timedelta(seconds=1)
        made = world.make("a", stays=True)
        world.docker.stop(made.id, grace=timedelta(seconds=5))
        world.docker.start(made.id)
        told = [e for e in world.docker.events(before) if e.container == made.name]
        actions = [e.action for e in told if e.action in ("die", "start")]
        assert actions[-2:] == ["die", "start"]
        assert next(e.exit_code for e in told if e.action == "die") == 0
        assert [e.at for e in told] == sorted(e.at for e in told)
        assert world.docker.events(world.docker.now() + timedelta(hours=1)) == ()

    def test_what_is_not_there_is_not_found(self, world: World) -> None:
        for ask in (
            lambda: world.docker.inspect("kcfix-no-such-container"),
            lambda: list(world.docker.logs("kcfix-no-such-container")),
            lambda: world.docker.stop("kcfix-no-such-container", grace=timedelta(0)),
            lambda: world.docker.start("kcfix-no-such-container"),
            lambda: world.docker.restart("kcfix-no-such-container", grace=timedelta(0)),
        ):
            with pytest.raises(NotFound):
                ask()

    def test_the_log_of_a_stopped_container_has_both_streams_in_order(self, world: World) -> None:
        made = world.make("a", [(OUT, "one"), (ERR, "two"), (OUT, ""), (OUT, "four")])
        lines = list(world.docker.logs(made.id))
        assert [(one.stream, one.text) for one in lines] == [(OUT, "one"), (ERR, "two"), (OUT, ""), (OUT, "four")]
        assert {one.container for one in lines} == {made.name}
        assert all(a.timestamp < b.timestamp for a, b in pairwise(lines))
        assert all(one.timestamp.utcoffset() == timedelta(0) for one in lines)

    def test_the_newest_lines_can_be_asked_for(self, world: World) -> None:
        made = world.make("a", [(OUT, str(n)) for n in range(5)])
        assert [one.text for one in world.docker.logs(made.id, tail=2)] == ["3", "4"]
        assert list(world.docker.logs(made.id, tail=0)) == []
        assert len(list(world.docker.logs(made.id, tail=99))) == 5

    def test_both_ends_of_a_span_belong_to_it(self, world: World) -> None:
        made = world.make("a", [(OUT, str(n)) for n in range(5)])
        times = [one.timestamp for one in world.docker.logs(made.id)]
        assert [one.text for one in world.docker.logs(made.id, since=times[1], until=times[3])] == ["1", "2", "3"]
        microsecond = timedelta(microseconds=1)
        assert [one.text for one in world.docker.logs(made.id, since=times[3] + microsecond)] == ["4"]
        assert [one.text for one in world.docker.logs(made.id, until=times[1] - microsecond)] == ["0"]

    def test_the_newest_lines_before_a_moment_are_not_the_newest_of_all(self, world: World) -> None:
        made = world.make("a", [(OUT, str(n)) for n in range(5)])
        times = [one.timestamp for one in world.docker.logs(made.id)]
        assert [one.text for one in world.docker.logs(made.id, until=times[2], tail=2)] == ["1", "2"]

    def test_following_a_container_that_ends_ends(self, world: World) -> None:
        made = world.make("a", [(OUT, "one"), (ERR, "two")])
        assert [one.text for one in world.docker.logs(made.id, follow=True)] == ["one", "two"]

    def test_stop_start_and_restart(self, world: World) -> None:
        docker, made = world.docker, world.make("a", stays=True)
        first = docker.inspect(made.id).started_at
        docker.stop(made.id, grace=timedelta(seconds=5))
        stopped = docker.inspect(made.id)
        assert (stopped.state, stopped.running) == (ContainerState.EXITED, False)
        assert stopped.exit_code is not None
        assert set(stopped.networks.values()) == {""}
        docker.start(made.id)
        started = docker.inspect(made.id)
        docker.restart(made.id, grace=timedelta(seconds=5))
        restarted = docker.inspect(made.id)
        assert started.running
        assert restarted.running
        assert first is not None
        assert started.started_at is not None
        assert restarted.started_at is not None
        assert first < started.started_at < restarted.started_at

    def test_what_is_so_already_is_no_failure(self, world: World) -> None:
        lives, ended = world.make("a", stays=True), world.make("b")
        world.docker.start(lives.id)
        world.docker.stop(ended.id, grace=timedelta(0))
        assert world.docker.inspect(lives.id).started_at == lives.started_at
        assert world.docker.inspect(ended.id).finished_at == ended.finished_at


class FakeWorld(World):
    """Containers in memory; time goes on by a second at each look at the clock."""

    def __init__(self) -> None:
        self._ticks = 0
        self.docker: FakeDocker = FakeDocker(clock=self._clock)

    def _clock(self) -> datetime:
        self._ticks += 1
        return NOON + timedelta(seconds=self._ticks)

    def make(self, name: str, writes: Writes = (), *, stays: bool = False, exit_code: int = 0) -> Container:
        made = container(
            "contract",
            name=name,
            labels={"contract": "yes"},
            environment={"MOOD": "calm"},
            started_at=self._clock(),
            state=ContainerState.RUNNING if stays else ContainerState.EXITED,
            exit_code=None if stays else exit_code,
        )
        made = replace(made, created_at=made.started_at, image_id="sha256:made-up")
        self.docker.images[made.image] = "sha256:made-up"
        self.docker.boxes[made.id] = made
        self.docker.lines[name] = [line(name, self._clock(), text, stream) for stream, text in writes]
        return made


class TestFakeDocker(DockerContract):
    @pytest.fixture
    def world(self) -> World:
        return FakeWorld()

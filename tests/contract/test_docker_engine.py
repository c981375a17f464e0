"""The contract of test_docker.py on the real engine, and what only a real one can do."""

from __future__ import annotations

import os
import shlex
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import docker.errors
import pytest

from kcfix.adapters.docker import open_docker
from kcfix.core.workers import Container, ContainerState, Stream
from kcfix.drill.engine import Engine, connected
from kcfix.drill.image import Ground, host
from kcfix.errors import KcfixError, Refused
from tests.contract.test_docker import ERR, OUT, DockerContract, World, Writes

pytestmark = pytest.mark.real
IDLE = "trap 'exit 0' TERM; sleep 600 & wait"
"""Lives until it is told to stop: the first process of a container has no default for SIGTERM."""
PAUSE = 0.02
"""Seconds between two lines: Docker reads the two outputs of a container apart."""


class EngineWorld(World):
    """Containers of the empty image with the host's shell, named and labelled as nobody else's."""

    def __init__(self, engine: Engine, ground: Ground) -> None:
        self._engine = engine
        self._ground = ground
        self._run = uuid.uuid4().hex[:8]
        self._made: list[str] = []
        pinned = os.environ.get("KCFIX_TEST_DOCKER_API", "")
        self.docker = open_docker(os.environ.get("DOCKER_HOST"), 20, {"DOCKER_API_VERSION": pinned})

    def make(self, name: str, writes: Writes = (), *, stays: bool = False, exit_code: int = 0) -> Container:
        target = {OUT: "", ERR: " >&2"}
        steps = [f"printf '%s\\n' {shlex.quote(text)}{target[stream]}; sleep {PAUSE}" for stream, text in writes]
        made = self.run(name, "; ".join([*steps, *(["echo ready", IDLE] if stays else [f"exit {exit_code}"])]))
        self._until(made, (lambda c: bool(list(self.docker.logs(c.id)))) if stays else (lambda c: not c.running))
        return self.docker.inspect(made.id)

    def run(self, name: str, script: str, **options: Any) -> Container:
        """Start a container that runs a shell script."""
        made = self._engine.client.containers.create(
            self._ground.image,
            ["/bin/sh", "-c", script],
            name=f"kcfix-contract-{self._run}-{name}",
            labels={"contract": "yes", "io.kcfix.drill": f"contract-{self._run}"},
            environment={"MOOD": "calm"},
            volumes=[f"{bind.source}:{bind.target}:ro" for bind in self._ground.binds],
            **options,
        )
        self._made.append(str(made.id))
        made.start()
        return self.docker.inspect(str(made.id))

    @staticmethod
    def _wait(seconds: float = 10) -> Iterator[None]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield
            time.sleep(0.02)
        raise AssertionError("not in time")

    def _until(self, made: Container, true: Any) -> None:
        for _ in self._wait():
            if true(self.docker.inspect(made.id)):
                return

    def close(self) -> None:
        """Remove what was made."""
        self.docker.close()
        for made in self._made:
            with suppress(docker.errors.NotFound):
                self._engine.client.containers.get(made).remove(force=True)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with connected() as opened:
        yield opened


class TestEngine(DockerContract):
    @pytest.fixture
    def world(self, engine: Engine) -> Iterator[EngineWorld]:
        made = EngineWorld(engine, host(engine))
        yield made
        made.close()

    def test_a_huge_line_is_one_line(self, world: EngineWorld) -> None:
        made = world.run(
            "a", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo after; head -c 20000 /dev/zero | tr '\\0' y"
        )
        world._until(made, lambda c: not c.running)
        assert [one.text for one in world.docker.logs(made.id)] == ["x" * 40000, "after", "y" * 20000]

    def test_a_terminal_has_one_stream_without_frames(self, world: EngineWorld) -> None:
        script = "echo one; echo two >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; echo last"
        made = world.run("a", script, tty=True)
        world._until(made, lambda c: not c.running)
        lines = list(world.docker.logs(made.id))
        assert [one.text for one in lines] == ["one", "two", "x" * 40000, "last"]
        assert {one.stream for one in lines} == {Stream.STDOUT}
        assert [one.text for one in world.docker.logs(made.id, tail=1)] == ["last"]

    def test_bytes_that_are_no_text_are_replaced(self, world: EngineWorld) -> None:
        made = world.run("a", "printf 'a\\377\\000\\001b\\r\\n'")
        world._until(made, lambda c: not c.running)
        assert [one.text for one in world.docker.logs(made.id)] == ["a\ufffd\x00\x01b"]

    def test_two_outputs_that_write_at_once_are_not_mixed_up(self, world: EngineWorld) -> None:
        script = "for n in 1 2 3 4 5; do printf 'out '; printf 'err ' >&2; echo $n; echo $n >&2; done"
        made = world.run("a", script)
        world._until(made, lambda c: not c.running)
        for stream, word in ((OUT, "out"), (ERR, "err")):
            texts = [one.text for one in world.docker.logs(made.id) if one.stream is stream]
            assert texts == [f"{word} {n}" for n in range(1, 6)]

    def test_a_followed_log_gives_lines_as_they_come_and_ends_with_the_container(self, world: EngineWorld) -> None:
        made = world.run("a", f"echo one; sleep 0.5; echo two; {IDLE}")
        lines = world.docker.logs(made.id, follow=True)
        assert [next(lines).text, next(lines).text] == ["one", "two"]
        world.docker.stop(made.id, grace=timedelta(seconds=5))
        assert list(lines) == []

    def test_closing_wakes_a_thread_that_follows(self, world: EngineWorld) -> None:
        made = world.run("a", IDLE)
        seen: list[object] = []
        reader = threading.Thread(target=lambda: seen.extend(world.docker.logs(made.id, follow=True)), daemon=True)
        reader.start()
        time.sleep(0.5)
        world.docker.close()
        reader.join(5)
        assert (reader.is_alive(), seen) == (False, [])

    def test_leaving_a_followed_log_early_leaves_no_stream_open(self, world: EngineWorld) -> None:
        made = world.run("a", f"echo one; {IDLE}")
        lines = world.docker.logs(made.id, follow=True)
        next(lines)
        lines.close()  # type: ignore[attr-defined]
        assert world.docker._streams == set()  # type: ignore[attr-defined]

    def test_the_reason_of_the_engine_is_told_when_it_will_not_start(self, world: EngineWorld) -> None:
        made = world._engine.client.containers.create(world._ground.image, ["/no/such/program"], name=None)
        world._made.append(str(made.id))
        with pytest.raises(Refused, match="no such file"):
            world.docker.start(str(made.id))
        assert world.docker.inspect(str(made.id)).state is ContainerState.CREATED

    def test_a_container_that_never_ran_has_no_times(self, world: EngineWorld) -> None:
        made = world._engine.client.containers.create(world._ground.image, ["/bin/true"])
        world._made.append(str(made.id))
        found = world.docker.inspect(str(made.id))
        assert (found.started_at, found.finished_at, found.exit_code) == (None, None, None)
        assert found.restart_policy == "no"

    def test_published_ports_and_networks_are_found(self, world: EngineWorld) -> None:
        made = world.run("a", IDLE, ports={"8080/tcp": None, "9090/tcp": ("127.0.0.1", None), "53/udp": None})
        assert set(made.published) == {8080, 9090}
        assert all(address.startswith("127.0.0.1:") for address in made.published.values())
        assert all(made.networks.values())

    def test_containers_that_vanish_while_they_are_listed_are_left_out(self, world: EngineWorld) -> None:
        stays = world.make("stays", stays=True)
        stop = threading.Event()

        def churn() -> None:
            while not stop.is_set():
                made = world._engine.client.containers.create(world._ground.image, ["/bin/true"])
                made.remove(force=True)

        churner = threading.Thread(target=churn, daemon=True)
        churner.start()
        try:
            for _ in range(8):
                assert stays.id in {c.id for c in world.docker.containers()}
        finally:
            stop.set()
            churner.join(10)

    def test_a_paused_container_is_paused(self, world: EngineWorld) -> None:
        made = world.make("a", stays=True)
        world._engine.client.containers.get(made.id).pause()
        found = world.docker.inspect(made.id)
        assert (found.state, found.running, found.exit_code) == (ContainerState.PAUSED, False, None)
        world._engine.client.containers.get(made.id).unpause()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_without_rights_is_told_which_group_is_missing() -> None:
    from multiprocessing import get_context

    with get_context("fork").Pool(1) as pool:
        kind, hint = pool.apply(_open_as_nobody)
    assert kind == "access_denied"
    assert "docker" in hint


def _open_as_nobody() -> tuple[str, str]:
    os.setgroups([])
    os.setuid(65534)
    try:
        open_docker(None, 5)
    except KcfixError as error:
        return error.kind, error.hint or ""
    return "none", ""

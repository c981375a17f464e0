"""A drill comes up whole or not at all, and goes without leaving anything behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kcfix.drill.down import down
from kcfix.drill.engine import Engine, connected
from kcfix.drill.state import KAFKA, LABEL, Drill, folder, home
from kcfix.errors import Refused
from tests.real.conftest import Kcfix, eventually

NAME = f"brief-{os.getpid()}"


@pytest.fixture
def brief(own_state: Path | None) -> Iterator[str]:
    """The name of a drill that the test makes and that is gone afterwards, whatever happens."""
    yield NAME
    down(NAME)


@contextmanager
def starting(name: str) -> Iterator[subprocess.Popen[str]]:
    """`kcfix drill up` in the middle of its work: something of it is there already."""
    with subprocess.Popen(
        [sys.executable, "-m", "kcfix", "drill", "up", "--name", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            with connected() as engine:
                eventually(lambda: engine.containers(name), seconds=60)
            yield process
        finally:
            process.kill()


def remains(engine: Engine, name: str) -> list[str]:
    """All that Docker and the disk still have of a drill."""
    label: dict[str, Any] = {"label": f"{LABEL}={name}"}
    client = engine.client
    found = [str(c.name) for c in client.containers.list(all=True, filters=label, ignore_removed=True)]
    found += [str(n.name) for n in client.networks.list(filters=label)]
    found += [str(v.name) for v in client.volumes.list(filters=label)]
    return found + ([str(folder(name))] if folder(name).exists() else [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_up_takes_away_what_it_made(engine: Engine, brief: str, number: signal.Signals) -> None:
    with starting(brief) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    assert "Traceback" not in err
    assert remains(engine, brief) == []


def test_down_removes_what_a_killed_up_left(engine: Engine, brief: str, kcfix_anywhere: Kcfix) -> None:
    with starting(brief) as process:
        process.kill()
        process.communicate(timeout=10)
    assert remains(engine, brief)
    looked = kcfix_anywhere("drill", "status", "--name", brief)
    assert looked.code == 3
    assert f"kcfix drill down --name {brief}" in looked.err
    assert kcfix_anywhere("drill", "down", "--name", brief).code == 0
    assert remains(engine, brief) == []


def test_down_finds_a_drill_by_its_label_when_its_folder_is_gone(
    engine: Engine, brief: str, drill: Drill, kcfix_anywhere: Kcfix
) -> None:
    others = {c.id for c in engine.containers(drill.name)}
    assert kcfix_anywhere("drill", "up", "--name", brief).code == 0
    shutil.rmtree(folder(brief))
    gone = kcfix_anywhere("drill", "down", "--name", brief, "-q")
    assert gone.code == 0
    assert f"kcfix-{brief}-{KAFKA}" in gone.lines
    assert remains(engine, brief) == []
    assert {c.id for c in engine.containers(drill.name)} == others


def test_down_without_a_drill_is_well_and_makes_nothing(brief: str, kcfix_anywhere: Kcfix) -> None:
    gone = kcfix_anywhere("drill", "down", "--name", brief)
    assert gone.code == 0
    assert not (home() / brief).exists()


def test_up_refuses_a_container_name_that_someone_else_has_and_leaves_that_alone(
    engine: Engine, brief: str, drill: Drill, kcfix_anywhere: Kcfix
) -> None:
    image = engine.container(drill, KAFKA).attrs["Config"]["Image"]
    foreign = engine.client.containers.create(
        image, ["none"], name=f"kcfix-{brief}-purchase-worker", labels={LABEL: "other"}
    )
    try:
        refused = kcfix_anywhere("drill", "up", "--name", brief)
        assert refused.code == 5
        assert f"kcfix-{brief}-purchase-worker" in refused.err
        assert remains(engine, brief) == []
        foreign.reload()
    finally:
        foreign.remove(force=True)


def test_commands_refuse_a_container_without_the_label(engine: Engine, drill: Drill) -> None:
    container = engine.container(drill, "cache-worker")
    image = container.attrs["Config"]["Image"]
    engine.client.api.rename(str(container.id), f"{container.name}-aside")
    foreign = engine.client.containers.create(image, ["none"], name=drill.container("cache-worker"))
    try:
        with pytest.raises(Refused, match="does not belong to the drill"):
            engine.stop(drill, "cache-worker")
        with pytest.raises(Refused, match="does not belong to the drill"):
            engine.remove(drill, "cache-worker")
    finally:
        foreign.remove(force=True)
        engine.client.api.rename(str(container.id), drill.container("cache-worker"))


def test_a_second_command_on_the_same_drill_is_refused(brief: str, kcfix_anywhere: Kcfix) -> None:
    with starting(brief) as process:
        refused = kcfix_anywhere("drill", "down", "--name", brief)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert refused.code == 5
    assert "another command is at work" in refused.err


def test_without_a_docker_engine_every_command_says_so_in_one_line(kcfix_anywhere: Kcfix, tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    for argv in (["up"], ["down"], ["status"]):
        ran = kcfix_anywhere("drill", *argv, "--name", "nowhere", environ=nowhere)
        assert ran.code == 4, ran
        assert "Docker Engine does not answer" in ran.err
        assert "Traceback" not in ran.err
    assert not folder("nowhere").exists()


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "-x", "a b", "x" * 40])
def test_names_that_can_not_be_names_are_refused_before_anything_is_made(kcfix_anywhere: Kcfix, name: str) -> None:
    assert kcfix_anywhere("drill", "up", f"--name={name}").code == 2

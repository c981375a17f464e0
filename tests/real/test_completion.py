"""Live names in the shell's completion, on a drill: groups, topics, containers, runs; older ones while it is down."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kcfix
from kcfix.drill.state import Drill
from tests.real.conftest import Kcfix, eventually

FRESH_SECONDS = 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder with a `kcfix` to be put on the path."""
    script = tmp_path / "bin" / "kcfix"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m kcfix "$@"\n')
    script.chmod(0o755)
    return script.parent


def offered(drill: Drill, path: Path, *words: str) -> list[str]:
    """What bash is offered for these words, the last of which is being written."""
    words = ("kcfix", "-C", f"drill:{drill.name}", *words)
    ran = subprocess.run(
        [sys.executable, "-m", "kcfix"],
        cwd=path,
        env={
            **os.environ,
            "XDG_CACHE_HOME": str(path / "cache"),
            "_KCFIX_COMPLETE": "complete_bash",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout.split()


def test_groups_topics_and_containers_are_the_live_ones(drill: Drill, path: Path) -> None:
    topics = eventually(lambda: offered(drill, path, "offsets", "show", "--topic", "purchase-"), every=FRESH_SECONDS)
    assert topics == ["purchase-confirmed", "purchase-created"]
    groups = eventually(lambda: offered(drill, path, "lag", "-g", "purchase-c"), every=FRESH_SECONDS)
    assert groups == ["purchase-creation-workers"]
    containers = eventually(lambda: offered(drill, path, "logs", drill.project), every=FRESH_SECONDS)
    assert f"{drill.project}-purchase-worker" in containers
    for file in (path / "cache" / "kcfix" / "names").iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def test_runs_of_the_journal_are_offered(drill: Drill, path: Path, kcfix: Kcfix) -> None:
    ran = kcfix("restart", "purchase-worker", "--yes", "-o", "json")
    assert ran.code == 0, ran.err
    run_id = kcfix("history", "-o", "json").rows[0]["run"]
    assert run_id in eventually(lambda: offered(drill, path, "undo", ""), every=FRESH_SECONDS)


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish_offers_live_names_at_its_own_command(drill: Drill, path: Path) -> None:
    def complete() -> str:
        code = f"kcfix completion fish | source; complete -C 'kcfix -C drill:{drill.name} lag -g purchase-'"
        env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(path / "cache")}
        env["PYTHONPATH"] = str(Path(kcfix_folder()))
        ran = subprocess.run(["fish", "--no-config", "-c", code], env=env, capture_output=True, text=True, check=True)
        return ran.stdout

    assert eventually(complete, every=FRESH_SECONDS).split() == ["purchase-creation-workers"]


def kcfix_folder() -> Path:
    """Where this kcfix lies."""
    return Path(kcfix.__file__).parents[1]

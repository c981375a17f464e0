"""Every example of every `--help`: all can be parsed, and all but those of drills and endless ones are run on fakes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kcfix.cli.app import root
from tests.conftest import NOW, Run
from tests.system import System

ENDLESS = ("-f", "--follow", "-w", "--watch", "watch", "--passive")
LONG = ("--sample",)
PROVING = "kcfix restart --all --yes"
"""Waits a minute for workers to work, which fakes never do; restarts have their own tests."""


def walk(command: Any, path: str) -> Iterator[tuple[str, str]]:
    """Each command's path and help, also those of the commands that only hold others."""
    yield path, command.help or ""
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from walk(command.get_command(None, name), f"{path} {name}")


def examples() -> list[str]:
    """Every line under `Examples:`, once."""
    found: dict[str, None] = {}
    for _, text in walk(root(), "kcfix"):
        for block in re.findall(r"Examples:\n((?:[ ]+.*\n?)+)", text):
            found |= dict.fromkeys(line.strip() for line in block.splitlines())
    return list(found)


def calls(example: str) -> list[list[str]]:
    """The words of each call of kcfix in a line, in the order in which they run."""
    inner = re.sub(r"^source <\((.*)\)$", r"\1", example)
    parts = [part.strip() for part in re.split(r"\s\|\s", inner)]
    return [shlex.split(part)[1:] for part in parts if part.startswith("kcfix ") or part == "kcfix"]


EXAMPLES = examples()


def test_there_are_examples_and_each_calls_kcfix() -> None:
    assert len(EXAMPLES) > 80
    assert [example for example in EXAMPLES if not calls(example)] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_can_be_parsed(example: str) -> None:
    for words in calls(example):
        parser, ctx = root(), None
        while True:
            ctx = parser.make_context("kcfix", words, parent=ctx, obj=object())
            rest = [*getattr(ctx, "_protected_args", []), *ctx.args]
            if not hasattr(parser, "get_command"):
                assert rest == []
                break
            if not rest and parser.invoke_without_command:
                break
            assert rest, f"{example}: a command that only holds others"
            _, parser, words = parser.resolve_command(ctx, rest)


def acts_on_drills_or_never_ends(example: str) -> bool:
    words = [word for call in calls(example) for word in call]
    return (
        words[0] in ("drill", "monitor")
        or example.startswith(PROVING)
        or any(word in ENDLESS or word in LONG for word in words)
    )


@pytest.mark.parametrize("example", [e for e in EXAMPLES if not acts_on_drills_or_never_ends(e)])
def test_every_example_that_can_be_run_on_fakes_does_what_can_be_understood(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    system = System()
    ids = [system.pay(n) for n in (1, 2, 3)]
    prepare(run, tmp_path, system, ids, example)
    out = ""
    for words in calls(example):
        ran = run(*words, stdin=out, now=NOW, **system.parts)
        out = ran.out
        # Neither a usage error nor a bug: whatever else comes out is what the fakes hold.
        assert ran.code in (0, 1, 3, 4, 5, 6), (words, ran.err)


def prepare(run: Run, tmp_path: Path, system: System, ids: list[str], example: str) -> None:
    """What examples take for granted: contexts, a drill, and files that an earlier example has written."""
    work = tmp_path / "work"
    (work / "ids.txt").write_text("\n".join(ids))
    config = tmp_path / "home" / ".config" / "kcfix"
    config.mkdir(parents=True)
    (config / "config.toml").write_text("[contexts.prod]\n")
    drill = tmp_path / "home" / ".local" / "state" / "kcfix" / "drill" / "drill"
    drill.mkdir(parents=True)
    (drill / "context.toml").write_text("probe = true\n")
    for name, words in (
        ("night.json", ("repair", *ids, "--plan", "night.json")),
        ("before.json", ("offsets", "export", "--group", "purchase-creation-workers", "before.json")),
    ):
        if name in example:
            ran = run(*words, now=NOW, **system.parts)
            assert ran.code == 0, ran.err

"""Every command under every fault of every server: the right exit code, a line, in time, no secret, accounts in order.

The suite plays a part; `make matrix` plays all and writes docs/reliability.md. With KCFIX_MATRIX_SECONDS no cell begins
after so many seconds of each half; those that are left are played first the next time.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from kcfix.drill import wire
from kcfix.drill.engine import connected
from tests.real import matrix_page
from tests.real.matrix_cells import WANTED, Cell, ChangeCell, changing_cells, reading_cells
from tests.real.matrix_changes import Trial
from tests.real.matrix_commands import Change
from tests.real.matrix_faults import FAULTS, Fault, System
from tests.real.matrix_run import Seen, Stage, always, judged, standing
from tests.real.matrix_world import FLOW, dead_lettered, drilled, stock, without_purchase
from tests.real.matrix_zygote import Zygote

BUDGET = float(os.environ.get("KCFIX_MATRIX_SECONDS") or "inf")
AT_ONCE = 10 if WANTED else 4
"""Runs at a time; in the suite each starts Python anew, beside another file's tests."""
pytestmark = pytest.mark.timeout(3000 if WANTED else 600)

T = TypeVar("T")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, own_state: Path | None) -> Iterator[Stage]:
    """The drill of the matrix, stocked, with a plan, saved offsets and a run that can be undone."""
    folder = tmp_path_factory.mktemp("matrix")
    with drilled(f"matrix-{os.getpid()}") as drill, connected() as engine:
        made = stock(drill)
        stage = Stage(drill, engine, folder, state=folder / "shared", ends=wire.ends(drill, FLOW.purchase_confirmed))
        stage.given |= {
            "group": FLOW.purchase_group,
            "topic": FLOW.purchase_confirmed,
            "settled": made.settled,
            "letter": made.letter,
            "missing": made.missing,
        }
        if WANTED:
            stage.zygote = Zygote()
        try:
            _prepare(stage, made.other)
            yield stage
        finally:
            if stage.zygote:
                stage.zygote.close()


def _prepare(stage: Stage, unannounced: str) -> None:
    at = stage.folder / "prepared"
    refuses = next(f for f in FAULTS if f.name == "refuses")
    for words, system, fault in (
        ("repair {missing} --strategy insert --plan {folder}/plan.json", None, None),
        ("offsets export -g {group} {folder}/offsets.json", None, None),
        (f"repair {unannounced} --strategy insert --announce-later --apply --yes", System.KAFKA, refuses),
    ):
        seen = stage.run(words, at, system=system, fault=fault)
        assert seen.code in (0, 6), seen.err
    (run,) = json.loads(stage.run("history -o json", at).out)["data"]
    saved = [line.split(",") for line in _lines(at / "offsets.json")]
    (at / "offsets.csv").write_text("".join(f"{t},{p},{max(0, int(o) - 1)}\n" for t, p, o in saved))
    stage.given |= {"plan": str(at / "plan.json"), "export": str(at / "offsets.csv"), "run": str(run["run"])}


def _lines(saved: Path) -> list[str]:
    rows = json.loads(saved.read_text())["offsets"]
    return [f"{r['topic']},{r['partition']},{r['committed_offset']}" for r in rows]


def test_reading_says_what_is_wrong_and_changes_nothing(stage: Stage) -> None:
    cells = reading_cells()
    before = standing(stage)

    def play(cell: Cell) -> tuple[Seen, list[str]]:
        command, system, fault = cell
        at = stage.folder / f"reading-{cells.index(cell)}"
        seen = stage.run(command.words, at, system=system, fault=fault)
        return seen, [*always(seen, stage, at), *judged(command, system, fault, seen)]

    played = _played(cells, play)
    after = standing(stage)
    try:
        _told([(c.name, s, f, *p) for (c, s, f), p in played])
    finally:
        assert after == before


def test_a_change_is_made_once_or_not_at_all_and_is_accounted_for(stage: Stage) -> None:
    cells = changing_cells()
    letters = [c for c in cells if c[0] is Change.LETTER]
    others = [c for c in cells if c[0] is not Change.LETTER]
    own = dict(zip(others, without_purchase(stage.drill, len(others)), strict=True))
    own |= dict(zip(letters, dead_lettered(stage.drill, len(letters)), strict=True))

    def play(cell: ChangeCell) -> tuple[Seen, list[str]]:
        change, system, fault = cell
        number = cells.index(cell)
        trial = Trial(stage, change, stage.folder / f"change-{number}", own[cell], f"matrix-{number}")
        trial.prepare()
        seen, wrong = trial.play(system, fault)
        return seen, [*always(seen, stage, trial.folder), *wrong]

    _told([(c.shown, s, f, *p) for (c, s, f), p in _played(cells, play)])


def _played(cells: Sequence[T], play: Callable[[T], tuple[Seen, list[str]]]) -> list[tuple[T, tuple[Seen, list[str]]]]:
    """What the cells gave, as many as there is time for, several at a time."""
    began = time.monotonic()

    def in_time(cell: T) -> tuple[Seen, list[str]] | None:
        return play(cell) if time.monotonic() - began < BUDGET else None

    order = list(cells)
    if WANTED:
        known = matrix_page.known()
        random.Random(7).shuffle(order)  # noqa: S311
        order.sort(key=lambda cell: _key(cell) in known)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [(c, p) for c, p in zip(order, pool.map(in_time, order), strict=True) if p is not None]


def _key(cell: Any) -> tuple[str, str | None, str | None]:
    what, system, fault = cell
    name = what.shown if isinstance(what, Change) else what.name
    return name, system.value if system else None, fault.name if fault else None


def _told(cells: list[tuple[str, System | None, Fault | None, Seen, list[str]]]) -> None:
    """Keep the results for the page, and fail with what is wrong."""
    rows: list[dict[str, Any]] = [
        {
            "command": name,
            "system": system.value if system else None,
            "fault": fault.name if fault else None,
            "code": seen.code,
            "seconds": round(seen.seconds, 1),
            "wrong": wrong,
            "err": seen.err[:2000],
            "out": seen.out[:2000],
        }
        for name, system, fault, seen, wrong in cells
    ]
    if WANTED:
        matrix_page.keep(rows)
    wrong = [r for r in rows if r["wrong"]]
    told = [f"{r['command']} / {r['system']} {r['fault']}: {'; '.join(r['wrong'])}\n{r['err'][:400]}" for r in wrong]
    assert not wrong, f"{len(wrong)} of {len(rows)} cells:\n" + "\n".join(told)

"""The result of the fault matrix as a page: docs/reliability.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.real.matrix_commands import READING, Change
from tests.real.matrix_faults import FAULTS, SECONDS, System

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(os.environ.get("KCFIX_MATRIX_RESULTS") or ROOT / "build" / "matrix.json")
PAGE = ROOT / "docs" / "reliability.md"

_HEAD = """<!-- Made by `make matrix` from what it saw: change tests/real/, then run it again. -->

# Reliability: every command on a bad day

`make matrix` plays every command while Kafka, PostgreSQL or Docker suffers each of these faults, made by a proxy
between kcfix and the real server of a drill, or by a user of that server with few rights or none. {cells} cells,
seen in one run or several; {wrong} of them wrong.

For each cell it checks, by rule: the exit code ([errors.md](errors.md)); one line of error (one for each worker with
`restart --all`, one for each system with `status`, `doctor` and `config check`) that names the system; an end in time
(`timeout` is {seconds} s under a fault; the slowest run took {slowest} s, on a machine with many runs at once);
no traceback; no password in the output or the journal. That commands which only look, and dry runs, change nothing is
seen by comparing all rows, log ends, committed offsets and containers before and after. A command that changes
something is then run once more without the fault, and must settle it: 0 means done, once; 6 that the journal knows the
step; any other code that nothing was changed.

| Fault | What |
|---|---|
"""


def known() -> set[tuple[Any, ...]]:
    """The cells of which there are results."""
    old = json.loads(KEPT.read_text()) if KEPT.exists() else []
    return {(row["command"], row["system"], row["fault"]) for row in old}


def keep(rows: Sequence[dict[str, Any]]) -> None:
    """Add the results to those kept, in the place of older ones of the same cells, and write the page."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    old = json.loads(KEPT.read_text()) if KEPT.exists() else []
    for row in (*old, *rows):
        kept[row["command"], row["system"], row["fault"]] = row
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(list(kept.values()), indent=1))
    PAGE.write_text(page(list(kept.values())))


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The page."""
    codes = {(r["command"], r["system"], r["fault"]): r for r in rows}
    text = _HEAD.format(
        cells=f"{len(rows):,}",
        wrong=sum(bool(r["wrong"]) for r in rows) or "none",
        seconds=SECONDS,
        slowest=max((r["seconds"] for r in rows), default=0),
    )
    text += "".join(f"| {f.name} | {f.what} |\n" for f in FAULTS)
    text += """| resets after N | the line is reset in the middle of an answer after N whole ones, N = 4, 6, … 22 |

The tables show the exit codes; where a fault was played at several moments, all that were seen. An empty cell was not
played: Docker's socket takes no password, and what asks no system is played under one fault only.
"""
    names = [c.name for c in READING] + [c.shown for c in Change]
    for system in System:
        faults = [f.name for f in FAULTS if f.fits(system)]
        text += f"\n## {system.value}\n\n"
        text += _line(["Command", "well", *faults, "resets after N"]) + _line(["---", *["--:"] * (len(faults) + 2)])
        for name in names:
            healthy = codes.get((name, None, None))
            cells = [_code([codes.get((name, system.value, f))]) for f in faults]
            later = _code(
                r for r in rows if r["command"] == name and r["system"] == system.value and " after " in r["fault"]
            )
            text += _line([f"`{name}`", _code([healthy]), *cells, later])
    return text


def _code(rows: Iterable[dict[str, Any] | None]) -> str:
    found = [r for r in rows if r is not None]
    wrong = any(r["wrong"] for r in found)
    return " ".join(map(str, sorted({r["code"] for r in found}))) + (" !" if wrong else "")


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"

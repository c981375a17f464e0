"""Measure how often the doctor names the cause: each fault of the drill, each pair, each healthy state.

Break, watch by `--sample 60s`, look once, compare with tests/real/expected.py, mend. Each case is written to a file as
it ends, so that a run can be cut into pieces (`--minutes 8`) and goes on where it stopped, and several runs, each with
a drill of its own (`--drill a`), can share the work; docs/accuracy.md is made from that file.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kcfix import __version__  # noqa: E402 - of this checkout, whatever is installed
from kcfix.drill import faults as catalogue  # noqa: E402
from kcfix.drill.down import down  # noqa: E402
from kcfix.drill.state import Drill, Options, find  # noqa: E402
from kcfix.drill.up import up  # noqa: E402
from tests.real.expected import EXPECTED, WHY_MISSED, Seen, among_three, first_right  # noqa: E402

PAGE = ROOT / "docs" / "accuracy.md"
RESULTS = ROOT / "build" / "accuracy.jsonl"
ONE, SAMPLE = "one look", "60 s sample"
SAMPLE_SECONDS = 60
BENEATH = (
    *("doctor/diagnose", "doctor/read", "doctor/rule", "doctor/troubles", "doctor/heads"),
    *("logs/milestones", "logs/container_log", "working/worker", "working/signs"),
)
"""Modules of core on which the doctor's rules stand."""
SETTLING_LOOKS = 3
"""Five seconds apart: an alarm that is still there after them is none that ends by itself."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to be measured."""

    kind: str
    """single, pair or healthy."""
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        """How it is found again in the file of results."""
        return f"{self.kind}:{'+'.join(self.names)}"


def cases() -> list[Case]:
    """Healthy states first, then single faults, then pairs."""
    healthy = [h.name for h in _healthy()] or ["idle"]
    pairs: Sequence[Any] = getattr(catalogue, "pairs", tuple)()
    return [
        *(Case("healthy", (name,)) for name in healthy),
        *(Case("single", (fault.name,)) for fault in catalogue.faults()),
        *(Case("pair", (pair.first, pair.second)) for pair in pairs),
    ]


def _healthy() -> Sequence[Any]:
    """The drill's healthy states; none where it does not know any."""
    with contextlib.suppress(ModuleNotFoundError):
        found: Sequence[Any] = import_module("kcfix.drill.healthy").HEALTHY
        return found
    return ()


def main(argv: Sequence[str]) -> int:
    """Measure what is left to be measured, then write the page. 0: all that was measured is right."""
    asked = _parser().parse_args(argv)
    end = time.monotonic() + asked.minutes * 60
    # What was measured before this counts as done, too, unless it is to be measured again.
    since = datetime.now(UTC).isoformat(timespec="seconds") if asked.again else ""
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    wanted = [c for c in cases() if _is_wanted(c, asked)]
    for case in wanted:
        if time.monotonic() > end:
            print("out of time", flush=True)
            break
        with _taken(case, asked.results) as mine:
            known = read(asked.results)
            there = known.get(case.key)
            fresh = there is not None and there["at"] >= since and not (asked.stale and there.get("code") != code())
            if not mine or fresh:
                continue
            result = measure(case, asked.drill, sample=not asked.no_sample, documents=asked.documents)
            with asked.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
        print(_line(case, result), flush=True)
    if not asked.keep:
        down(asked.drill)
    known = read(asked.results)
    if asked.write:
        PAGE.write_text(page([c for c in cases() if c.key in known], known), encoding="utf-8")
    return 0 if all(_is_right(c, known[c.key], ONE) for c in wanted if c.key in known) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drill", default="accuracy", help="name of the drill")
    parser.add_argument("--only", default="", help="names of faults or states, or pairs as a+b, separated by commas")
    parser.add_argument("--kind", choices=("healthy", "single", "pair"), help="only these cases")
    parser.add_argument("--minutes", type=float, default=600, help="begin no case after so many minutes")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="file of results, read and added to; several runs may share it"
    )
    parser.add_argument("--documents", type=Path, help="folder for what the doctor said, word for word")
    parser.add_argument("--again", action="store_true", help="measure also what is in the file")
    parser.add_argument("--stale", action="store_true", help="measure also what was measured with another program")
    parser.add_argument("--no-sample", action="store_true", help="only one look")
    parser.add_argument("--keep", action="store_true", help="keep the drill")
    parser.add_argument("--write", action="store_true", help="write docs/accuracy.md")
    return parser


def _is_wanted(case: Case, asked: argparse.Namespace) -> bool:
    only = {name for name in asked.only.split(",") if name}
    named = not only or bool(only & {*case.names, "+".join(case.names)})
    return named and asked.kind in (None, case.kind)


@contextlib.contextmanager
def _taken(case: Case, results: Path) -> Iterator[bool]:
    """Whether the case is this run's to measure; False while another run that shares the file is at it."""
    with (results.parent / f"{results.name}.{case.key.replace(':', '-')}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
        Path(file.name).unlink()


def read(file: Path) -> dict[str, dict[str, Any]]:
    """Results by case; of one that was measured twice the last that told something."""
    if not file.is_file():
        return {}
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    # Where the fault could not be made once more, what was measured before stands.
    return {one["key"]: one for one in sorted(found, key=lambda one: bool(one.get("looks", True)))}


def code() -> str:
    """What tells one state of the doctor from another: its rules, and what they stand on."""
    digest = hashlib.sha256()
    core = ROOT / "kcfix" / "core"
    for file in [*sorted((core / "doctor" / "rules").glob("*.py")), *(core / f"{name}.py" for name in BENEATH)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def measure(case: Case, name: str, *, sample: bool, documents: Path | None = None) -> dict[str, Any]:
    """Bring the drill into the state, look, and bring it back."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    result: dict[str, Any] = {"key": case.key, "at": at, "code": code(), "looks": {}}
    try:
        drill, left = _well(name)
        if left:
            result["left"] = left
        with _state(case, drill):
            result["looks"] = _looks(case, name, sample=sample, documents=documents)
            result["load"] = round(os.getloadavg()[0], 1)
    except Exception as error:  # noqa: BLE001 - told on the page
        # A drill that can't be broken or mended says nothing about the doctor; the next case gets a new one.
        result["error"] = getattr(error, "message", None) or repr(error)
        down(name)
    return result


def _well(name: str) -> tuple[Drill, list[str]]:
    """A drill without an alarm, and which alarms stood there for long before: then it was made anew."""
    drill = find(name)
    if drill is None or not drill.ready:
        return up(Options(name)), []
    catalogue.mend(drill)
    alarms: list[str] = []
    for _ in range(SETTLING_LOOKS):
        alarms = list(_look(name).alarms)
        if not alarms:
            return drill, []
        time.sleep(5)
    down(name)
    return up(Options(name)), alarms


@contextlib.contextmanager
def _state(case: Case, drill: Drill) -> Iterator[None]:
    if case.kind == "healthy":
        entered = next((h.enter(drill) for h in _healthy() if h.name == case.names[0]), contextlib.nullcontext())
        with entered:
            yield
        return
    try:
        for fault in case.names:
            catalogue.break_(drill, fault)
        yield
    finally:
        catalogue.mend(drill)


def _looks(case: Case, name: str, *, sample: bool, documents: Path | None) -> dict[str, Any]:
    """A sample that ends once payments are overdue, and then one look that nothing else disturbs."""
    wait = max((EXPECTED[n].wait_seconds for n in case.names if n in EXPECTED), default=0)
    looks: dict[str, Any] = {}
    started = time.monotonic()
    for look in (SAMPLE, ONE) if sample else (ONE,):
        begin = wait - SAMPLE_SECONDS if look == SAMPLE else wait
        time.sleep(max(0.0, begin - (time.monotonic() - started)))
        into = documents / f"{case.key.replace(':', '-')}.{look.split()[0]}.json" if documents else None
        used = _used()
        looks[look] = asdict(_look(name, *(("--sample", f"{SAMPLE_SECONDS}s") if look == SAMPLE else ()), into=into))
        looks[look]["cpu_seconds"] = round(_used() - used, 2)
    return looks


def _used() -> float:
    """Seconds of a core that ended children have used so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _look(name: str, *options: str, into: Path | None = None) -> Seen:
    asked = [sys.executable, "-m", "kcfix", "-C", f"drill:{name}", "doctor", "-o", "json", *options]
    began = time.monotonic()
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    seconds = round(time.monotonic() - began, 2)
    if into is not None:
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text(ran.stdout, encoding="utf-8")
    try:
        return Seen.of(json.loads(ran.stdout), ran.returncode, seconds)
    except (ValueError, KeyError):
        return Seen((), (), (), ran.returncode, seconds, errors=((ran.stdout + ran.stderr)[:300],))


def _is_right(case: Case, result: dict[str, Any], look: str) -> bool:
    seen = result["looks"].get(look)
    if seen is None:
        return False
    if case.kind == "healthy":
        return not seen["alarms"] and seen["exit_code"] == 0
    expected = [EXPECTED[n] for n in case.names if n in EXPECTED]
    if len(expected) < len(case.names):
        return False
    return first_right(expected[0], seen["causes"]) if case.kind == "single" else among_three(expected, seen["causes"])


def _in_three(case: Case, result: dict[str, Any], look: str) -> bool:
    seen = result["looks"].get(look)
    expected = [EXPECTED[n] for n in case.names if n in EXPECTED]
    return seen is not None and len(expected) == len(case.names) and among_three(expected, seen["causes"])


def _line(case: Case, result: dict[str, Any]) -> str:
    if not result["looks"]:
        return f"ERROR {case.key}: {result['error']}"
    seen = result["looks"][ONE]
    word = "right" if _is_right(case, result, ONE) else "WRONG"
    more = ""
    if SAMPLE in result["looks"]:
        sampled = result["looks"][SAMPLE]["causes"]
        more = f" | sample {'right' if _is_right(case, result, SAMPLE) else 'WRONG'} {' '.join(sampled[:4])}"
    return f"{word} {case.key}: {' '.join(seen['causes'][:4]) or '-'} in {seen['seconds']} s{more}"


# the page

INTRO = """Made by `make accuracy`: each fault of the drill is made by its real cause, the doctor watches with
`--sample 60s` and then looks once, and the fault is mended. A single fault counts as named if its cause stands first
(top-1) or among the first three (top-3), a pair if both causes stand among the first three. Advice is left out. A false
alarm is an error, or an exit code other than 0, on a healthy system. Which codes count as the cause of which fault
stands in `tests/real/expected.py`."""


def page(measured: Sequence[Case], known: dict[str, dict[str, Any]]) -> str:
    """docs/accuracy.md."""
    lines = [
        "# Accuracy of the doctor",
        "",
        f"kcfix {__version__} on {platform.system()} {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}.",
        "",
        INTRO,
        "",
        "| | cases | one look | 60 s sample |",
        "|---|---:|---:|---:|",
    ]
    whole = [c for c in measured if known[c.key]["looks"]]
    rows = (
        ("single faults, top-1", "single", _is_right),
        ("single faults, top-3", "single", _in_three),
        ("pairs, both in the top 3", "pair", _is_right),
        ("healthy states without a false alarm", "healthy", _is_right),
    )
    for title, kind, right in rows:
        of = [c for c in whole if c.kind == kind]
        counts = [
            sum(right(c, known[c.key], look) for c in of if look in known[c.key]["looks"]) for look in (ONE, SAMPLE)
        ]
        asked = [sum(look in known[c.key]["looks"] for c in of) for look in (ONE, SAMPLE)]
        cells = [f"{n} of {m}" if m else "-" for n, m in zip(counts, asked, strict=True)]
        lines.append(f"| {title} | {len(of)} | {cells[0]} | {cells[1]} |")
    seconds = [known[c.key]["looks"][ONE]["seconds"] for c in whole if ONE in known[c.key]["looks"]]
    if seconds:
        ordered = sorted(seconds)
        lines += [
            "",
            f"One look took {statistics.median(seconds):.1f} s in the median, {ordered[int(len(ordered) * 0.95)]:.1f} "
            f"s in 95 of 100 cases, {ordered[-1]:.1f} s at most, the start of Python included. "
            f"{_machine(whole, known)}".strip(),
        ]
    lines += _again(whole, known)
    lines += _missed(whole, known)
    broken = [c for c in measured if not known[c.key]["looks"]]
    if broken:
        lines += ["", "## Not measured", ""]
        lines += [f"- {c.key}: {known[c.key]['error']}" for c in broken]
    lines += [
        "",
        "## All cases",
        "",
        "| Case | Expected | One look | Seconds | 60 s sample |",
        "|---|---|---|---:|---|",
    ]
    for c in whole:
        wanted = "; ".join(" or ".join(EXPECTED[n].codes) if n in EXPECTED else "?" for n in c.names)
        looks = known[c.key]["looks"]
        one, sampled = looks.get(ONE), looks.get(SAMPLE)
        mark = "" if known[c.key].get("code") == code() else " *"
        lines.append(
            f"| {' + '.join(c.names)}{mark} | {'no alarm' if c.kind == 'healthy' else wanted} | "
            f"{_told(c, known, ONE)} | "
            f"{one['seconds'] if one else '-'} | {_told(c, known, SAMPLE) if sampled else '-'} |"
        )
    return "\n".join(lines) + "\n"


def _again(whole: Sequence[Case], known: dict[str, dict[str, Any]]) -> list[str]:
    """How many cases were measured before the last change of the program."""
    now = code()
    old = [c for c in whole if known[c.key].get("code") != now]
    if not old:
        return ["", "All of it was measured with the rules as they are."]
    kept = f"{len(whole) - len(old)} of {len(whole)} cases were measured with the rules exactly as they are"
    return ["", f"{kept}; those with a * in the table below with earlier states of them."]


def _machine(whole: Sequence[Case], known: dict[str, dict[str, Any]]) -> str:
    """How busy the machine was meanwhile: other drills may have run beside."""
    loads = [known[c.key]["load"] for c in whole if "load" in known[c.key]]
    used = [look["cpu_seconds"] for c in whole if "cpu_seconds" in (look := known[c.key]["looks"].get(ONE, {}))]
    words = f"It used {statistics.median(used):.1f} s of a core (median). " if used else ""
    if loads:
        words += f"Meanwhile {statistics.median(loads):.1f} processes wanted the {os.cpu_count()} cores (median)."
    return words.strip()


def _told(case: Case, known: dict[str, dict[str, Any]], look: str) -> str:
    seen = known[case.key]["looks"].get(look)
    if seen is None:
        return "-"
    codes = " ".join(seen["causes"][:4]) or "nothing"
    return codes if _is_right(case, known[case.key], look) else f"**{codes}**"


def _why(case: Case) -> str:
    reason = WHY_MISSED.get(case.names)
    return f". Why: {reason}." if reason else ""


def _missed(whole: Sequence[Case], known: dict[str, dict[str, Any]]) -> list[str]:
    missed = [
        f"- {' + '.join(c.names)} ({look}): {_told(c, known, look).strip('*')}{_why(c)}"
        for c in whole
        for look in (ONE, SAMPLE)
        if look in known[c.key]["looks"] and not _is_right(c, known[c.key], look)
    ]
    return ["", "## What it misses, with what it says instead", "", *(missed or ["Nothing of what was measured."])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

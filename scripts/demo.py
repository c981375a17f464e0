"""Play the incident on a drill, command by command as an operator would type it, and check that nothing was lost.

Exit code 0 only if at the end every payment has exactly one purchase. `KEEP=1` keeps the drill.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from kcfix.drill.state import Drill, load

NAME = "demo"
CONTEXT = f"drill:{NAME}"
WORKER = "purchase-worker"
GROUP = "purchase-creation-workers"
OVERDUE_SECONDS = 60
"""Younger payments are in flight and no finding, so the demo waits as long before it looks."""

QUERY = """
SELECT count(*)                                 AS payments_succeeded,
       coalesce(sum(purchases), 0)              AS purchases,
       count(*) FILTER (WHERE purchases = 1)    AS payments_with_exactly_one,
       count(*) FILTER (WHERE purchases > 1)    AS payments_with_duplicates
FROM (SELECT p.id, count(s.id) AS purchases
      FROM payments AS p
      LEFT JOIN student_course_purchases AS s
             ON s.student_id = p.student_id AND s.course_id::text = p.metadata->>'courseId'
      WHERE p.status = 'succeeded'
      GROUP BY p.id) AS paid
"""


def main() -> int:
    """Play it, and return the exit code."""
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    started = time.monotonic()
    keep = os.environ.get("KEEP", "") not in ("", "0")
    try:
        subprocess.run([*_program(), "drill", "down", "--name", NAME, "-q"], check=False, stdout=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory(prefix="kcfix-demo-") as folder:
            whole = play(Path(folder) / "night.json")
    except Failed as failure:
        say(f"the demo failed: {failure}")
        whole = False
    finally:
        if keep:
            say(f"The drill is kept. Look around with `kcfix -C {CONTEXT} status`, remove it with")
            print(f"  kcfix drill down --name {NAME}", flush=True)
        else:
            subprocess.run([*_program(), "drill", "down", "--name", NAME, "-q"], check=False, stdout=subprocess.DEVNULL)
            say("The drill is removed.")
    print(f"({time.monotonic() - started:.0f} s)")
    return 0 if whole else 1


def play(plan: Path) -> bool:
    """The story; whether every payment has exactly one purchase at its end. `plan`: where to write the plan."""
    say("A throw-away copy of the system: real Kafka, PostgreSQL and workers.")
    kcfix("drill", "up", "--name", NAME)
    drill = load(NAME)

    say("Payments succeed and purchases appear. Two partitions of purchase-confirmed get a committed offset, one none.")
    for partition in (0, 1):
        buy("1", "--partition", str(partition))
    until(lambda: figures(drill)[2] == 2, "the first two purchases")
    kcfix("-C", CONTEXT, "lag", "--group", GROUP)

    say(
        "The purchase-worker stops. Customers go on paying: two payments wait behind a committed offset, two lie in the"
    )
    say(
        "partition without one, where a plain restart would skip them, and the message of one was never sent.",
        first=False,
    )
    kcfix("drill", "break", "worker-stopped", "--name", NAME)
    waiting = buy("1", "--partition", "0") + buy("1", "--partition", "1")
    at_risk = buy("2", "--partition", "2")
    unsent = buy("1", "--unsent")
    last = time.monotonic()
    missing = waiting + at_risk + unsent

    say(f"A minute later the payments are overdue ({OVERDUE_SECONDS} s) and the operator looks.")
    time.sleep(max(0.0, OVERDUE_SECONDS + 2 - (time.monotonic() - last)))
    kcfix("-C", CONTEXT, "status", codes=(1,))
    kcfix("-C", CONTEXT, "logs", WORKER, "-n", "5")
    say(
        "Who is affected, and with how much money? A plain restart would settle two of the five, and lose two for good."
    )
    kcfix("-C", CONTEXT, "missing", codes=(1,))
    kcfix("-C", CONTEXT, "lag", "--group", GROUP)
    say("One customer is on the phone: what became of this payment?")
    kcfix("-C", CONTEXT, "trace", *unsent, codes=(1,))

    say("What would be done about all of them? A plan, for a second pair of eyes. Nothing is changed yet.")
    listed = kcfix("-C", CONTEXT, "missing", "-q", codes=(1,), capture=True, into="| ")
    kcfix("-C", CONTEXT, "repair", "-", "--plan", str(plan), given=listed)
    say("Do exactly that. What waits behind a committed offset is left to the worker.")
    kcfix("-C", CONTEXT, "repair", "--apply-plan", str(plan), "--yes", "--reason", "the worker was down")
    say("Bring the worker back without skipping anything.")
    kcfix("-C", CONTEXT, "restart", WORKER, "--yes")
    until(lambda: figures(drill)[2] == figures(drill)[0] == allocated(drill), "the purchases of the waiting payments")

    say("Is everybody served? A statement that can be shown in the morning, and checked by anybody.")
    kcfix("-C", CONTEXT, "missing", "--certify")
    say("And if a repair was wrong? What of it could be taken back, and what can't: a dry run.")
    kcfix("-C", CONTEXT, "undo", repair_run())
    kcfix("-C", CONTEXT, "status", codes=(0, 1))

    say("The check, asked of the database itself:")
    print(QUERY.strip("\n"))
    payments, purchases, exactly_one, duplicates = figures(drill)
    print(f"\n  payments succeeded          {payments}")
    print(f"  purchases                   {purchases}")
    print(f"  payments with exactly one   {exactly_one}")
    print(f"  payments with duplicates    {duplicates}", flush=True)
    return payments == exactly_one == purchases == 2 + len(missing) and duplicates == 0


class Failed(Exception):
    """A step went otherwise than the story goes."""


def figures(drill: Drill) -> tuple[int, int, int, int]:
    """Payments succeeded, purchases, payments with exactly one purchase, payments with several."""
    with psycopg.connect(drill.dsn, connect_timeout=5) as connection:
        row = connection.execute(QUERY).fetchone()
    if row is None:
        raise Failed("the database gave no figures")
    return int(row[0]), int(row[1]), int(row[2]), int(row[3])


def allocated(drill: Drill) -> int:
    """Approved allocations: the flow goes on behind the purchases."""
    with psycopg.connect(drill.dsn, connect_timeout=5) as connection:
        row = connection.execute("SELECT count(*) FROM trainer_allocations WHERE status = 'approved'").fetchone()
    return int(row[0]) if row else 0


def repair_run() -> str:
    """The id of the repair in the journal."""
    listed = subprocess.run(
        [*_program(), "-C", CONTEXT, "history", "-o", "json"], check=True, text=True, stdout=subprocess.PIPE
    )
    runs = json.loads(listed.stdout)["data"]
    return next(str(run["run"]) for run in runs if run["command"] == "repair" and run["context"] == CONTEXT)


def buy(*arguments: str) -> list[str]:
    """Act as payment-service; the ids of the payments."""
    out = kcfix("drill", "buy", *arguments, "--name", NAME, "-q", capture=True)
    print(out, end="", flush=True)
    return out.split()


def kcfix(
    *arguments: str, codes: Sequence[int] = (0,), capture: bool = False, given: str | None = None, into: str = ""
) -> str:
    """Show a command as it is typed, run it and show what it says; its output where it is captured.

    `given` goes to its standard input. With `into` the command line goes on behind it: its output is for the next one.
    """
    shown = f"{'' if given is not None else '$ '}kcfix {shlex.join(arguments)}{' ' if into else ''}{into}"
    bold = sys.stdout.isatty()
    print(f"\033[1m{shown}\033[0m" if bold else shown, end="" if into else "\n", flush=True)
    done = subprocess.run(
        [*_program(), *arguments],
        check=False,
        text=True,
        input=given,
        stdout=subprocess.PIPE if capture else None,
        timeout=180,
    )
    if done.returncode not in codes:
        raise Failed(f"`kcfix {shlex.join(arguments)}` ended with exit code {done.returncode}")
    return done.stdout or ""


def until(seen: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not seen within {seconds:.0f} s")
        time.sleep(0.3)


def say(text: str, *, first: bool = True) -> None:
    """A sentence of the story."""
    print(f"{chr(10) if first else ''}# {text}", flush=True)


def _program() -> list[str]:
    beside = Path(sys.executable).with_name("kcfix")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "kcfix"]


if __name__ == "__main__":
    sys.exit(main())

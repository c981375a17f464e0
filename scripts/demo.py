"""Play the incident on a drill, command by command as an operator would type it, and check that nothing was lost.

Exit code 0 only if at the end every payment has exactly one purchase. `KEEP=1` keeps the drill.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
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
        whole = play()
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


def play() -> bool:
    """The story; whether every payment has exactly one purchase at its end."""
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
    kcfix("-C", CONTEXT, "lag", "--group", GROUP)
    kcfix("-C", CONTEXT, "logs", WORKER, "-n", "12")

    say("What became of these payments, and what would be done? Nothing is changed yet.")
    kcfix("-C", CONTEXT, "repair", *missing, codes=(0, 1))
    say("Do it. What waits behind a committed offset is left to the worker, so not all is settled yet (exit code 6).")
    kcfix("-C", CONTEXT, "repair", *missing, "--apply", "--yes", codes=(6,))
    say("Bring the worker back without skipping anything.")
    kcfix("-C", CONTEXT, "restart", WORKER, "--yes")
    until(lambda: figures(drill)[2] == figures(drill)[0], "the purchases of the waiting payments")
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


def buy(*arguments: str) -> list[str]:
    """Act as payment-service; the ids of the payments."""
    out = kcfix("drill", "buy", *arguments, "--name", NAME, "-q", capture=True)
    print(out, end="", flush=True)
    return out.split()


def kcfix(*arguments: str, codes: Sequence[int] = (0,), capture: bool = False) -> str:
    """Show a command as it is typed, run it and show what it says; its output where it is captured."""
    shown = f"$ kcfix {shlex.join(arguments)}"
    print(f"\033[1m{shown}\033[0m" if sys.stdout.isatty() else shown, flush=True)
    done = subprocess.run(
        [*_program(), *arguments], check=False, text=True, stdout=subprocess.PIPE if capture else None, timeout=180
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

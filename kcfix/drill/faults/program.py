"""Faults of the program that was deployed: it runs, and does the wrong thing, as code that passed review can."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from kcfix.drill import groups, wire
from kcfix.drill.faults.configuration import renew_and_recover
from kcfix.drill.faults.containers import ALLOCATION
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import FLOW, GROUP, TOPIC, WORKER, Site, State, group_of
from kcfix.errors import Refused

WRONG_GROUP = "purchase-creation-worker"
Change = tuple[str, str, str]
"""File of the worker's program, the words in it, and the words in their place."""

GROUP_RENAMED: Change = ("roles/purchase.js", "'purchase-creation-workers'", f"'{WRONG_GROUP}'")
TOPIC_RENAMED: Change = ("roles/purchase.js", "['purchase-confirmed']", "['purchases-confirmed']")
FILE_FORGOTTEN: Change = ("roles/purchase.js", "'./purchase-store'", "'./purchase-stores'")
AWAIT_FORGOTTEN: Change = (
    "roles/purchase.js",
    "(event, position) => this.handle(event, position),",
    "async (event, position) => { this.handle(event, position).catch(() => undefined); },",
)
SLOW_CALL: Change = (
    "roles/purchase.js",
    "    logWithContext('info', 'Processing PURCHASE_CONFIRMED event', context);\n",
    "    logWithContext('info', 'Processing PURCHASE_CONFIRMED event', context);\n"
    "    await new Promise((resolve) => setTimeout(resolve, 4000));\n",
)
COLUMN_AHEAD: Change = (
    "roles/purchase-store.js",
    "'(student_id, course_id, purchase_tier, expiry_date,",
    "'(student_id, course_id, purchase_tier, start_date,",
)
GROUP_COPIED: Change = ("roles/allocation.js", "'trainer-allocation-workers'", "'purchase-creation-workers'")


def deploy(site: Site, change: Change, *, back: bool = False) -> None:
    """Changes the program that the workers load when they start; `back` undoes it, where it is there.

    Raises:
        Refused: the words are not there, for another fault has changed them. Nothing was changed.
    """
    name, before, after = change
    path = Path(site.drill.data_folder) / "worker" / name
    text = path.read_text(encoding="utf-8")
    if back:
        path.write_text(text.replace(after, before), encoding="utf-8")
        return
    if before not in text:
        raise Refused(f"{name} is changed already", hint="kcfix drill mend")
    path.write_text(text.replace(before, after), encoding="utf-8")


def deploy_wrong_group(site: Site) -> State:
    """The new group has no offsets: what came during the deployment is skipped, what comes later is handled in it."""
    return _deploy_over_waiting(site, GROUP_RENAMED, joined=WRONG_GROUP)


def deploy_wrong_topic(site: Site) -> State:
    """The worker asks for a topic that is not there, ends, and is started again and again."""
    state = _deploy_over_waiting(site, TOPIC_RENAMED)
    site.wait_crashed(times=1)
    return state


def deploy_unloadable(site: Site) -> State:
    """The program does not load, for a file of it was forgotten."""
    state = _deploy_over_waiting(site, FILE_FORGOTTEN)
    site.wait_crashed(times=1)
    return state


def deploy_column_ahead(site: Site) -> State:
    """The program writes a column that no migration has made: each payment is poison."""
    state = _deploy_over_waiting(site, COLUMN_AHEAD, joined=GROUP)
    site.wait_said(WORKER, "start_date")
    return state


def deploy_slow(site: Site) -> State:
    """The program waits seconds for another service at each message, and more come than it can handle."""
    deploy(site, SLOW_CALL)
    site.stop_protected()
    site.make_worker()
    groups.wait_joined(site.drill, GROUP)
    return {"payments": site.pay_each(10)}


def deploy_without_await(site: Site) -> State:
    """Offsets are committed before the purchase is written; the process dies in between, and the payments are lost."""
    deploy(site, AWAIT_FORGOTTEN)
    site.stop_protected()
    site.make_worker()
    groups.wait_joined(site.drill, GROUP)
    with psycopg.connect(site.drill.dsn) as held:  # a migration that holds the table for a moment
        held.execute("LOCK TABLE student_course_purchases IN ACCESS EXCLUSIVE MODE")
        state: State = {"payments": site.pay_each()}
        site.remember(state)
        for partition, (_, end) in wire.ends(site.drill, TOPIC).items():
            groups.wait_committed(site.drill, GROUP, TOPIC, partition, end)
        site.engine.kill(site.drill, WORKER)
    groups.dismiss(site.drill, GROUP, WORKER)
    site.start_worker()
    return state


def _deploy_over_waiting(site: Site, change: Change, joined: str | None = None) -> State:
    """Payments come while the worker is down for the deployment."""
    deploy(site, change)
    site.stop_protected()
    state: State = {"payments": site.pay_each()}
    site.remember(state)
    site.make_worker()
    if joined:
        groups.wait_joined(site.drill, joined)
    return state


def roll_back_group(site: Site, state: State) -> None:
    """The old program in the old group, which has kept its offsets; the other group goes."""
    deploy(site, GROUP_RENAMED, back=True)
    site.stop_worker()
    groups.dismiss(site.drill, WRONG_GROUP, WORKER)
    renew_and_recover(site, state)
    groups.dissolve(site.drill, WRONG_GROUP)


def deploy_copied_group(site: Site) -> State:
    """allocation-worker joins purchase-worker's group with its own topic: partitions of either go to who won't read."""
    deploy(site, GROUP_COPIED)
    site.stop_worker(ALLOCATION)
    since = time.time()
    site.make_worker(ALLOCATION)
    groups.wait_joined(site.drill, GROUP, since=since)
    return {"payments": site.pay_each()}


def roll_back_copied_group(site: Site, state: State) -> None:
    """allocation-worker goes back to its group; what it did not see meanwhile is announced again."""
    deploy(site, GROUP_COPIED, back=True)
    site.stop_worker(ALLOCATION)
    groups.dismiss(site.drill, GROUP, ALLOCATION)
    site.protect(group_of(ALLOCATION), FLOW.purchase_created)
    site.renew_worker(ALLOCATION)
    site.recover(state.get("payments", []))
    site.wait_purchased(state.get("payments", []))
    site.announce_again(state.get("payments", []))


def _rolled_back(change: Change) -> Callable[[Site, State], None]:
    def undo(site: Site, state: State) -> None:
        """The old program is deployed again; what it has missed is sent again."""
        deploy(site, change, back=True)
        renew_and_recover(site, state)

    return undo


FAULTS = (
    Fault(
        "wrong-group",
        Area.PROGRAM,
        ("1", "6"),
        "purchase-worker was deployed with a mistyped group id: a new group, which skipped three payments",
        "group purchase-creation-workers Empty with lag, while purchases are made in purchase-creation-worker",
        deploy_wrong_group,
        roll_back_group,
    ),
    Fault(
        "wrong-topic",
        Area.PROGRAM,
        ("12",),
        "purchase-worker was deployed with a mistyped topic and ends at each start",
        "container restarting (1), its log: does not host this topic-partition; lag grows",
        deploy_wrong_topic,
        _rolled_back(TOPIC_RENAMED),
    ),
    Fault(
        "program-does-not-load",
        Area.PROGRAM,
        ("5",),
        "purchase-worker was deployed without one of its files and ends at each start",
        "container restarting (1), its log: Cannot find module",
        deploy_unloadable,
        _rolled_back(FILE_FORGOTTEN),
    ),
    Fault(
        "program-ahead-of-database",
        Area.PROGRAM,
        ("47", "3"),
        'purchase-worker writes a column "start_date" that no migration has made: every payment is poison',
        "joined, in a loop of crashes; its log and the dead letters: column does not exist",
        deploy_column_ahead,
        _rolled_back(COLUMN_AHEAD),
    ),
    Fault(
        "slow-consumer",
        Area.PROGRAM,
        (),
        "purchase-worker waits four seconds for another service at each payment, and more come than it can handle",
        "no error; lag on all partitions, going down by less than one payment in four seconds",
        deploy_slow,
        _rolled_back(SLOW_CALL),
    ),
    Fault(
        "commit-before-write",
        Area.PROGRAM,
        ("1",),
        "purchase-worker was deployed without an `await`: offsets are committed before purchases are written, and lost",
        "committed offsets at the log end, no dead letter, and three payments behind them without a purchase",
        deploy_without_await,
        _rolled_back(AWAIT_FORGOTTEN),
    ),
    Fault(
        "group-shared",
        Area.PROGRAM,
        ("1",),
        "allocation-worker was deployed with purchase-worker's group id: two subscriptions in one group",
        "two kinds of clients in one group, partitions that nobody reads; the other group Empty",
        deploy_copied_group,
        roll_back_copied_group,
    ),
)

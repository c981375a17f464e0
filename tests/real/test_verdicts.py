"""Each verdict, made on a drill by its real cause, is named right by `trace`, `missing` and `repair`: one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from kcfix.core.judging.verdict import VerdictKind as Is
from kcfix.core.repair.plan import Action as Does
from kcfix.drill.engine import connected
from kcfix.drill.state import Drill
from tests.real import repair_world
from tests.real.conftest import Kcfix
from tests.real.verdicts_world import World

system = repair_world.system


@dataclass(frozen=True, slots=True)
class Case:
    """A payment of the world at one moment, what is the case with it then, and what repair would do about it."""

    name: str
    verdict: Is
    action: Does
    detail: str | None = None
    in_silence: Is | None = None
    """The verdict once the broker is silent; None: the same, for the tables alone decide it."""
    when: str = "stopped"
    """How the worker is at that moment."""


LIVE = (
    Case("never sent", Is.NEVER_SENT, Does.REPLAY, when="working"),
    Case("never emitted", Is.NEVER_EMITTED, Does.REPLAY, when="working"),
    Case("expired", Is.EXPIRED, Does.REPLAY, when="working"),
    Case("passed", Is.SKIPPED, Does.REPLAY, when="working"),
    Case("skipped", Is.SKIPPED, Does.INSERT, when="working"),  # its partition has no committed offset
    Case("dead-lettered", Is.DEAD_LETTERED, Does.INSERT, when="working"),
    Case("poison", Is.POISON, Does.REFUSE, when="looping"),  # its cause, an unknown course, is still there
    Case("blocked", Is.BLOCKED, Does.WAIT, when="looping"),
    Case("never sent", Is.NEVER_SENT, Does.INSERT, when="looping"),
)
STILL = (
    Case("not found", Is.NOT_FOUND, Does.NOT_FOUND),
    Case("refunded", Is.REFUNDED, Does.REFUSE),
    Case("not succeeded", Is.NOT_SUCCEEDED, Does.REFUSE),
    Case("no course", Is.NO_COURSE, Does.REFUSE),
    Case("duplicate purchases", Is.DUPLICATE_PURCHASES, Does.REFUSE),
    Case("double charge", Is.SECOND_PAYMENT, Does.REFUSE, "double_charge"),
    Case("upgrade", Is.SECOND_PAYMENT, Does.REFUSE, "upgrade"),
    Case("next cycle", Is.SECOND_PAYMENT, Does.REFUSE, "next_cycle"),
    Case("other", Is.SECOND_PAYMENT, Does.REFUSE, "other"),
    Case("unmatched purchase", Is.SECOND_PAYMENT, Does.REFUSE, "unmatched_purchase"),
    Case("wrong tier", Is.WRONG_TIER, Does.REFUSE),
    Case("made by hand", Is.UNANNOUNCED, Does.ANNOUNCE, in_silence=Is.UNKNOWN),
    Case("kcfix killed", Is.UNANNOUNCED, Does.ANNOUNCE, in_silence=Is.UNKNOWN),
    Case("no allocation", Is.NO_ALLOCATION, Does.REFUSE, in_silence=Is.UNKNOWN),
    Case("pending allocation", Is.PENDING_ALLOCATION, Does.REFUSE),
    Case("no sessions", Is.NO_SESSIONS, Does.REFUSE),
    Case("purchased", Is.PURCHASED, Does.NOTHING),
    Case("first of upgrade", Is.PURCHASED, Does.NOTHING),
    Case("poison", Is.POISON, Does.INSERT, in_silence=Is.UNKNOWN),
    Case("tier 12", Is.BAD_TIER, Does.REFUSE, in_silence=Is.UNKNOWN),
    Case("no tier", Is.BAD_TIER, Does.REFUSE, in_silence=Is.UNKNOWN),
    Case("unknown course", Is.UNKNOWN_COURSE, Does.REFUSE, in_silence=Is.UNKNOWN),
    Case("blocked", Is.BLOCKED, Does.WAIT, in_silence=Is.UNKNOWN),
    Case("in flight", Is.IN_FLIGHT, Does.WAIT, in_silence=Is.UNKNOWN),
    Case("pending", Is.PENDING, Does.WAIT, in_silence=Is.UNKNOWN),
    Case("at risk", Is.AT_RISK, Does.INSERT, in_silence=Is.UNKNOWN),
    Case("dead-lettered", Is.DEAD_LETTERED, Does.INSERT, in_silence=Is.UNKNOWN),
    Case("skipped", Is.SKIPPED, Does.INSERT, in_silence=Is.UNKNOWN),
    Case("passed", Is.SKIPPED, Does.INSERT, in_silence=Is.UNKNOWN),
    Case("expired", Is.EXPIRED, Does.INSERT, in_silence=Is.UNKNOWN),
    Case("never sent", Is.NEVER_SENT, Does.INSERT, in_silence=Is.UNKNOWN),
    # What a person has deleted is younger than retention: nothing tells it from what was not sent, and `also` says so.
    Case("deleted by hand", Is.NEVER_SENT, Does.INSERT, in_silence=Is.UNKNOWN),
    Case("never emitted", Is.NEVER_EMITTED, Does.INSERT, in_silence=Is.UNKNOWN),
)
CASES = (*LIVE, *STILL)
NOT_LISTED = (Is.NOT_FOUND, Is.REFUNDED, Is.NOT_SUCCEEDED, Is.PURCHASED, Is.IN_FLIGHT)
"""Verdicts that are no finding of `missing`: nothing is owed, it is settled, or it is not overdue."""
NOT_MADE: Mapping[Is, str] = {}
"""Verdicts without a case, each with the reason why a drill can't have its real cause: none."""
Rows = Mapping[str, dict[str, Any]]
COMMANDS = ("trace", "missing", "repair")
every_command = pytest.mark.parametrize("command", COMMANDS)


def every(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """A test for each case."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: f"{case.name}, {case.when}")


@dataclass(frozen=True, slots=True)
class Told:
    """What the three commands told of all payments that there were, at each moment."""

    world: World
    rows: Mapping[str, Mapping[str, Rows]]
    """By moment, command and payment."""

    def of(self, command: str, case: Case, when: str | None = None) -> dict[str, Any] | None:
        """The row of this case, at its own moment if no other is named; None where the command has none."""
        return self.rows[when or case.when][command].get(self.world.ids[case.name])


@pytest.fixture(scope="module")
def told(system: Drill, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Every case made, and looked at at each moment."""
    with connected() as engine, psycopg.connect(system.dsn, autocommit=True) as database:
        world = World(system, engine, database, tmp_path_factory.mktemp("verdicts"))
        return Told(world, {moment: ask(world) for moment in world.make()})


def ask(world: World) -> Mapping[str, Rows]:
    """Run each command once for all payments, all three at once."""
    kcfix = Kcfix(world.folder, f"drill:{world.drill.name}")
    ids = tuple(world.ids.values())
    words = {"trace": ids, "missing": ("--since", "9d"), "repair": ids}

    def rows(command: str) -> Rows:
        ran = kcfix(command, *words[command], "-o", "json")
        assert ran.out, ran.err
        return {row["payment_id"]: row for row in ran.rows}

    with ThreadPoolExecutor(len(COMMANDS)) as pool:
        return dict(zip(COMMANDS, pool.map(rows, COMMANDS), strict=True))


def named(row: dict[str, Any] | None) -> tuple[str, str | None] | None:
    """Verdict and detail of a row."""
    return None if row is None else (row["verdict"], row["detail"])


def test_every_verdict_and_kind_of_second_payment_has_a_case_or_a_reason() -> None:
    kinds = {case.detail for case in CASES if case.verdict is Is.SECOND_PAYMENT}
    assert kinds == {"double_charge", "upgrade", "next_cycle", "other", "unmatched_purchase"}
    made = {case.verdict for case in CASES} | {case.in_silence for case in CASES if case.in_silence}
    assert made | set(NOT_MADE) == set(Is)
    assert not made & set(NOT_MADE)


@every_command
@every(CASES)
def test_a_verdict_is_named_right(told: Told, case: Case, command: str) -> None:
    row = told.of(command, case)
    if command == "missing" and case.verdict in NOT_LISTED:
        assert row is None
    else:
        assert named(row) == (case.verdict, case.detail), row


@every(CASES)
def test_what_repair_does_follows_from_the_verdict(told: Told, case: Case) -> None:
    row = told.of("repair", case)
    assert row is not None
    assert row["action"] == case.action, row


@every_command
@every(STILL)
def test_without_the_broker_what_rests_on_the_log_is_unknown(told: Told, case: Case, command: str) -> None:
    row = told.of(command, case, "without kafka")
    if command == "missing" and case.verdict in NOT_LISTED:
        assert row is None or row["verdict"] == case.in_silence, row  # in flight, until it is overdue
    else:
        expected = case.in_silence or case.verdict
        assert named(row) == (expected, case.detail), row
    if command == "repair" and case.in_silence is Is.UNKNOWN:
        assert row is not None
        assert row["action"] == Does.UNKNOWN, row


@pytest.mark.parametrize("command", ["trace", "repair"])
def test_without_the_database_all_is_unknown(told: Told, command: str) -> None:
    assert {named(told.of(command, case, "without both")) for case in STILL} == {(Is.UNKNOWN, None)}
    assert told.rows["without both"]["missing"] == {}

"""Each command with exactly the rights of kcfix/core/permissions.py, and with each of them taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from kcfix.core.events import murmur2_partition
from kcfix.core.permissions import PERMISSIONS, kafka_rights, table_rights
from kcfix.core.rights import Right
from tests.conftest import Ran
from tests.fakes_docker import container
from tests.real.rights_world import APPLY, FLOW, LETTER, RightsWorld, engine, rights_world

PURCHASE = FLOW.stages[0]
GROUP = ("--group", PURCHASE.group)
Arguments = Callable[[RightsWorld], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """How a command is called so that it needs all of its rights."""

    command: str
    arguments: Arguments = lambda _: ()
    change: bool = False
    only_purchases: bool = False
    codes: tuple[int, ...] = (0, 1)
    """How it ends when nothing is missing."""
    unused: tuple[Right, ...] = ()
    """Rights that this call happens not to need."""

    @property
    def kafka(self) -> Mapping[Right, str]:
        stages = (PURCHASE,) if self.only_purchases else None
        return kafka_rights(self.command, FLOW, change=self.change, stages=stages)

    @property
    def tables(self) -> tuple[Right, ...]:
        return table_rights(self.command, FLOW, change=self.change)


def _lost(*words: str) -> Arguments:
    return lambda world: (world.lost(), *words)


def _exported(world: RightsWorld) -> tuple[str, ...]:
    path = world.folder / "offsets.csv"
    path.write_text(f"{PURCHASE.group},{PURCHASE.topics[0]},0,0\n")
    return (*GROUP, str(path))


def _standing(world: RightsWorld) -> tuple[str, ...]:
    where = murmur2_partition(world.waiting.encode(), 3)
    return (*GROUP, "--topic", f"{FLOW.purchase_confirmed}:{where}", "--skip", world.waiting)


CASES = (
    Case("status"),
    Case("missing"),
    Case("lag"),
    Case("topics"),
    Case("doctor"),
    Case("trace", lambda world: (world.settled, world.lost_before)),
    Case("repair", lambda world: ("--missing",)),
    Case("repair", _lost(*APPLY), change=True, unused=(Right("Write", "topic", FLOW.purchase_confirmed),)),
    Case("restart", lambda _: (PURCHASE.worker, "--dry-run"), only_purchases=True),
    Case("offsets show"),
    Case("offsets reset", lambda _: (*GROUP, "--to", "first-unsettled"), only_purchases=True),
    Case("offsets reset", lambda _: (*GROUP, "--to", "earliest", *APPLY), only_purchases=True, change=True),
    Case("offsets skip-one", _standing, only_purchases=True),
    Case("offsets pin", lambda _: GROUP, only_purchases=True),
    Case("offsets export", lambda world: (*GROUP, str(world.folder / "out.json")), only_purchases=True),
    Case("offsets import", _exported, only_purchases=True),
    Case("dlq list", only_purchases=True),
    Case("dlq show", lambda _: (LETTER,), only_purchases=True),
    Case("dlq replay", lambda _: (LETTER,), only_purchases=True),
    Case("dlq park", lambda _: (LETTER, "--reason", "made up"), only_purchases=True),
    Case("undo", lambda world: (world.inserted(), *APPLY), change=True),
    Case("undo", lambda world: (world.moved(), *APPLY), change=True),
)
IDS = [f"{case.command}{' --apply' if case.change else ''}" for case in CASES]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RightsWorld]:
    with rights_world(tmp_path_factory.mktemp("rights")) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_command_works_with_exactly_its_rights_and_names_each_that_is_taken_away(
    case: Case, world: RightsWorld
) -> None:
    wrong: list[str] = []
    users = world.kafka_users([case.kafka, *({r: "" for r in case.kafka if r != gone} for gone in case.kafka)])
    dsn = world.table_user(case.tables)
    argv = case.command.split()
    ran = world.run(*argv, *case.arguments(world), user=users[0], dsn=dsn)
    if ran.code not in case.codes or "no right" in ran.err + ran.out or "missing right" in ran.err:
        wrong.append(f"with all rights: {_told(ran)}")
    for gone, user in zip(case.kafka, users[1:], strict=True):
        ran = world.run(*argv, *case.arguments(world), user=user, dsn=dsn)
        if gone not in case.unused and world.line(gone, user) not in ran.err:
            wrong.append(f"without {gone}: {_told(ran)}")
    for lacking in case.tables:
        role = world.table_user(r for r in case.tables if r != lacking)
        ran = world.run(*argv, *case.arguments(world), user=users[0], dsn=role)
        if f"GRANT {lacking.operation} ON {lacking.name} TO" not in ran.err:
            wrong.append(f"without {lacking}: {_told(ran)}")
    assert not wrong, "\n".join(wrong)


def test_a_restart_needs_to_commit_where_a_start_would_skip(world: RightsWorld) -> None:
    session = FLOW.stages[2]
    world.unpin(session.group, FLOW.trainer_allocated, 0)
    rights = kafka_rights("restart", FLOW, change=True, stages=(session,))
    gone = Right("Read", "group", session.group)
    kept = {r: "" for r in rights if r != gone}
    without, whole = world.kafka_users([[*kept, Right("Describe", "group", session.group)], rights])
    argv, dsn = (
        ("restart", session.worker, "--yes", "--wait", "1s"),
        world.table_user(table_rights("restart", FLOW, change=True)),
    )
    ran = world.run(*argv, user=without, dsn=dsn, docker=engine(container(session.worker)))
    assert (ran.code, world.line(gone, without) in ran.err) == (6, True), ran.err
    ran = world.run(*argv, user=whole, dsn=dsn, docker=engine(container(session.worker)))
    assert "missing right" not in ran.err
    assert f"{FLOW.trainer_allocated}-0" in ran.out, "it was pinned; that no worker of flesh joins is another matter"
    assert world.committed(session.group, FLOW.trainer_allocated, 0) is not None


@pytest.mark.parametrize("command", ["repair", "dlq replay"])
def test_sending_an_event_again_needs_to_write_its_topic(world: RightsWorld, command: str) -> None:
    rights = kafka_rights(command, FLOW, change=True, stages=(PURCHASE,) if command != "repair" else None)
    gone = Right("Write", "topic", FLOW.purchase_confirmed)
    without, whole = world.kafka_users([[r for r in rights if r != gone], rights])
    dsn = world.table_user(table_rights(command, FLOW, change=True))
    with world.working() as docker:
        for user in (without, whole):
            what = (
                ("repair", world.lost(), "--strategy", "replay") if command == "repair" else ("dlq", "replay", LETTER)
            )
            ran = world.run(*what, *APPLY, "--wait", "1s", user=user, dsn=dsn, docker=docker)
            assert (world.line(gone, user) in ran.err) == (user == without), ran.err + ran.out
            assert "UNSEEN" in ran.out or user == without, ran.err + ran.out


def test_the_line_that_is_printed_gives_the_right(world: RightsWorld) -> None:
    rights = kafka_rights("topics", FLOW, change=False)
    gone = Right("Read", "topic", FLOW.dead_letters)
    [user] = world.kafka_users([[*(r for r in rights if r != gone), Right("Describe", "topic", gone.name)]])
    dsn = world.table_user([Right("SELECT", "table", "payments")])
    ran = world.run("topics", user=user, dsn=dsn)
    line = ran.err.strip().rpartition("this gives it: ")[2]
    assert line == world.line(gone, user)
    world.run_kafka_acls(line)
    assert world.run("topics", user=user, dsn=dsn).err == ""
    ran = world.run("missing", user="admin", dsn=dsn)
    while "GRANT" in ran.err:
        hint = ran.err[ran.err.index("GRANT") :].splitlines()[0]
        world.postgres.execute(hint)
        ran = world.run("missing", user="admin", dsn=dsn)
    assert ran.code == 1, ran.err


def test_every_command_of_the_table_is_tried() -> None:
    assert {case.command for case in CASES} == set(PERMISSIONS)


def _told(ran: Ran) -> str:
    return f"exit {ran.code}: {ran.err.strip()[:600]}"

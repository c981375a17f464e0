"""Each command with exactly the rights of kcfix/core/permissions.py, and with each of them taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from kcfix.core.permissions import PERMISSIONS, kafka_rights, table_rights
from kcfix.core.rights import Right
from tests.conftest import Ran
from tests.real.rights_world import FLOW, LETTER, RightsWorld, rights_world

PURCHASE = FLOW.stages[0]
GROUP = ("--group", PURCHASE.group)
APPLY = ("--apply", "--yes")
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
    Case("offsets pin", lambda _: GROUP, only_purchases=True),
    Case("offsets export", lambda world: (*GROUP, str(world.folder / "out.json")), only_purchases=True),
    Case("offsets import", _exported, only_purchases=True),
    Case("dlq list", only_purchases=True),
    Case("dlq show", lambda _: (LETTER,), only_purchases=True),
    Case("dlq replay", lambda _: (LETTER,), only_purchases=True),
    Case("dlq park", lambda _: (LETTER, "--reason", "made up"), only_purchases=True),
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


def test_every_command_of_the_table_is_tried() -> None:
    assert {case.command for case in CASES} | {"offsets skip-one", "undo"} == set(PERMISSIONS)


def _told(ran: Ran) -> str:
    return f"exit {ran.code}: {ran.err.strip()[:600]}"

"""Each command with exactly the rights of kcfix/core/permissions.py, and with each of them taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from kcfix.core.events import murmur2_partition
from kcfix.core.permissions import PERMISSIONS, kafka_rights, table_rights
from kcfix.core.rights import Right
from kcfix.drill.network import free_ports
from kcfix.errors import INTERRUPTED
from kcfix.flow import Stage
from tests.conftest import Ran
from tests.fakes_docker import container
from tests.real.rights_world import APPLY, FIRST, FLOW, LETTER, RightsWorld, engine, rights_world


def _committed_by(stage: Stage) -> list[tuple[str, str]]:
    return [("group", stage.group), *(("topic", topic) for topic in stage.topics)]


PURCHASE = FLOW.stages[0]
WRITE_CONFIRMED = Right("Write", "topic", FLOW.purchase_confirmed)
COMMITS = tuple(Right("Read", kind, name) for s in FLOW.stages for kind, name in _committed_by(s))
OTHER_COMMITS = tuple(right for right in COMMITS if right.name != PURCHASE.group)
OTHER_GROUPS = tuple(Right("Describe", "group", s.group) for s in FLOW.stages[2:])
DELETE = Right("DELETE", "table", FLOW.tables.purchases)
STUDENT = "5d000000-0000-4000-8000-0000000000aa"
GROUP = ("--group", PURCHASE.group)
Arguments = Callable[[RightsWorld], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """How a command is called so that it needs all of its rights."""

    command: str
    arguments: Arguments = lambda _: ()
    change: bool = False
    stage: Stage | None = None
    """The only one that it is about."""
    codes: tuple[int, ...] = (0, 1)
    """How it ends when nothing is missing."""
    unused: tuple[Right, ...] = ()
    """Rights that this call happens not to need."""
    endless: bool = False
    """It is interrupted after its first look, and ends with 130."""

    @property
    def kafka(self) -> Mapping[Right, str]:
        return kafka_rights(self.command, FLOW, change=self.change, stages=(self.stage,) if self.stage else None)

    @property
    def tables(self) -> tuple[Right, ...]:
        return table_rights(self.command, FLOW, change=self.change)

    @property
    def codes_without(self) -> tuple[int, ...]:
        """How it may end without a right (decisions.md 5): looking, it says less or nothing; a change is not made."""
        if self.endless:
            return (INTERRUPTED,)
        return (4, 5, 6) if self.change else (0, 1, 4)

    def look(self) -> Case:
        """The same without the change."""
        return replace(self, change=False)

    def tried(self, rights: Iterable[Right], looking: Iterable[Right]) -> list[Right]:
        """Those of the rights that are taken away: to change something, only what is needed besides looking."""
        kept = {*self.unused, *(looking if self.change else ())}
        return [right for right in rights if right not in kept]


def _exported(world: RightsWorld) -> tuple[str, ...]:
    path = world.folder / "offsets.csv"
    where = murmur2_partition(world.settled.encode(), 3)
    path.write_text(f"{PURCHASE.group},{FLOW.purchase_confirmed},{where},{FIRST}\n")
    return (*_at_the_end(world), str(path))


def _at_the_end(world: RightsWorld) -> tuple[str, ...]:
    world.commit(PURCHASE.group, PURCHASE.topics)
    return GROUP


def _standing(world: RightsWorld) -> tuple[str, ...]:
    world.commit(PURCHASE.group, PURCHASE.topics, nothing=True)
    where = murmur2_partition(world.waiting.encode(), 3)
    return (*GROUP, "--topic", f"{FLOW.purchase_confirmed}:{where}", "--skip", world.waiting)


def _unparked(world: RightsWorld) -> tuple[str, ...]:
    world.unparked()
    return (*_letter(world), "--reason", "made up")


def _passive(world: RightsWorld) -> tuple[str, ...]:
    world.lost(to_come=True)
    return "--passive", "--wait", "0s"


def _letter(world: RightsWorld) -> tuple[str, ...]:
    return *_waits(world), LETTER


def _waits(world: RightsWorld) -> tuple[str, ...]:
    world.commit(PURCHASE.group, PURCHASE.topics, nothing=True)
    return ()


def _unpinned(*words: str) -> Arguments:
    def arguments(world: RightsWorld) -> tuple[str, ...]:
        world.unpin()
        return words

    return arguments


CASES = (
    Case("status", _waits),
    Case("missing"),
    Case("lag"),
    Case("watch", codes=(INTERRUPTED,), endless=True),
    Case("monitor", lambda _: ("--listen", f"127.0.0.1:{free_ports(1)[0]}"), codes=(INTERRUPTED,), endless=True),
    Case("topics"),
    Case("doctor"),
    Case("trace", lambda world: (world.settled, world.lost_before)),
    Case("probe", _passive),
    Case("repair", lambda world: ("--missing",)),
    Case("repair", lambda world: (world.lost(), *APPLY), change=True, unused=(WRITE_CONFIRMED,)),
    Case("restart", _unpinned(PURCHASE.worker, "--dry-run"), stage=PURCHASE),
    Case("offsets show"),
    Case("offsets reset", lambda w: (*_at_the_end(w), "--to", "first-unsettled"), stage=PURCHASE),
    Case("offsets reset", lambda w: (*_at_the_end(w), "--to", "earliest", *APPLY), stage=PURCHASE, change=True),
    Case("offsets pin", _unpinned(*GROUP), stage=PURCHASE),
    Case("offsets skip-one", _standing, stage=PURCHASE),
    Case("offsets export", lambda world: (*GROUP, str(world.folder / "out.json")), stage=PURCHASE),
    Case("offsets import", _exported, stage=PURCHASE),
    Case("dlq list", _waits, stage=PURCHASE),
    Case("dlq show", _letter, stage=PURCHASE),
    Case("dlq replay", _letter, stage=PURCHASE),
    Case("dlq park", _unparked, stage=PURCHASE),
    Case("undo", lambda world: (world.inserted(), "--dry-run"), unused=OTHER_GROUPS),
    Case("undo", lambda world: (world.inserted(), *APPLY), change=True, unused=COMMITS),
    Case("undo", lambda world: (world.moved(), *APPLY), change=True, unused=(DELETE, *OTHER_COMMITS)),
    # Last, for its events stay: nobody may skip them.
    Case("probe", lambda world: (*APPLY, "--wait", "0s", "--student", STUDENT), change=True, codes=(6,)),
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
    looking = case.look()
    tried = case.tried(case.kafka, looking.kafka)
    users = world.kafka_users([case.kafka, *(_without(gone, case.kafka) for gone in tried)])
    dsn = world.table_user(case.tables)

    def run(user: str, dsn: str) -> Ran:
        argv = (*case.command.split(), *case.arguments(world))
        trial = "trial" if case.command == "probe" and case.change else None
        return world.run(*argv, user=user, dsn=dsn, one_look=case.endless, context=trial)

    ran = run(users[0], dsn)
    if ran.code not in case.codes or "no right" in ran.err + ran.out or "missing right" in ran.err:
        wrong.append(f"with all rights: {_told(ran)}")
    for gone, user in zip(tried, users[1:], strict=True):
        ran = run(user, dsn)
        if world.line(gone, user) not in ran.err or ran.code not in case.codes_without:
            wrong.append(f"without {gone}: {_told(ran)}")
    for lacking in case.tried(case.tables, looking.tables):
        role = world.table_user(r for r in case.tables if r != lacking)
        ran = run(users[0], role)
        named = f"GRANT {lacking.operation} ON {lacking.name} TO" in ran.err
        if not named or ran.code not in case.codes_without:
            wrong.append(f"without {lacking}: {_told(ran)}")
    assert not wrong, "\n".join(wrong)


def _without(gone: Right, rights: Iterable[Right]) -> list[Right]:
    """The rights but that one, of which only what it includes is left."""
    kept = [right for right in rights if right != gone]
    if gone.operation in ("Read", "Write"):
        kept.append(Right("Describe", gone.kind, gone.name))
    return kept


def test_a_restart_needs_to_commit_where_a_start_would_skip(world: RightsWorld) -> None:
    partition = world.unpin()
    rights = kafka_rights("restart", FLOW, change=True, stages=(PURCHASE,))
    gone = Right("Read", "group", PURCHASE.group)
    without, whole = world.kafka_users([_without(gone, rights), rights])
    argv = ("restart", PURCHASE.worker, "--yes", "--wait", "1s")
    dsn = world.table_user(table_rights("restart", FLOW, change=True))
    ran = world.run(*argv, user=without, dsn=dsn, docker=engine(container(PURCHASE.worker)))
    assert (ran.code, world.line(gone, without) in ran.err) == (6, True), ran.err
    ran = world.run(*argv, user=whole, dsn=dsn, docker=engine(container(PURCHASE.worker)))
    # That no worker of flesh joins is another matter.
    assert "missing right" not in ran.err
    assert world.committed(PURCHASE.group, FLOW.purchase_confirmed, partition) is not None


@pytest.mark.parametrize("command", ["repair", "dlq replay"])
def test_sending_an_event_again_needs_to_write_its_topic(world: RightsWorld, command: str) -> None:
    world.unparked()
    rights = kafka_rights(command, FLOW, change=True, stages=(PURCHASE,) if command != "repair" else None)
    gone = WRITE_CONFIRMED
    without, whole = world.kafka_users([_without(gone, rights), rights])
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
    [user] = world.kafka_users([_without(gone, rights)])
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

"""The rows of the fault matrix: every command, and its exit code where a system gives no answer."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.real.fault_proxy import Line
from tests.real.matrix_faults import Bite, Fault, System

K, D, E = System.KAFKA, System.DATABASE, System.DOCKER


@dataclass(frozen=True, slots=True)
class Command:
    """A command that changes nothing: words for a shell, with places for what lies in the system."""

    name: str
    words: str
    healthy: int
    """Exit code on the system as it is."""
    silent: Mapping[System, int] = field(default_factory=dict)
    """Exit code where that system can't be asked; a system that is not named is not needed: the code stays."""
    lines: int = 1
    """Errors at most: one, or one for each thing that was named."""
    enough: Mapping[System, int] = field(default_factory=dict)
    """Answers of a system after which a broken line is no harm: what it breaks comes by a second connection, or is not
    what the command is about."""

    def hit(self, system: System | None, fault: Fault | None) -> bool:
        """Whether the fault keeps the system from giving this command what it is about."""
        if system is None or system not in self.silent or fault is None or fault.bite is not Bite.ALL:
            return False
        return fault.line is Line.HANGS or fault.after < self.enough.get(system, 99)

    def expected(self, system: System | None, fault: Fault | None) -> int:
        """The exit code, by rule."""
        return self.silent[system] if system is not None and self.hit(system, fault) else self.healthy


READING = (
    Command("status", "status", 1, {K: 1, D: 1, E: 1}, lines=3),
    Command("status -q", "status -q", 1, {D: 4}),
    Command("doctor", "doctor", 1, {K: 1, D: 1, E: 1}, lines=3),
    Command("missing", "missing", 1, {K: 1, D: 4}),
    Command("missing --certify", "missing --certify", 1, {K: 1, D: 4}),
    Command("missing --acknowledged", "missing --acknowledged", 0),
    Command("lag", "lag", 0, {K: 4}),
    Command("lag --all", "lag --all", 0, {K: 4}),
    Command("topics", "topics", 0, {K: 4}, enough={K: 6}),
    Command("topics TOPIC", "topics {topic}", 0, {K: 4}, enough={K: 6}),
    Command("logs", "logs", 0, {E: 4}),
    Command("logs --payment", "logs --payment {settled}", 0, {E: 4}),
    Command("logs --milestones", "logs --milestones", 0, {E: 4}),
    Command("trace", "trace {missing}", 1, {K: 1, D: 4}),
    Command("trace --scan", "trace {missing} --scan", 1, {K: 1, D: 4}),
    Command("repair", "repair {missing}", 0, {K: 4, D: 4}),
    Command("repair --missing", "repair --missing", 0, {K: 4, D: 4}),
    Command("repair --plan", "repair {missing} --plan {folder}/plan.json", 0, {K: 4, D: 4}),
    Command("repair --apply-plan --dry-run", "repair --apply-plan {plan} --dry-run", 0, {K: 4, D: 4}),
    Command("restart --dry-run", "restart purchase-worker --dry-run", 0, {K: 4, E: 4}),
    Command("restart --all --dry-run", "restart --all --dry-run", 0, {K: 4, E: 4}, lines=4),
    Command("offsets", "offsets", 0, {K: 4}),
    Command("offsets show", "offsets show", 0, {K: 4}),
    Command("offsets reset", "offsets reset -g {group} --to earliest", 0, {K: 4, D: 4}),
    Command("offsets pin", "offsets pin -g {group}", 0, {K: 4}),
    Command("offsets skip-one", "offsets skip-one -g {group} --topic {topic}:1", 0, {K: 4}),
    Command("offsets export", "offsets export -g {group} {folder}/out.json", 0, {K: 4}),
    Command("offsets import", "offsets import -g {group} {export}", 0, {K: 4, D: 4}),
    Command("dlq list", "dlq list", 1, {K: 4, D: 4}),
    Command("dlq show", "dlq show {letter}", 1, {K: 4, D: 4}),
    Command("dlq replay", "dlq replay {letter}", 0, {K: 4, D: 4}),
    Command("undo", "undo {run}", 0, {K: 4, D: 4}),
    Command("history", "history", 0),
    Command("history RUN", "history {run}", 0),
    Command("explain", "explain W001", 0),
    Command("config show", "config show", 0),
    Command("config check", "config check", 0, {K: 4, D: 4, E: 4}, lines=3),
    Command("config init", "config init --file -", 0, {K: 0, E: 0}),  # it asks, and what is set needs no answer
    Command("context list", "context list", 0),
    Command("probe", "probe", 0, {K: 4, D: 4}, enough={K: 2}),
)


class Change(enum.Enum):
    """A command that changes something, and what it is made on."""

    INSERT = "repair {own} --strategy insert --apply --yes"
    REPLAY = "repair {own} --strategy replay --apply --yes --wait 10s"
    PLAN = "repair --apply-plan {folder}/plan.json --yes"
    OFFSETS = "offsets reset -g {group} --topic {topic} --to earliest --apply --yes --accept-unchecked"
    UNDO = "undo {run} --apply --yes"
    LETTER = "dlq replay {own} --apply --yes --wait 10s"

    @property
    def words(self) -> str:
        """The command line."""
        return str(self.value)

    @property
    def shown(self) -> str:
        """Its name in the table."""
        return {
            Change.INSERT: "repair --strategy insert --apply",
            Change.REPLAY: "repair --strategy replay --apply",
            Change.PLAN: "repair --apply-plan",
            Change.OFFSETS: "offsets reset --apply",
            Change.UNDO: "undo --apply",
            Change.LETTER: "dlq replay --apply",
        }[self]

    @property
    def needs(self) -> frozenset[System]:
        """Systems without which nothing is changed, and the code is 4."""
        return frozenset({K}) if self is Change.OFFSETS else frozenset({K, D})

"""Commands of the fault matrix that change something: what they are made on, and the accounts that are asked of them.

The rule is the same for every fault and every moment of it: 0 means that it is done, once; 6 means that the journal
knows the step and that the same command settles it; every other code means that nothing was changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import psycopg

from kcfix.core.events import parse_event
from kcfix.drill import groups, wire
from tests.real import dlq_world
from tests.real.matrix_commands import Change
from tests.real.matrix_faults import FAULTS, Bite, Fault, System
from tests.real.matrix_run import Seen, Stage
from tests.real.matrix_world import FLOW
from tests.real.repair_world import purchases

K, D, E = System.KAFKA, System.DATABASE, System.DOCKER
MOVED = {0: 0, 1: 0, 2: 0}
"""Where the offsets of a group are after the move to the earliest."""


@dataclass(slots=True)
class Trial:
    """One change under one fault."""

    stage: Stage
    change: Change
    folder: Path
    own: str
    """A payment of its own, without a purchase."""
    group: str
    """A group of its own, which has read to the end."""
    run: str = ""

    def prepare(self) -> None:
        """What has to be there before the command: a plan, a group that has read, a run to be undone."""
        if self.change is Change.PLAN:
            made = self._healthy("repair {own} --strategy insert --plan {folder}/plan.json")
            assert made.code == 0, made.err
        if self.change is Change.OFFSETS:
            groups.commit(self.stage.drill, self.group, FLOW.purchase_confirmed, self._ends())
        if self.change is Change.UNDO:
            # Announced, it could not be taken back.
            refuses = next(f for f in FAULTS if f.name == "refuses")
            self._run("repair {own} --strategy insert --announce-later --apply --yes", K, refuses)
            self.run = str(self._history()[0]["run"])

    def play(self, system: System, fault: Fault) -> tuple[Seen, list[str]]:
        """Run the command under the fault, then again without it; what is wrong with the accounts."""
        before = len(self._history())
        seen = self._run(self.change.words, system, fault)
        effect = self.effect()
        wrong = self._by_rule(system, fault, seen)
        if seen.code == 0 and not self.is_done():
            wrong.append("it says that it is done, and it is not")
        if seen.code not in (0, 6) and effect:
            wrong.append(f"exit code {seen.code}, and something was changed: {effect}")
        if effect and len(self._history()) == before:
            wrong.append("something was changed, and the journal does not know")
        # What a plan rests on has changed where half of it was done; the payment is settled by its name.
        settles = "repair {own} --apply --yes --wait 10s" if self.change is Change.PLAN else self.change.words
        again = self._healthy(settles)
        if again.code != 0 or not self.is_done():
            wrong.append(f"the same command without the fault ends with {again.code}: {again.err[-300:]}")
        return seen, wrong

    def _by_rule(self, system: System, fault: Fault, seen: Seen) -> list[str]:
        expected: set[int]
        if system is E and self.change in (Change.REPLAY, Change.LETTER):
            expected = {0, 4, 5}  # whether the worker works is partly for Docker to say
        elif system not in self.change.needs or fault.bite is Bite.NOTHING:
            expected = {0}
        elif fault.after:
            expected = {0, 4, 5, 6}
        elif fault.bite is Bite.ALL:
            expected = {4}
        else:
            expected = {0, 4, 5, 6}
        if seen.code not in expected:
            return [f"exit code {seen.code}, not {' or '.join(map(str, sorted(expected)))}"]
        if seen.code and not seen.errors and not seen.out:
            return ["no line says why"]
        return []

    def effect(self) -> str:
        """What has been changed so far; empty for nothing."""
        if self.change is Change.OFFSETS:
            now = groups.committed(self.stage.drill, self.group, FLOW.purchase_confirmed)
            return "" if now == self._ends() else f"committed {now}"
        with psycopg.connect(self.stage.drill.dsn, autocommit=True) as database:
            made = purchases(database, self.own)
        if self.change is Change.UNDO:
            return "" if made == 1 else f"{made} purchases"
        sent = self._sent()
        return f"{made} purchases, {sent} messages" if made or sent else ""

    def is_done(self) -> bool:
        """Whether the change has been made, once."""
        if self.change is Change.OFFSETS:
            return groups.committed(self.stage.drill, self.group, FLOW.purchase_confirmed) == MOVED
        with psycopg.connect(self.stage.drill.dsn, autocommit=True) as database:
            return purchases(database, self.own) == (0 if self.change is Change.UNDO else 1)

    def _sent(self) -> int:
        """Messages about the payment that the command has sent."""
        if self.change is Change.LETTER:
            return len(dlq_world.copies(self.stage.drill, self.own))
        topics = (FLOW.purchase_confirmed,) if self.change is Change.REPLAY else (FLOW.purchase_created,)
        found = [e for t in topics for r in wire.records(self.stage.drill, t) if (e := parse_event(r)) is not None]
        return sum(1 for e in found if e.payment_id == self.own)

    def _ends(self) -> dict[int, int]:
        return {p: end for p, (_, end) in self.stage.ends.items()}

    def _history(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self._healthy("history -o json").out)["data"]
        return found

    def _healthy(self, words: str) -> Seen:
        return self._run(words, None, None)

    def _run(self, words: str, system: System | None, fault: Fault | None) -> Seen:
        given = {"own": self.own, "group": self.group, "run": self.run}
        return self.stage.run(words, self.folder, system=system, fault=fault, given=given, own_state=True)

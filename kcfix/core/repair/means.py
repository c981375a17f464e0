"""What a run of repairs has at hand: the systems, the journal, the clock; and what is known of each payment so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from kcfix.core.journal import Recorder
from kcfix.core.payments import PaymentId, Purchase
from kcfix.core.ports.database import DatabasePort
from kcfix.core.ports.kafka import KafkaPort
from kcfix.core.repair.plan import Step
from kcfix.core.repair.result import Outcome, Result, Results
from kcfix.errors import KcfixError
from kcfix.flow import Flow

Item = TypeVar("Item")
FEW = 100
"""Payments that may be locked at once wherever that is."""
Made = tuple[Step, Purchase]
"""A step with the purchase that there is for it, which is to be announced."""


@dataclass
class Means:
    """Of one run."""

    flow: Flow
    database: Callable[[], DatabasePort]
    kafka: Callable[[], KafkaPort]
    journal: Recorder
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    wait: timedelta
    """How long to watch for the purchases after a replay, from the last one that was seen on."""
    announce: bool
    progress: Callable[[str], None]
    results: Results
    through: Callable[[int], None] = lambda count: None
    """Told how many more payments are through."""
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    """For each kind of change when the first began and when the last was answered, by `monotonic`."""

    _room: int | None = None

    def parts(self, whole: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """As many at a time as one transaction may lock."""
        if self._room is None and len(whole) > FEW:
            try:
                self._room = self.database().room()
            except KcfixError:  # what is done next says so
                self._room = FEW
        size = self._room or FEW
        for first in range(0, len(whole), size):
            yield whole[first : first + size]

    def note(self, step: Step, outcome: Outcome, text: str, *, changed: bool, purchase: Purchase | None = None) -> None:
        """Say how a payment stands now."""
        self.results[step.payment_id] = Result(step.payment_id, outcome, text, changed, purchase)

    def outcome(self, step: Step) -> Outcome:
        """How it stands."""
        return self.results[step.payment_id].outcome

    def stopper(self, steps: Sequence[Step]) -> PaymentId | None:
        """The payment after which nothing more is done. An insert that is to be announced later stops nothing."""
        for step in steps:
            outcome = self.outcome(step)
            wanted = outcome is Outcome.UNANNOUNCED and not self.announce
            if outcome.stops and not wanted:
                return step.payment_id
        return None

    @property
    def seconds(self) -> dict[str, float]:
        """For each kind of change (insert, announce, replay) the time from the first one begun to the last answered."""
        return {kind: round(end - began, 3) for kind, (began, end) in self.spans.items()}

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Note when a change of this kind began and when it was answered."""
        began = self.monotonic()
        try:
            yield
        finally:
            self.spans[kind] = (self.spans.get(kind, (began, began))[0], self.monotonic())

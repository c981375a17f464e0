"""Where the dead letters of a run are kept while it looks at them: not in memory, for there may be a million."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from kcfix.core.dlq.letter import DlqState, Judged, Letter, Original, Place
from kcfix.core.payments import PaymentId


class Waiting(NamedTuple):
    """A record that may wait for a worker, by one of the things that it is about."""

    subject: str
    place: Place


@dataclass(frozen=True, slots=True)
class Cause:
    """All messages whose newest letter has the same cause."""

    code: str
    topic: str
    """Topic of the original messages."""
    letters: int
    messages: int
    states: Mapping[DlqState, int]
    owed: int
    """Messages that are not settled, as far as is known."""
    first_at: datetime | None
    last_at: datetime | None
    example: Original
    """The newest message, of those that are owed if there are any."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over all messages, or over those of one cause."""

    letters: int = 0
    messages: int = 0
    owed: int = 0
    states: Mapping[DlqState, int] = field(default_factory=dict)


class LetterStore(Protocol):
    """Dead letters by the message that they are copies of. What is in it is gone when it is closed."""

    def add(self, letters: Iterable[Letter]) -> None:
        """Count these letters with their messages; the newest one gives a message its cause and reason."""

    def add_waiting(self, rows: Iterable[Waiting]) -> None:
        """Keep where records lie that may wait for a worker: of each topic and subject the last one added."""

    def waiting(self, topic: str, subjects: Collection[str]) -> Mapping[str, Place]:
        """Where the last record of the topic about each subject lies; subjects without one are left out."""

    def topics(self) -> tuple[str, ...]:
        """Topics of the original messages, sorted."""

    def page(self, topic: str, after: int, limit: int) -> tuple[Original, ...]:
        """Messages of the topic with a number above `after`, by number."""

    def judge(self, judged: Mapping[int, Judged]) -> None:
        """Write down how these messages stand."""

    def judge_rest(self, judged: Judged) -> int:
        """The same for all that were not judged; gives how many that were."""

    def causes(self, topic: str | None = None) -> tuple[Cause, ...]:
        """The causes, those with most that is owed first, then the newest; of one original topic if it is named."""

    def messages(
        self,
        *,
        cause: str | None = None,
        topic: str | None = None,
        states: Collection[DlqState] | None = None,
        oldest_first: bool = False,
    ) -> Iterator[Original]:
        """The messages, the newest last letter first, or the oldest first letter first."""

    def about(self, payment_id: PaymentId) -> tuple[Original, ...]:
        """The messages of this payment, oldest first."""

    def at(self, place: Place) -> tuple[Original, ...]:
        """The messages whose original lies, or lay, there: several only where a topic was made again."""

    def same_event(self, original: Original) -> tuple[Original, ...]:
        """The messages with the event of this one, itself included, oldest first; itself alone without an event id."""

    def owed_payments(self, topic: str | None = None, cause: str | None = None) -> Iterator[PaymentId]:
        """Payments of the messages that are owed, each once, sorted."""

    def counts(self, topic: str | None = None, cause: str | None = None) -> Counts:
        """The sums."""

    def close(self) -> None:
        """Forget everything."""

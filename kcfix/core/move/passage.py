"""The messages of a range of offsets, judged: what a move of a committed offset leaves out, or has read again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from kcfix.core.move.settlement import Effect, Settlement
from kcfix.core.offsets import TopicPartition
from kcfix.core.payments import PaymentId, parse_uuid
from kcfix.core.ports.kafka import OffsetRange
from kcfix.errors import UsageError

LISTED = 1000
"""Messages of a range that are kept one by one; beyond that they are only counted."""


@dataclass(frozen=True, slots=True)
class Named:
    """Messages that a person named: by their payment, or by their place."""

    payments: frozenset[PaymentId] = frozenset()
    places: frozenset[tuple[TopicPartition, int]] = frozenset()

    def covers(self, message: Settlement) -> bool:
        """Whether this message was named."""
        return message.payment_id in self.payments or (message.partition, message.offset) in self.places


def parse_named(words: Iterable[str]) -> Named:
    """Payment ids, and places written `TOPIC-PARTITION@OFFSET`.

    >>> parse_named(["purchase-confirmed-0@17"]).places
    frozenset({(TopicPartition(topic='purchase-confirmed', partition=0), 17)})

    Raises:
        UsageError: a word is neither. Nothing was asked.
    """
    payments, places = set(), set()
    for word in words:
        if id := parse_uuid(word.strip()):
            payments.add(PaymentId(id))
            continue
        where, _, offset = word.strip().rpartition("@")
        topic, _, number = where.rpartition("-")
        if not topic or not (number.isdecimal() and offset.isdecimal()) or len(number + offset) > 18:
            raise UsageError(f"{word!r} is neither a payment id nor TOPIC-PARTITION@OFFSET")
        places.add((TopicPartition(topic, int(number)), int(offset)))
    return Named(frozenset(payments), frozenset(places))


def is_unsettled(message: Settlement) -> bool:
    """Whether somebody still waits for what it should bring, or that can't be checked."""
    return message.owed or message.effect is Effect.SETTLES


@dataclass(frozen=True, slots=True)
class Passage:
    """A range of offsets of one partition with its messages. Lists are in offset order, the first `LISTED` of each."""

    range: OffsetRange
    records: int = 0
    """Messages that are there; transactions and compaction leave offsets without one."""
    listed: tuple[Settlement, ...] = ()
    unsettled: tuple[Settlement, ...] = ()
    unsettled_count: int = 0
    unnamed: tuple[Settlement, ...] = ()
    """Unsettled ones that nobody named."""
    unnamed_count: int = 0
    stops: tuple[Settlement, ...] = ()
    """Messages that the worker must not read, and that nobody named."""
    stops_count: int = 0

    @property
    def count(self) -> int:
        """Offsets in the range: never fewer than messages."""
        return self.range.end - self.range.start

    @property
    def settled_count(self) -> int:
        """Messages that nobody waits for."""
        return self.records - self.unsettled_count

    def with_message(self, message: Settlement, named: Named) -> Passage:
        """This passage with one further message, in offset order."""
        unsettled, covered = is_unsettled(message), named.covers(message)
        unnamed, stops = unsettled and not covered, message.stops and not covered
        return replace(
            self,
            records=self.records + 1,
            listed=_grown(self.listed, message),
            unsettled=_grown(self.unsettled, message) if unsettled else self.unsettled,
            unsettled_count=self.unsettled_count + unsettled,
            unnamed=_grown(self.unnamed, message) if unnamed else self.unnamed,
            unnamed_count=self.unnamed_count + unnamed,
            stops=_grown(self.stops, message) if stops else self.stops,
            stops_count=self.stops_count + stops,
        )


def _grown(messages: tuple[Settlement, ...], message: Settlement) -> tuple[Settlement, ...]:
    return (*messages, message) if len(messages) < LISTED else messages


def passages(
    ranges: Collection[OffsetRange], messages: Iterable[Settlement], named: Named
) -> dict[OffsetRange, Passage]:
    """The passage of each range; the ranges must not overlap. Messages of no range are passed over."""
    found = {r: Passage(r) for r in ranges}
    for message in messages:
        for r in ranges:
            if r.partition == message.partition and r.start <= message.offset < r.end:
                found[r] = found[r].with_message(message, named)
                break
    return found

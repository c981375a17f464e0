"""Reads and judges the dead letters for the subcommands of `kcfix dlq`, and finds those that a word names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from kcfix.cli.context import problem
from kcfix.core.dlq.judge import Judge
from kcfix.core.dlq.letter import Original, Place, letter_of, parse_place
from kcfix.core.dlq.message import read_places
from kcfix.core.dlq.parking import Parked
from kcfix.core.dlq.read import Backlog, Mailbox
from kcfix.core.dlq.store import LetterStore
from kcfix.core.events import parse_dead_letter
from kcfix.core.payments import PaymentId, parse_uuid
from kcfix.core.times import parse_time
from kcfix.errors import NotFound, Unreachable, UsageError
from kcfix.render.view import Problem
from kcfix.services import Services


@dataclass(frozen=True, slots=True)
class Window:
    """Letters of a span of time; None: all that are retained, up to now."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def words(self) -> list[str]:
        """As it is given on the command line."""
        pairs = (("--since", self.since), ("--until", self.until))
        return [word for name, at in pairs if at is not None for word in (name, at.isoformat())]


def window(since: str, until: str, services: Services) -> Window:
    """The span that was named; empty texts name nothing.

    Raises:
        UsageError: it is no span. Nothing was asked.
    """
    first, last = (parse_time(text, services.now(), services.zone) if text else None for text in (since, until))
    if first is not None and last is not None and first >= last:
        raise UsageError("--since is not before --until")
    return Window(first, last)


@dataclass(frozen=True, slots=True)
class Looked:
    """The dead letters of a run, judged."""

    store: LetterStore
    mailbox: Mailbox
    judge: Judge
    parked: Parked
    cluster_id: str | None
    silent: str | None
    """Why not all could be judged; None if all was."""

    @property
    def unread(self) -> bool:
        """Whether a part of the dead letters, or of what they are judged by, could not be read."""
        return self.silent is not None or bool(self.mailbox.failed)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be read, as rows of the document."""
        texts = [f"dead letters of {tp}: {why}" for tp, why in sorted(self.mailbox.failed.items())]
        texts += [self.silent] if self.silent is not None else []
        return tuple(problem(Unreachable(text)) for text in texts)


@contextmanager
def looked(services: Services, span: Window) -> Iterator[Looked]:
    """Read all letters of the span, and judge their messages. What was read is forgotten at the end of the block.

    Raises:
        Unreachable: Kafka does not answer. NotFound: there is no dead-letter topic.
    """
    store = services.letters()
    try:
        services.progress("reading dead letters")
        cluster_id = services.kafka.cluster().cluster_id
        mailbox = Mailbox(
            lambda: services.kafka, services.flow, store, lambda n: services.progress(f"{n} dead letters read")
        )
        mailbox.read(span.since, span.until)
        services.progress("asking what became of their messages")
        backlog = Backlog(lambda: services.kafka, store)
        parked = services.parking.read(cluster_id)
        judge = Judge(services.flow, store, backlog, lambda: services.database, lambda: parked)
        yield Looked(store, mailbox, judge, parked, cluster_id, judge.all())
    finally:
        store.close()


@dataclass(frozen=True, slots=True)
class Named:
    """Messages that were named, and words that name none."""

    originals: tuple[Original, ...]
    missing: tuple[str, ...]


def named(words: Iterable[str], found: Looked, services: Services) -> Named:
    """The messages that the words name: payment ids, places of originals, places of letters.

    Raises:
        UsageError: a word can't be one of these.
    """
    originals: dict[int, Original] = {}
    missing: list[str] = []
    for word in dict.fromkeys(part for w in words for part in w.replace(",", " ").split()):
        some = _by_word(word, found, services)
        originals |= {o.id: o for o in some}
        missing += [] if some else [word]
    return Named(tuple(originals.values()), tuple(missing))


def _by_word(word: str, found: Looked, services: Services) -> tuple[Original, ...]:
    if payment := parse_uuid(word):
        return found.store.about(PaymentId(payment))
    place = parse_place(word)
    if place is None:
        raise UsageError(f"{word!r} is neither a payment id nor a place, topic-partition@offset")
    if place.topic == services.flow.dead_letters:
        place = _letter_at(place, services) or place
    return found.store.at(place)


def _letter_at(place: Place, services: Services) -> Place | None:
    """The original of the letter that lies there; None where none does."""
    record = read_places(services.kafka, [place]).get(place)
    letter = parse_dead_letter(record) if record is not None else None
    return letter_of(letter).original if letter is not None else None


def required(chosen: Named, found: Looked) -> tuple[Original, ...]:
    """The messages, all words having named one.

    Raises:
        NotFound: a word names none. Unreachable: nor could all letters be read.
        UsageError: there was no word, but blanks.
    """
    if not chosen.missing and not chosen.originals:
        raise UsageError("no message is named: give a payment id or a place, topic-partition@offset")
    if not chosen.missing:
        return chosen.originals
    text = f"no dead letter about {', '.join(chosen.missing)}"
    if found.mailbox.failed:
        tp, why = next(iter(sorted(found.mailbox.failed.items())))
        raise Unreachable(f"{text} in what could be read; {tp}: {why}")
    raise NotFound(text, hint="kcfix dlq list --all")

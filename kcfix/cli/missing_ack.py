"""`missing --ack`, `--unack` and `--acknowledged`: what a person says of a finding, in a file that can be shared."""

from __future__ import annotations

from collections.abc import Iterable

from kcfix.cli.missing_rows import word_row
from kcfix.cli.missing_view import words_table
from kcfix.cli.sources import sources
from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.ids import parse_ids
from kcfix.core.judging.gather import payment_snapshots
from kcfix.core.judging.judge import judge
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.payments import PaymentId
from kcfix.errors import NotFound, Refused, Unreachable, UsageError
from kcfix.render.view import View
from kcfix.services import Services


def acknowledge(ids: Iterable[str], reason: str, services: Services) -> View:
    """Write down that a person has judged these payments as what they are now. Only kcfix's own file is written.

    Raises:
        UsageError: there is no reason. Nothing was written, as with all of these.
        NotFound: there is no such payment, or an id is none.
        Refused: it is settled, so there is nothing to acknowledge.
        Unreachable: what is the case with it can't be told.
    """
    if not reason.strip():
        raise UsageError("--ack needs --reason TEXT")
    file = services.acknowledgements
    found = payment_snapshots(_ids(ids), sources(services)).by_payment
    entries = []
    for id, snapshot in found.items():
        verdict = judge(snapshot, overdue=services.settings.overdue)
        if verdict.kind is VerdictKind.NOT_FOUND:
            raise NotFound(f"{id}: {verdict.reason}")
        if verdict.kind is VerdictKind.PURCHASED:
            raise Refused(f"{id} is settled ({verdict.reason}): there is nothing to acknowledge")
        if verdict.kind is VerdictKind.UNKNOWN:
            raise Unreachable(f"{id}: what would be acknowledged is unknown: {verdict.reason}")
        entries.append(_entry(id, verdict.kind, reason, services))
    file.write(entries)
    return _view(entries, services)


def take_back(ids: Iterable[str], reason: str, services: Services) -> View:
    """Write down that the acknowledgements of these payments no longer stand.

    Raises:
        NotFound: a payment is not acknowledged, or an id is none. Nothing was written.
    """
    wanted, standing = _ids(ids), services.acknowledgements.read().by_payment
    for id in wanted:
        if id not in standing:
            raise NotFound(f"{id} is not acknowledged", hint="kcfix missing --acknowledged")
    entries = [_entry(id, None, reason, services) for id in wanted]
    services.acknowledgements.write(entries)
    return _view(entries, services)


def listed(services: Services) -> View:
    """The acknowledgements that stand, oldest first."""
    told = services.acknowledgements.read()
    return _view(sorted(told.by_payment.values(), key=lambda w: (w.at, w.payment_id)), services, told.problems)


def _ids(words: Iterable[str]) -> tuple[PaymentId, ...]:
    given = parse_ids(words)
    if given.malformed:
        raise NotFound(f"no payment id: {', '.join(repr(word) for word in given.malformed)}")
    return tuple(given.valid)


def _entry(id: PaymentId, verdict: VerdictKind | None, reason: str, services: Services) -> Acknowledgement:
    who = services.acknowledgements.who
    return Acknowledgement(id, verdict, services.redact(reason.strip()), who, services.now(), services.settings.context)


def _view(words: list[Acknowledgement], services: Services, problems: tuple[str, ...] = ()) -> View:
    where = services.acknowledgements.where
    return View(
        schema="acknowledgements",
        sections=(words_table(words, where, services.zone),),
        data=[word_row(word) for word in words],
        summary={"file": where},
        warnings=problems,
        ids=tuple(word.payment_id for word in words),
    )

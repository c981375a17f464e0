"""`kcfix dlq park`: what a person says of a dead letter, in a file that can be shared."""

from __future__ import annotations

from kcfix.cli.dlq_reading import Window, looked, named, required
from kcfix.cli.dlq_rows import park_row
from kcfix.core.dlq.letter import DlqState
from kcfix.core.dlq.parking import ParkEntry
from kcfix.core.times import format_time
from kcfix.errors import NotFound, Refused, Unreachable, UsageError
from kcfix.render.view import Column, Table, View
from kcfix.services import Services


def run(words: list[str], reason: str, services: Services, *, unpark: bool) -> View:
    """Write down that these messages are to be left alone, or no longer. Only kcfix's own file is written.

    Raises:
        UsageError: no reason was given. Nothing was written, as with all of these.
        NotFound: a word names no dead letter, or none that is parked.
        Refused: a message is settled, so there is nothing to decide. Unreachable: whether it is, is not known.
    """
    if not reason.strip() and not unpark:
        raise UsageError("dlq park needs --reason TEXT")
    with looked(services, Window()) as found:
        originals = required(named(words, found, services), found)
        if unpark:
            originals = tuple(o for o in originals if found.parked.of(o) is not None)
            if not originals:
                raise NotFound(f"not parked: {', '.join(words)}", hint="kcfix dlq list --all")
        elif found.silent is not None:
            raise Unreachable(f"whether they are settled is not known: {found.silent}")
        else:
            open_ones = tuple(o for o in originals if o.state is not DlqState.SETTLED)
            if not open_ones:
                first = originals[0]
                why = first.judged.why if first.judged else ""
                raise Refused(f"{first.place} is settled ({why}): there is nothing to park")
            originals = open_ones
        entries = tuple(
            ParkEntry(
                place=o.place,
                event_id=o.event_id,
                payment_id=o.payment_id,
                cause=o.cause,
                parked=not unpark,
                reason=services.redact(reason.strip()),
                who=services.parking.who,
                at=services.now(),
                context=services.settings.context,
                cluster_id=found.cluster_id,
            )
            for o in originals
        )
        services.parking.write(entries)
    return _view(entries, services)


def _view(entries: tuple[ParkEntry, ...], services: Services) -> View:
    where = services.parking.where
    columns = (
        Column("MESSAGE"),
        Column("PAYMENT"),
        Column("WHAT"),
        Column("AT", priority=1),
        Column("REASON", wrap=True),
    )
    rows = tuple(
        (
            str(e.place),
            e.payment_id,
            "parked" if e.parked else "no longer parked",
            format_time(e.at, services.zone),
            e.reason,
        )
        for e in entries
    )
    return View(
        schema="dlq-park",
        sections=(Table(columns, rows, f"in {where}"),),
        data=[park_row(e) for e in entries],
        summary={"file": where},
        ids=tuple(str(e.place) for e in entries),
        changed=True,
    )

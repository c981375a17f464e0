"""How the faults of a drill are shown: the catalogue, the pairs, and what was just broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from kcfix.cli.drill_view import drill_option
from kcfix.render.view import Cell, Column, Table, Text, Tone, View

if TYPE_CHECKING:
    from kcfix.drill.faults import Broken


def faults_view(since: Mapping[str, datetime]) -> View:
    """The catalogue, a table for each area; `since` has those that are broken now."""
    from kcfix.drill.faults import faults

    sections: list[Text | Table] = []
    columns = (Column("FAULT"), Column("NOW"), Column("MODES", priority=1), Column("WHAT", wrap=True))
    for area in dict.fromkeys(f.area for f in faults()):
        rows = tuple(
            (
                f.name,
                Cell("broken", Tone.WARN) if f.name in since else Cell("-", Tone.DIM),
                ", ".join(f.modes) or None,
                f.what,
            )
            for f in faults()
            if f.area is area
        )
        space = ("",) if sections else ()
        sections += [Text((*space, Cell(area.value, Tone.STRONG))), Table(columns, rows)]
    return View(
        schema="drill-faults",
        sections=tuple(sections),
        data=[
            {
                "fault": f.name,
                "area": f.area.value,
                "modes": f.modes,
                "what": f.what,
                "seen": f.seen,
                "broken": f.name in since,
                "since": since.get(f.name),
            }
            for f in faults()
        ],
        ids=tuple(f.name for f in faults()),
    )


def pairs_view() -> View:
    """Pairs of faults that occur together."""
    from kcfix.drill.faults import pairs

    rows = tuple((p.first, p.second, p.why) for p in pairs())
    return View(
        schema="drill-pairs",
        sections=(Table((Column("FIRST"), Column("SECOND"), Column("WHY", wrap=True)), rows),),
        data=[{"faults": p.names, "why": p.why} for p in pairs()],
    )


def broken_view(drill: str, made: Sequence[Broken]) -> View:
    """What was just broken, what an operator would see of it, and the payments that it concerns."""
    from kcfix.drill.faults import named

    sections: list[Text | Table] = []
    for entry in made:
        fault = named(entry.name)
        lines = (Cell(f"broken: {entry.name}", Tone.WARN), fault.what, Cell(f"seen: {fault.seen}", Tone.DIM))
        payments = [(i, "waits for a purchase") for i in entry.payments]
        payments += [(i, "can't become a purchase as it is") for i in entry.poison]
        sections.append(Text(lines))
        if payments:
            sections.append(Table((Column("PAYMENT"), Column("WHAT")), tuple(payments)))
    name = "" if drill == "drill" else f" --name {drill}"
    return View(
        schema="drill-break",
        sections=tuple(sections),
        data=[
            {"fault": m.name, "since": m.since, "payment_ids": m.payments, "poison_payment_ids": m.poison} for m in made
        ],
        next=(f"kcfix {drill_option(drill)} status", f"kcfix drill mend{name}"),
        ids=tuple(i for m in made for i in (*m.payments, *m.poison)),
        changed=True,
    )

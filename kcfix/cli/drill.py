"""`kcfix drill`: a throw-away copy of the system to rehearse on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from kcfix.clean import clean
from kcfix.cli.completing import complete_drill, complete_fault
from kcfix.cli.context import services_of
from kcfix.cli.drill_faults_view import broken_view, faults_view, pairs_view
from kcfix.cli.drill_view import status_view
from kcfix.errors import UsageError
from kcfix.render.view import Column, Table, View

app = typer.Typer()

Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="NAME",
        help="Which drill; default: `drill`, or the one that -C names.",
        autocompletion=complete_drill,
    ),
]


@app.callback()
def drill() -> None:
    """Real Kafka, PostgreSQL and worker containers, made for a rehearsal and thrown away.

    Nothing here touches anything that does not carry the drill's own label.

    Examples:
        kcfix drill up
        kcfix drill buy 3
        kcfix drill break worker-stopped
        kcfix -C drill status
        kcfix drill mend
        kcfix drill down
    """


@app.command()
def up(
    ctx: typer.Context,
    name: Name = None,
    kafka: Annotated[str, typer.Option("--kafka", metavar="VERSION", help="Version of Apache Kafka.")] = "3.5.2",
    processed_events: Annotated[
        str, typer.Option("--processed-events", metavar="A|B|C", help="Shape of the table processed_events.")
    ] = "C",
    no_unique_index: Annotated[
        bool, typer.Option("--no-unique-index", help="Leave `unique_active_purchase` out.")
    ] = False,
) -> View:
    """Bring a drill up: broker, database and four workers. One that is up already is left as it is.

    With `--brokers 3` there are three brokers, with every partition on each of them.

    Examples:
        kcfix drill up
        kcfix drill up --name three --brokers 3
        kcfix drill up --name newest --kafka 4.4.0 --processed-events A --no-unique-index
    """
    from kcfix.drill.state import Options, Shape
    from kcfix.drill.status import status as look
    from kcfix.drill.up import up as bring_up

    try:
        shape = Shape(processed_events.upper())
    except ValueError:
        raise UsageError(f"processed_events has the shapes A, B and C, not {processed_events!r}") from None
    options = Options(
        _name(ctx, name),
        kafka=kafka,
        processed_events=shape,
        unique_index=not no_unique_index,
        brokers=_count(services_of(ctx).given.get("brokers")),
    )
    made = bring_up(options, _progress(ctx))
    return status_view(look(made.name))


@app.command()
def down(ctx: typer.Context, name: Name = None) -> View:
    """Remove a drill: its containers, network, volumes and data folder, also what a crash left of it.

    Examples:
        kcfix drill down
        kcfix drill down --name newest
    """
    from kcfix.drill.down import down as take_down

    which = _name(ctx, name)
    removed = take_down(which, _progress(ctx))
    return View(
        schema="drill-down",
        sections=(Table((Column("REMOVED"),), tuple((r,) for r in removed), empty=f"there was no drill {which}"),),
        data=[{"removed": r} for r in removed],
        summary={"name": which, "removed_count": len(removed)},
        changed=bool(removed),
    )


@app.command()
def status(ctx: typer.Context, name: Name = None) -> View:
    """Show brokers, database, containers, ports and data folder of a drill.

    The database's address holds no password: it names a file that does.

    Examples:
        kcfix drill status
        kcfix drill status -o json
    """
    from kcfix.drill.status import status as look

    return status_view(look(_name(ctx, name)))


@app.command()
def buy(
    ctx: typer.Context,
    count: Annotated[int, typer.Argument(metavar="N", min=1, help="How many payments.")],
    name: Name = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="R", help="So many a second; default: as fast as they go.")
    ] = None,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Pay again for purchases that are there.")] = False,
    no_course: Annotated[bool, typer.Option("--no-course", help="Without a course in the payment.")] = False,
    tier: Annotated[
        str, typer.Option("--tier", metavar="T", help="Tier in the payment's metadata; `none` leaves it out.")
    ] = "20",
    unsent: Annotated[bool, typer.Option("--unsent", help="Written down as sent, and never sent.")] = False,
    unemitted: Annotated[bool, typer.Option("--unemitted", help="Neither written down nor sent.")] = False,
    partition: Annotated[
        int | None, typer.Option("--partition", metavar="P", help="With ids whose messages fall on this partition.")
    ] = None,
    student: Annotated[
        str | None, typer.Option("--student", metavar="ID", help="All by this student; default: each by a new one.")
    ] = None,
    course: Annotated[
        str | None, typer.Option("--course", metavar="ID", help="All for this course; default: in turn.")
    ] = None,
) -> View:
    """Act as payment-service: make N payments succeed, write their events down and send them; prints the ids.

    Examples:
        kcfix drill buy 3
        kcfix drill buy 100 --rate 10 -q
        kcfix drill buy 1 --unsent
    """
    from kcfix.drill.buy import buy as make_payments
    from kcfix.drill.state import load

    ids = make_payments(
        load(_name(ctx, name)),
        count,
        rate=rate,
        upgrade=upgrade,
        no_course=no_course,
        tier=None if tier == "none" else int(tier) if tier.lstrip("-").isdigit() else tier,
        unsent=unsent,
        unemitted=unemitted,
        partition=partition,
        student=student,
        course=course,
        report=_progress(ctx),
    )
    return View(
        schema="drill-buy",
        sections=(Table((Column("PAYMENT"),), tuple((i,) for i in ids)),),
        data=[{"payment_id": i} for i in ids],
        summary={"payments_count": len(ids)},
        ids=tuple(ids),
        changed=True,
    )


@app.command("break")
def break_(
    ctx: typer.Context,
    fault: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FAULT]...", help="Of `kcfix drill faults`; default: list them.", autocompletion=complete_fault
        ),
    ] = None,
    name: Name = None,
) -> View:
    """Make a fault by its real cause, or several, in this order. They last until they are mended.

    Examples:
        kcfix drill break worker-stopped
        kcfix drill break message-never-sent broker-down
        kcfix drill break
    """
    from kcfix.drill.faults import break_all
    from kcfix.drill.state import load

    which = _name(ctx, name)
    if not fault:
        return _catalogue(which)
    made = break_all(load(which), fault, report=_progress(ctx))
    return broken_view(which, made)


@app.command()
def mend(
    ctx: typer.Context,
    fault: Annotated[
        str | None,
        typer.Argument(metavar="[FAULT]", help="Default: all that are broken.", autocompletion=complete_fault),
    ] = None,
    name: Name = None,
) -> View:
    """Undo a fault, or all of them, the last one first.

    Examples:
        kcfix drill mend
        kcfix drill mend worker-stopped
    """
    from kcfix.drill.faults import mend as undo
    from kcfix.drill.state import load

    undone = undo(load(_name(ctx, name)), fault, report=_progress(ctx))
    return View(
        schema="drill-mend",
        sections=(Table((Column("MENDED"),), tuple((u,) for u in undone), empty="nothing was broken"),),
        data=[{"fault": u} for u in undone],
        changed=bool(undone),
    )


@app.command()
def faults(
    ctx: typer.Context,
    pairs: Annotated[bool, typer.Option("--pairs", help="List pairs of faults that occur together, and why.")] = False,
    name: Name = None,
) -> View:
    """List the faults that can be made, by area, and which of them are broken now.

    MODES are those of docs/system.md 6. What an operator would see of each is in the JSON and said by `drill break`.

    Examples:
        kcfix drill faults
        kcfix drill faults --pairs
    """
    return pairs_view() if pairs else _catalogue(_name(ctx, name))


def _count(brokers: object) -> int:
    """How many brokers: of a drill, which has no other yet, the shared option says their number.

    Raises:
        UsageError: it is no number.
    """
    if brokers is None:
        return 1
    if not str(brokers).isdecimal():
        raise UsageError(f"--brokers is how many brokers the drill is to have, 1 or 3, not {str(brokers)!r}")
    return int(str(brokers))


def _catalogue(name: str) -> View:
    from kcfix.drill.faults import broken
    from kcfix.drill.state import find

    there = find(name)
    return faults_view({b.name: b.since for b in broken(there)} if there is not None else {})


def _name(ctx: typer.Context, name: str | None) -> str:
    """The drill that is meant: by --name, else by -C drill:NAME."""
    if name is not None:
        return name
    context = str(services_of(ctx).given.get("context") or "")
    return context.removeprefix("drill:") if context.startswith("drill:") else "drill"


def _progress(ctx: typer.Context) -> Callable[[str], None]:
    """Say on standard error what is being done: a start takes seconds, on a terminal or not. Nothing with -q."""
    services = services_of(ctx)

    def say(text: str) -> None:
        if not services.quiet:
            services.stderr.write(f"{clean(text)}\n")
            services.stderr.flush()

    return say

"""`kcfix dlq`: dead letters, what became of their messages, and what may be sent again."""

from __future__ import annotations

from typing import Annotated

import typer

from kcfix.cli.completing import complete_topic
from kcfix.cli.context import services_of
from kcfix.core.times import parse_duration
from kcfix.errors import UsageError
from kcfix.render.view import View

app = typer.Typer()

Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Dead letters from then on.", show_default="all")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Dead letters before then.", show_default="now")]
ID = "A payment id, or a place: topic-partition@offset, of the message or of a dead letter."


Cause = Annotated[
    str | None, typer.Option("--cause", metavar="CAUSE", help="The messages of this cause that are not settled.")
]
Everything = Annotated[bool, typer.Option("--all", help="Message by message, also those that are settled or parked.")]
Topic = Annotated[
    str | None,
    typer.Option("--topic", metavar="TOPIC", help="Only messages of this topic.", autocompletion=complete_topic),
]


@app.callback(invoke_without_command=True)
def dlq(
    ctx: typer.Context,
    cause: Cause = None,
    everything: Everything = False,
    since: Since = "",
    until: Until = "",
    topic: Topic = None,
) -> View | int | None:
    """A worker that gives up on a message writes a dead letter, and nobody reads it. Without a subcommand: `dlq list`.

    Letters are counted by the message that they are copies of; whether it was settled since is asked of the tables: a
    dead letter does not mean that it is unresolved. They are kept in a temporary file, not in memory.

    Examples:
        kcfix dlq --since 24h
        kcfix dlq list --cause tier-check-1a2b3c
        kcfix dlq show 00000000-0000-4000-8000-000000000001
        kcfix dlq replay --since 24h
        kcfix dlq -q | kcfix repair -
    """
    if ctx.invoked_subcommand is not None:
        if cause or everything or since or until or topic:
            raise UsageError(f"options go behind {ctx.invoked_subcommand}")
        return None
    return _list(ctx, cause, since, until, topic, everything=everything)


def _list(
    ctx: typer.Context, cause: str | None, since: str, until: str, topic: str | None, *, everything: bool
) -> View | int:
    from kcfix.cli.dlq_list import Options, run
    from kcfix.cli.dlq_reading import window

    services = services_of(ctx)
    return run(Options(cause, topic, everything, window(since, until, services)), services)


@app.command("list")
def list_(
    ctx: typer.Context,
    cause: Cause = None,
    everything: Everything = False,
    since: Since = "",
    until: Until = "",
    topic: Topic = None,
) -> View | int:
    """Show dead letters by their cause.

    A cause is the failure reason without ids, numbers, quoted values and hosts.

    UNSETTLED counts what is not done, as far as the tables know; what can't be checked counts. With -q: the ids of the
    payments that it is about.

    Exit code: 0 nothing unsettled; 1 something is; 4 nothing could be said, or not of all.

    Examples:
        kcfix dlq list
        kcfix dlq list --since 24h --topic purchase-confirmed
        kcfix dlq list --cause purchase-tier-check-1a2b3c
        kcfix dlq list --all -o jsonl
        kcfix dlq list -q | kcfix repair -
    """
    return _list(ctx, cause, since, until, topic, everything=everything)


@app.command()
def show(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help=ID)],
) -> View:
    """Show all about a message.

    How it stands, its letters and their reasons, the event's ids, and whether it is still in its topic.

    Exit code: 0 settled; 1 not; 3 no dead letter is about it; 4 a system did not answer.

    Examples:
        kcfix dlq show 00000000-0000-4000-8000-000000000001
        kcfix dlq show purchase-confirmed-2@17
        kcfix dlq show dead-letter-queue-0@3
    """
    from kcfix.cli.dlq_show import run

    return run(ids, services_of(ctx))


@app.command()
def replay(
    ctx: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help=ID)] = None,
    cause: Annotated[
        str | None, typer.Option("--cause", metavar="CAUSE", help="All unsettled messages of this cause.")
    ] = None,
    since: Since = "",
    until: Until = "",
    apply: Annotated[bool, typer.Option("--apply", "--execute", help="Do it. Without it nothing is sent.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing (this is the default).")] = False,
    yes: Annotated[
        bool, typer.Option("-y", "--yes", help="Do not ask; needed with --apply without a terminal.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--max", min=1, metavar="N", help="Send at most so many messages, the oldest first.")
    ] = 100,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="N", help="Send at most so many messages a second.")
    ] = None,
    wait: Annotated[str, typer.Option(metavar="SPAN", help="How long to watch for the worker's work.")] = "30s",
    max_replays: Annotated[
        int, typer.Option("--max-replays", min=1, metavar="N", help="Refuse what was replayed so often before.")
    ] = 3,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the journal.")] = "",
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Dry run: exit with 1 if there is something to do or to decide.")
    ] = False,
) -> View:
    """Send messages to their topic again.

    Only what is still unsettled, what its worker can settle, and where a committed offset makes sure that it is read.

    The record goes out as it was (key, value, headers), with one header more that counts its replays. Right before each
    send the tables and the log are asked again. The first message of each cause goes alone, as a canary; the first one
    that is not settled in time stops the run. Running it again finds the copy that waits and does not send again.

    Examples:
        kcfix dlq replay purchase-confirmed-2@17
        kcfix dlq replay --cause connect-econnrefused-1a2b3c
        kcfix dlq replay --since 24h --apply --max 500 --rate 20 --reason "the database was down"
    """
    if apply and dry_run:
        raise UsageError("--apply and --dry-run exclude each other")
    from kcfix.cli.dlq_reading import window
    from kcfix.cli.dlq_replay import Options, check, run

    services = services_of(ctx)
    options = Options(
        words=tuple(ids or ()),
        cause=cause,
        span=window(since, until, services),
        apply=apply,
        yes=yes,
        limit=limit,
        rate=rate,
        wait=parse_duration(wait),
        max_replays=max_replays,
        reason=reason,
        exit_code=exit_code,
    )
    return run(check(options), services)


@app.command()
def park(
    ctx: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help=ID)],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; needed.")] = "",
    unpark: Annotated[bool, typer.Option("--unpark", help="Take that back.")] = False,
) -> View:
    """Set messages aside for a person to decide.

    `list` counts them apart, and `replay` refuses them. It counts for that message and its present cause: failing for
    another reason, it is shown again. The file (setting `parked`) may be shared by several operators.

    Examples:
        kcfix dlq park purchase-confirmed-2@17 --reason "tier 12: sales asks the customer"
        kcfix dlq park purchase-confirmed-2@17 --unpark
    """
    from kcfix.cli.dlq_park import run

    return run(ids, reason, services_of(ctx), unpark=unpark)

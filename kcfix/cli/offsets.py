"""`kcfix offsets`: where a group stands, and moving its committed offsets without losing a payment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from kcfix.cli.completing import complete_group, complete_topic
from kcfix.cli.context import services_of
from kcfix.cli.offsets_file import export_file, import_target
from kcfix.cli.offsets_move import Options, change_or_show, choices
from kcfix.core.move.passage import parse_named
from kcfix.core.move.read import Wish
from kcfix.core.move.target import WORDS, Target, TargetKind, parse_target
from kcfix.errors import UsageError
from kcfix.render.view import View

app = typer.Typer()

Group = Annotated[
    str, typer.Option("-g", "--group", metavar="GROUP", help="The consumer group.", autocompletion=complete_group)
]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        "-g",
        "--group",
        metavar="GROUP",
        help="The consumer group; default: those of the purchase flow.",
        autocompletion=complete_group,
    ),
]
Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topic",
        metavar="T[:P,…]",
        help="Only this topic, or these partitions of it. May be repeated.",
        autocompletion=complete_topic,
    ),
]
Apply = Annotated[bool, typer.Option("--apply", "--execute", help="Do it. Without it nothing is changed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing (this is the default).")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask; needed with --apply without a terminal.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the journal.")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Dry run: exit with 1 if an offset would be moved.")]
Skip = Annotated[
    list[str] | None,
    typer.Option(
        "--skip",
        metavar="ID",
        help="A payment, or TOPIC-PARTITION@OFFSET, whose unsettled message may be skipped. May be repeated.",
    ),
]
Reread = Annotated[
    list[str] | None,
    typer.Option("--reread", metavar="ID", help="One that the worker may read though it should not. May be repeated."),
]
Unchecked = Annotated[
    bool,
    typer.Option(
        "--accept-unchecked", help="Skip messages of a group whose work can't be checked (cache and the like)."
    ),
]


@app.callback(invoke_without_command=True)
def offsets(ctx: typer.Context, group: Groups = None, topic: Topics = None) -> View | None:
    """Where a group stands on each partition, and moving its committed offsets.

    Without a subcommand it shows. Nothing is moved without --apply, nor while the group has a member or a container of
    its worker runs, nor over a message that somebody still waits for, unless that is named.

    Examples:
        kcfix offsets --group purchase-creation-workers
        kcfix offsets pin --group purchase-creation-workers
        kcfix offsets reset --group purchase-creation-workers --to first-unsettled
        kcfix offsets skip-one --group purchase-creation-workers --topic purchase-confirmed:2
    """
    if ctx.invoked_subcommand is not None:
        if group or topic:
            raise UsageError(f"--group and --topic go behind {ctx.invoked_subcommand}")
        return None
    return _show(ctx, group, topic)


@app.command()
def show(ctx: typer.Context, group: Groups = None, topic: Topics = None) -> View:
    """Show the record that each partition stands on, what its worker would do with it, and the way out.

    A partition without a usable committed offset stands on no record: a start begins at its end. There the unsettled
    messages are named that a start would skip, or has skipped.

    Exit codes: 0 nothing stands still or was skipped; 1 something does; 3 no such group; 4 no answer.

    Examples:
        kcfix offsets show --group purchase-creation-workers
        kcfix offsets show --group purchase-creation-workers --topic purchase-confirmed:0 -o json
    """
    return _show(ctx, group, topic)


def _show(ctx: typer.Context, groups: list[str] | None, topics: list[str] | None) -> View:
    from kcfix.cli.offsets_show import show_groups

    return show_groups(tuple(groups or ()), choices(topics or ()), services_of(ctx))


@app.command()
def reset(
    ctx: typer.Context,
    group: Group,
    to: Annotated[str, typer.Option("--to", metavar="WHERE", help=f"{WORDS}.")],
    topic: Topics = None,
    apply: Apply = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    skip: Skip = None,
    reread: Reread = None,
    accept_unchecked: Unchecked = False,
    reason: Reason = "",
    exit_code: ExitCode = False,
) -> View:
    """Move committed offsets: shows old and new, and which payments are read again or skipped, settled or not.

    The target is clamped to the log. `first-unsettled` moves each partition to its first message whose payment has no
    purchase. What was committed before is in the journal: `kcfix undo RUN` puts it back.

    Examples:
        kcfix offsets reset --group purchase-creation-workers --to first-unsettled
        kcfix offsets reset --group purchase-creation-workers --topic purchase-confirmed:0 --to -5 --apply
        kcfix offsets reset --group purchase-creation-workers --to '2026-01-15 20:00' --apply --reason "read again"
    """
    services = services_of(ctx)
    target = parse_target(to, services.now(), services.zone)
    wish = Wish(
        group, target, choices(topic or ()), parse_named(skip or ()), parse_named(reread or ()), accept_unchecked
    )
    # A time such as 2h means another moment when the command is run again.
    where = target.time.isoformat() if target.time is not None else to
    words = _words("reset", group, "--to", where, *_flag(accept_unchecked), topic=topic, skip=skip, reread=reread)
    return change_or_show(wish, _options(apply, dry_run, yes, reason, exit_code, words), services)


@app.command()
def pin(
    ctx: typer.Context,
    group: Group,
    topic: Topics = None,
    apply: Apply = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    reread: Reread = None,
    accept_unchecked: Unchecked = False,
    reason: Reason = "",
    exit_code: ExitCode = False,
) -> View:
    """Commit where nothing usable is committed, so that a start can't skip.

    To the first unsettled message that the worker can settle, else to the log end: never simply to earliest. Other
    partitions stay as they are. `kcfix restart` does the same by itself.

    Examples:
        kcfix offsets pin --group purchase-creation-workers
        kcfix offsets pin --group purchase-creation-workers --apply --yes
    """
    target = Target(TargetKind.FIRST_UNSETTLED, "pin")
    wish = Wish(
        group,
        target,
        choices(topic or ()),
        reread=parse_named(reread or ()),
        accept_unchecked=accept_unchecked,
        only_unprotected=True,
    )
    words = _words("pin", group, *_flag(accept_unchecked), topic=topic, reread=reread)
    return change_or_show(wish, _options(apply, dry_run, yes, reason, exit_code, words), services_of(ctx))


@app.command(name="skip-one")
def skip_one(
    ctx: typer.Context,
    group: Group,
    topic: Annotated[
        str,
        typer.Option("--topic", metavar="T:P", help="The partition that stands still.", autocompletion=complete_topic),
    ],
    apply: Apply = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    skip: Skip = None,
    accept_unchecked: Unchecked = False,
    reason: Reason = "",
    exit_code: ExitCode = False,
) -> View:
    """Move one partition behind the record that it stands on, and no further.

    For a message on which the worker fails again and again. Its payment has to be settled first (`kcfix repair`), or be
    named with --skip.

    Examples:
        kcfix offsets skip-one --group purchase-creation-workers --topic purchase-confirmed:2
        kcfix offsets skip-one --group purchase-creation-workers --topic purchase-confirmed:2 --apply
    """
    (choice,) = choices([topic])
    if len(choice.partitions) != 1:
        raise UsageError("skip-one moves a single partition", hint=f"--topic {choice.topic}:0")
    target = Target(TargetKind.BEHIND_NEXT, "skip-one")
    wish = Wish(group, target, (choice,), parse_named(skip or ()), accept_unchecked=accept_unchecked)
    words = _words("skip-one", group, *_flag(accept_unchecked), topic=[topic], skip=skip)
    return change_or_show(wish, _options(apply, dry_run, yes, reason, exit_code, words), services_of(ctx))


@app.command(name="export")
def export(
    ctx: typer.Context,
    group: Group,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write.")],
    topic: Topics = None,
) -> View:
    """Write what a group has committed to a file. Nothing is changed in Kafka.

    Examples:
        kcfix offsets export --group purchase-creation-workers before.json
    """
    return export_file(group, choices(topic or ()), file, services_of(ctx))


@app.command(name="import")
def import_(
    ctx: typer.Context,
    group: Group,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="From export, or Kafka's [group,]topic,partition,offset.")
    ],
    topic: Topics = None,
    apply: Apply = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    skip: Skip = None,
    reread: Reread = None,
    accept_unchecked: Unchecked = False,
    reason: Reason = "",
    exit_code: ExitCode = False,
) -> View:
    """Move committed offsets to what a file says, with every check that reset makes.

    Partitions that the file does not name, or where nothing was committed then, stay as they are.

    Examples:
        kcfix offsets import --group purchase-creation-workers before.json
        kcfix offsets import --group purchase-creation-workers before.json --apply
    """
    services = services_of(ctx)
    target, saved = import_target(group, file, services)
    wish = Wish(
        group,
        target,
        choices(topic or ()) or tuple(saved.choices),
        parse_named(skip or ()),
        parse_named(reread or ()),
        accept_unchecked,
        in_file=saved.committed,
    )
    words = _words("import", group, file, *_flag(accept_unchecked), topic=topic, skip=skip, reread=reread)
    return change_or_show(wish, _options(apply, dry_run, yes, reason, exit_code, words), services)


def _options(apply: bool, dry_run: bool, yes: bool, reason: str, exit_code: bool, words: Sequence[str]) -> Options:
    if apply and dry_run:
        raise UsageError("--apply and --dry-run exclude each other")
    return Options(tuple(words), apply, yes, reason, exit_code)


def _words(what: str, group: str, *more: str, **lists: Iterable[str] | None) -> list[str]:
    """The command without --apply; `lists` are options that may be repeated."""
    repeated = [word for name, values in lists.items() for value in values or () for word in (f"--{name}", value)]
    return [what, "--group", group, *more, *repeated]


def _flag(accept_unchecked: bool) -> list[str]:
    return ["--accept-unchecked"] if accept_unchecked else []

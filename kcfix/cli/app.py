"""The table of commands, and the group that loads each one's file only when it is asked for.

To add a command: one file in this package with a function `command` (or a `typer.Typer` called `app` for several
subcommands), and one row here. The summary stands here only, so that `--help` needs none of the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from kcfix.cli.options import add_shared_options, write_options


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of `kcfix --help`."""

    name: str
    panel: str
    summary: str
    file: str = ""
    """Name of its file where that is not the command's."""

    @property
    def module(self) -> str:
        """Where the command lives."""
        return f"kcfix.cli.{self.file or self.name.replace('-', '_')}"


PANELS = ("Look", "Explain", "Fix", "Rehearse", "Set up")

COMMANDS: tuple[Entry, ...] = (
    Entry("status", "Look", "Show workers, Kafka, groups, database and payments without a purchase, on one screen."),
    Entry(
        "missing", "Look", "List every payment without a purchase, or with trouble after it, from one pass over all."
    ),
    Entry("lag", "Look", "Show how far each consumer group is behind, partition by partition."),
    Entry("topics", "Look", "Show the topics, what is in them and who reads them."),
    Entry("watch", "Look", "Watch workers, lag, payments and errors live, and what changes."),
    Entry("probe", "Look", "Follow a payment through every stage: one made up for it, or the next real one."),
    Entry("logs", "Look", "Show the logs of the workers, merged in the order of time."),
    Entry("monitor", "Look", "Look again and again, and serve metrics for Prometheus and health checks by HTTP."),
    Entry("doctor", "Explain", "Name the root cause of what is wrong, with evidence, cost and the way out."),
    Entry("explain", "Explain", "Say what a finding of the doctor means."),
    Entry("trace", "Explain", "Tell the story of a payment: how far it came, why no further, and what to do."),
    Entry("repair", "Fix", "Make the missing purchase of payments that succeeded; a dry run without --apply."),
    Entry("restart", "Fix", "Restart workers without losing a message, and prove that they work."),
    Entry("offsets", "Fix", "Show where groups stand; move committed offsets without losing a payment."),
    Entry("dlq", "Fix", "Show dead letters by cause and what became of them; replay or park their messages."),
    Entry("undo", "Fix", "Take back what a run changed, as far as it can be; a dry run without --apply."),
    Entry("history", "Explain", "List the runs that changed something, or show one step by step."),
    Entry("drill", "Rehearse", "Run a throw-away copy of the system, break it and mend it."),
    Entry("config", "Set up", "Check that every system answers, write a settings file, show the settings in force."),
    Entry("completion", "Set up", "Print the script by which a shell completes commands and live names."),
    Entry("context", "Set up", "List the named contexts: which system each one is.", file="contexts"),
)

CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(TyperCommand):
    """A command whose help shows its own options first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, in sections."""
        write_options(self, ctx, formatter)


class Group(TyperGroup):
    """A command with subcommands, with the same help."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options in sections, the commands among them."""
        write_options(self, ctx, formatter, self.format_commands)


def available() -> tuple[Entry, ...]:
    """The commands whose file is there."""
    return tuple(entry for entry in COMMANDS if find_spec(entry.module) is not None)


def laid_out(docstring: str) -> str:
    r"""Help text in which indented blocks (examples) keep their line breaks.

    >>> laid_out("One.\n\nExamples:\n    kcfix lag\n    kcfix lag --all").startswith("One.\n\n\b\nExamples:")
    True
    """
    blocks = re.split(r"\n\s*\n", docstring.strip())
    return "\n\n".join("\b\n" + block if re.search(r"^\s", block, re.MULTILINE) else block for block in blocks)


def load(entry: Entry) -> Any:
    """The command of this row as the parser wants it, with the shared options and its summary."""
    module = import_module(entry.module)
    sub: typer.Typer | None = getattr(module, "app", None)
    if sub is not None:
        for registered in sub.registered_commands:
            registered.cls = Command
        sub.info.cls = Group
        command: Any = typer.main.get_group(sub)
    else:
        function: Callable[..., Any] = module.command
        single = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
        single.command(entry.name, cls=Command)(function)
        command = typer.main.get_command(single)
    command.name = entry.name
    command.help = f"{entry.summary}\n\n{command.help or ''}".strip()
    command.short_help = entry.summary
    _finish(command)
    return command


def _finish(command: Any) -> None:
    command.help = laid_out(command.help or "")
    command.context_settings = {**CONTEXT_SETTINGS, **(command.context_settings or {})}
    command.rich_markup_mode = None
    add_shared_options(command)
    for child in getattr(command, "commands", {}).values():
        _finish(child)


class LazyGroup(Group):
    """The top of the command line: commands by name, loaded when used, listed by panel."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return [entry.name for entry in available()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, loaded now; None if there is none of that name."""
        entry = next((e for e in available() if e.name == cmd_name), None)
        if entry is None:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = load(entry)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one list a panel, from the table alone."""
        for panel in PANELS:
            rows = [(entry.name, entry.summary) for entry in available() if entry.panel == panel]
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)


def root() -> Any:
    """The parser for the whole command line."""
    group = LazyGroup(
        name="kcfix",
        rich_markup_mode=None,
        help=laid_out(
            "Find and repair purchases that were paid for and never appeared.\n\n"
            "Start with `kcfix status`. Without settings kcfix finds the system by the containers on this host; "
            "`kcfix config show` says what it found and where.\n\n"
            "Examples:\n    kcfix status\n    kcfix lag --group purchase-creation-workers\n"
            "    kcfix repair PAYMENT_ID\n    kcfix -C drill status"
        ),
        epilog="`kcfix COMMAND --help` has an example of each command. Options may stand before or after the command.",
        context_settings=CONTEXT_SETTINGS,
        no_args_is_help=False,
        invoke_without_command=True,
    )
    add_shared_options(group, root=True)
    return group

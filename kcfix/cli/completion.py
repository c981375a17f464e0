"""`kcfix completion SHELL`: the script by which a shell completes commands, options and live names."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from kcfix.cli.context import services_of
from kcfix.cli.words import VARIABLE


class Shell(enum.StrEnum):
    """The shells that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def command(
    ctx: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell that is to complete.")],
) -> int:
    """Completes commands, options, and names: groups, topics, workers, contexts, drills, faults, runs, codes.

    Names are asked of the live system and kept for 5 seconds, in the user's cache folder. A system that does not answer
    is not waited for: then there are the names of a little while ago, or none.

    In ~/.bashrc, in ~/.zshrc after compinit, or in ~/.config/fish/config.fish:

    Examples:
        source <(kcfix completion bash)
        source <(kcfix completion zsh)
        kcfix completion fish | source
    """
    services_of(ctx).stdout.write(script(shell))
    return 0


def script(shell: Shell) -> str:
    """The script, which is Typer's."""
    from kcfix.cli.completing_shells import MACHINERY

    return f"{MACHINERY.get_completion_script(prog_name='kcfix', complete_var=VARIABLE, shell=shell.value)}\n"

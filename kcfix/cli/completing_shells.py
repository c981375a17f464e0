"""What Typer's answers to the shells lack: words with a colon in bash, and help texts without loading rich."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

MACHINERY: Any = import_module("typer.completion")
"""Typer's own. Any, for it says of little in it that it is for others; tests/cli/test_completion.py would miss it."""
shell_completion = MACHINERY.shell_completion


def adapt() -> None:
    """Put ours in the place of Typer's three shells."""
    for name, ours in (("bash", _bash), ("zsh", _zsh), ("fish", _fish)):
        theirs: Any = shell_completion.get_completion_class(name)
        shell_completion.add_completion_class(ours(theirs), name)


def _bash(theirs: Any) -> Any:
    class Bash(theirs):  # type: ignore[misc]
        """To bash a colon is a word of its own (COMP_WORDBREAKS), and only what comes after it is replaced."""

        def get_completion_args(self) -> tuple[list[str], str]:
            words, at = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
            return joined([*words, ""][: at + 1])

        def get_completions(self, args: list[str], incomplete: str) -> list[Any]:
            found = super().get_completions(args, incomplete)
            before = incomplete.rpartition(":")[0]
            for item in found if before else ():
                item.value = item.value.removeprefix(f"{before}:")
            return list(found)

    return Bash


def joined(words: list[str]) -> tuple[list[str], str]:
    """The words before the one that is being written, and that one, with what bash took apart at colons put together.

    >>> joined(["kcfix", "-C", "drill", ":", "ni"]), joined(["kcfix", "-C", "drill", ":"]), joined(["kcfix", ""])
    ((['-C'], 'drill:ni'), (['-C'], 'drill:'), ([], ''))
    """
    whole: list[str] = []
    for word in words:
        if whole and (word == ":" or whole[-1].endswith(":")) and word:
            whole[-1] += word
        else:
            whole.append(word)
    if len(words) > 1 and words[-1] == "" and words[-2] == ":":
        whole.pop()
    return [unquoted(word) for word in whole[1:-1]], unquoted(whole[-1])


def unquoted(word: str) -> str:
    """The word without the quotes that the shell would take off."""
    return "".join(shell_completion.split_arg_string(word))


def _zsh(theirs: Any) -> Any:
    class Zsh(theirs):  # type: ignore[misc]
        """With help texts as they are: Typer would load rich to take its markup out of them, and we use none."""

        def format_completion(self, item: Any) -> str:
            told = str(super().format_completion(type(item)(item.value)))
            return f'{told}:"{_for_zsh(item.help)}"' if item.help else told

    return Zsh


def _for_zsh(text: str) -> str:
    """The text between double quotes, inside single quotes, in a list whose parts are divided by colons."""
    for sign, escaped in (('"', '""'), ("'", "''"), ("$", r"\$"), ("`", r"\`"), (":", r"\\:")):
        text = text.replace(sign, escaped)
    return text


def _fish(theirs: Any) -> Any:
    class Fish(theirs):  # type: ignore[misc]
        """The same."""

        def format_completion(self, item: Any) -> str:
            return f"{item.value}\t{' '.join(item.help.split())}" if item.help else str(item.value)

    return Fish

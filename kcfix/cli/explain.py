"""`kcfix explain CODE`: what a finding of the doctor means."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from kcfix.cli.completing import complete_code
from kcfix.cli.doctor_rows import rule_row
from kcfix.core.doctor.rule import FAMILIES, Rule
from kcfix.core.doctor.rules import RULES
from kcfix.errors import NotFound
from kcfix.render.view import Cell, Line, Text, Tone, View


def command(
    code: Annotated[
        str,
        typer.Argument(metavar="CODE", help="As `kcfix doctor` prints it, e.g. W001.", autocompletion=complete_code),
    ],
) -> View:
    """What it means, how it comes about, and what to do; all rules are in docs/rules.md.

    Exit code: 0; 3 no such rule.

    Examples:
        kcfix explain W001
        kcfix explain G001 -o json
    """
    rule = find(code)
    return View(
        schema="explain",
        sections=(Text(_lines(rule), wrap=True),),
        data=[{**rule_row(rule), "page": rule.page}],
        ids=(rule.code,),
    )


def find(code: str) -> Rule:
    """The rule of that code.

    Raises:
        NotFound: there is none.
    """
    wanted = code.strip().upper()
    found = next((rule for rule in RULES if rule.code == wanted), None)
    if found is None:
        like = difflib.get_close_matches(wanted, [rule.code for rule in RULES], n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(like)}?" if like else "kcfix doctor --list-checks"
        raise NotFound(f"no rule has the code {code!r}", hint=hint)
    return found


def _lines(rule: Rule) -> tuple[Line, ...]:
    lines: list[Line] = [
        (Cell(rule.code, Tone.STRONG), f"  {rule.title} ({rule.severity}, {FAMILIES[rule.family]})"),
        "",
    ]
    # One line a paragraph, which the terminal's width then breaks.
    for paragraph in rule.page.split("\n\n"):
        lines += [" ".join(paragraph.split()), ""]
    lines.pop()
    lines.append("")
    if rule.needs:
        lines.append(f"needs: {', '.join(sorted(need.value for need in rule.needs))}")
    if rule.causes:
        lines.append(f"may be a consequence of: {', '.join(dict.fromkeys(cause.code for cause in rule.causes))}")
    if rule.modes:
        lines.append(f"failure modes of docs/system.md 6: {', '.join(rule.modes)}")
    return tuple(lines)

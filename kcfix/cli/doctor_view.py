"""What the doctor found, for people: causes with their consequences, then cautions, advice, and what is open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, tzinfo

from kcfix.cli.money import amount
from kcfix.core.doctor.diagnosis import Confidence, Diagnosis, Evidence, Finding, Impact, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import FAMILIES, Rule
from kcfix.core.times import format_duration, format_time
from kcfix.render.view import Cell, Column, Line, Section, Table, Text, Tone

TONES = {Severity.ERROR: Tone.BAD, Severity.CAUTION: Tone.WARN, Severity.ADVICE: Tone.DIM}
SHOWN_EVIDENCE = 4
"""Pieces of evidence of a finding on a terminal without -v."""


def sections(
    examination: Examination, diagnosis: Diagnosis, zone: tzinfo | None, *, everything: bool
) -> tuple[Section, ...]:
    """The parts of the screen. `everything`: all evidence, and advice in full."""
    told = [f for f in diagnosis.findings if f.severity is not Severity.ADVICE]
    advice = [f for f in diagnosis.findings if f.severity is Severity.ADVICE]
    parts: list[Section] = [_headline(examination, diagnosis, zone)]
    for finding in told:
        parts += _finding(finding, examination.at, zone, everything=everything)
    if advice and everything:
        for finding in advice:
            parts += _finding(finding, examination.at, zone, everything=True)
    elif advice:
        parts += _advice(advice)
    if diagnosis.unchecked:
        parts.append(_unchecked(diagnosis))
    return tuple(parts)


def _headline(examination: Examination, diagnosis: Diagnosis, zone: tzinfo | None) -> Section:
    at = format_time(examination.at, zone)
    errors = [f for f in diagnosis.findings if f.severity is Severity.ERROR]
    number = sum(1 for f in diagnosis.findings if f.severity is Severity.CAUTION)
    cautions = "" if not number else ", 1 caution" if number == 1 else f", {number} cautions"
    looked = f"{len(diagnosis.checked)} checks at {at}"
    if examination.sample is not None:
        looked += f", two looks {format_duration(examination.sample)} apart"
    if errors:
        many = "1 cause" if len(errors) == 1 else f"{len(errors)} causes"
        return Text((Cell(f"NOT WELL: {many} ({looked})", Tone.BAD),), wrap=True)
    if examination.observed.could_say_nothing:
        return Text((Cell(f"UNKNOWN: no system answers ({looked})", Tone.WARN),), wrap=True)
    if diagnosis.unchecked:
        word = Cell(
            f"no cause found{cautions}, and {len(diagnosis.unchecked)} checks could not be made ({looked})", Tone.WARN
        )
        return Text((word,), wrap=True)
    return Text((Cell(f"well{cautions} ({looked})", Tone.WARN if cautions else Tone.GOOD),), wrap=True)


def _advice(advice: Sequence[Finding]) -> Iterator[Section]:
    """Each with the lines to paste, which are never broken."""
    for n, finding in enumerate(advice):
        title = "to prevent the next one (`kcfix explain CODE` says why)" if n == 0 else ""
        yield Text(((Cell(finding.code, TONES[finding.severity]), f"  {finding.symptom}"),), title, wrap=True)
        yield Text(tuple(f"      {command}" for command in finding.action))


def _finding(finding: Finding, now: datetime, zone: tzinfo | None, *, everything: bool) -> Iterator[Section]:
    """What it is in words, then the lines to paste, which are never broken, then what follows from it."""
    lines: list[Line] = [""]
    head = f"{finding.code} {finding.severity}"
    lines.append((Cell(head, TONES[finding.severity]), f"  {finding.symptom}"))
    lines.append(f"  cause     {finding.cause}{_doubt(finding)}")
    cost = impact_words(finding.impact, now, zone)
    if cost:
        lines.append(f"  cost      {cost}")
    if finding.heals:
        lines.append(f"  heals     {finding.heals}")
    shown = finding.evidence if everything else finding.evidence[:SHOWN_EVIDENCE]
    for n, piece in enumerate(shown):
        lines.append(f"  {'evidence' if n == 0 else '        '}  {evidence_words(piece, zone)}")
    if len(shown) < len(finding.evidence):
        lines.append(f"            and {len(finding.evidence) - len(shown)} more: -v")
    yield Text(tuple(lines), wrap=True)
    commands = tuple(f"  {'do' if n == 0 else '  '}        {command}" for n, command in enumerate(finding.action))
    if commands:
        yield Text(commands)
    below = tuple(
        (f"{'  ' * depth}  so also ", Cell(one.code, TONES[one.severity]), f"  {one.symptom}")
        for one, depth in _below(finding.consequences)
    )
    if below:
        yield Text(below, wrap=True)


def _doubt(finding: Finding) -> str:
    match finding.confidence:
        case Confidence.PROVEN:
            return ""
        case Confidence.LIKELY:
            return "  [likely]"
        case Confidence.UNPROVEN:
            return "  [unproven by one look]"


def _below(findings: Iterable[Finding], depth: int = 0) -> Iterator[tuple[Finding, int]]:
    for finding in findings:
        yield finding, depth
        yield from _below(finding.consequences, depth + 1)


def impact_words(impact: Impact, now: datetime, zone: tzinfo | None) -> str:
    """What it costs, in one line; empty where nothing is known of it."""
    parts = []
    if impact.payments:
        money = ", ".join(amount(minor, currency) for currency, minor in impact.amounts_minor.items())
        more = "at least " if impact.at_least else ""
        parts.append(f"{more}{impact.payments} payment{'s' if impact.payments > 1 else ''}, {money}")
    if impact.since is not None:
        parts.append(f"since {format_time(impact.since, zone)} ({format_duration(now - impact.since)})")
    if impact.deadline is not None:
        left = format_duration(impact.deadline.at - now)
        parts.append(f"until {format_time(impact.deadline.at, zone)} (in {left}): {impact.deadline.reason}")
    if impact.catch_up is not None:
        parts.append(f"the backlog takes {format_duration(impact.catch_up)} once it works")
    return "; ".join(parts)


def evidence_words(piece: Evidence, zone: tzinfo | None) -> str:
    """A piece of evidence in one line."""
    return piece.text if piece.at is None else f"{format_time(piece.at, zone)} {piece.text}"


def _unchecked(diagnosis: Diagnosis) -> Section:
    by_reason: dict[str, list[str]] = {}
    for one in diagnosis.unchecked:
        by_reason.setdefault(one.reason, []).append(one.code)
    rows = tuple((", ".join(codes), reason) for reason, codes in by_reason.items())
    return Table((Column("NOT_CHECKED", wrap=True), Column("WHY", wrap=True)), rows, "not checked")


def rules_table(rules: Sequence[Rule]) -> Section:
    """All rules with what they need."""
    rows = tuple(
        (
            rule.code,
            Cell(rule.severity, TONES[rule.severity]),
            FAMILIES[rule.family],
            rule.title,
            ", ".join(sorted(need.value for need in rule.needs)) or None,
        )
        for rule in rules
    )
    columns = (
        Column("CODE"),
        Column("SEVERITY"),
        Column("FAMILY"),
        Column("TITLE", wrap=True),
        Column("NEEDS", priority=1),
    )
    return Table(columns, rows)

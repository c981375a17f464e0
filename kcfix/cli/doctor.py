"""`kcfix doctor`: the root cause, with evidence and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from kcfix.cli.context import problem, services_of
from kcfix.cli.doctor_chart import span_of, waiting_groups
from kcfix.cli.doctor_report import moments, report
from kcfix.cli.doctor_rows import rows, rule_row, summary
from kcfix.cli.doctor_view import rules_table, sections
from kcfix.cli.examining import examine
from kcfix.cli.invocation import as_called
from kcfix.cli.observing import about_containers, deadline, reading
from kcfix.core.doctor.backlog import Backlog, read_backlogs
from kcfix.core.doctor.diagnose import chosen, diagnose, rewritten
from kcfix.core.doctor.diagnosis import Diagnosis, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rules import RULES
from kcfix.core.judging.snapshot import Reading
from kcfix.core.times import parse_duration
from kcfix.errors import NOT_WELL, OK, KcfixError, Unreachable, UsageError
from kcfix.render.style import Format
from kcfix.render.view import View
from kcfix.services import Services
from kcfix.services.text_file import write_text

MARKDOWN, PAGE = ".md", ".html"
"""What the name of a report ends in."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix doctor` was asked."""

    sample: timedelta | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    strict: bool = False
    report: str | None = None


def command(
    ctx: typer.Context,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="TIME", help="Look twice, so far apart: 60s settles what one look can't."),
    ] = None,
    only: Annotated[
        str, typer.Option("--only", metavar="CODES", help="Ask only these rules or families, e.g. W001,K.")
    ] = "",
    skip: Annotated[str, typer.Option("--skip", metavar="CODES", help="Leave out these rules or families.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Cautions and advice count for the exit code, too.")] = False,
    list_checks: Annotated[bool, typer.Option("--list-checks", help="List the rules and ask none.")] = False,
    report_file: Annotated[
        str | None,
        typer.Option(
            "--report", metavar="FILE", help="Write the incident report there, too: .md or .html says as what."
        ),
    ] = None,
) -> View:
    """Names what is wrong, the cause before its consequences, each with its cost, its evidence and a line to paste.

    Nothing is changed: no group is joined, no topic made, and the database is only read. It works with any of the
    systems down; what could not be checked is listed with the reason. One look is quick, and says what it can't prove;
    --sample 60s settles that. `kcfix explain CODE` tells more about a finding. With -q only the codes, causes first.

    Exit code: 0 nothing wrong (cautions and advice may be there); 1 something is, or a system is silent; 4 nothing
    could be said.

    Examples:
        kcfix doctor
        kcfix doctor --sample 60s
        kcfix doctor --only workers,groups -q
        kcfix doctor -o markdown
        kcfix doctor --report incident.md
        kcfix doctor --sample 60s --report incident.html
        kcfix doctor --list-checks
    """
    services = services_of(ctx)
    options = Options(_sample(sample) if sample else None, _words(only), _words(skip), strict, report_file)
    if list_checks:
        return _listed(options)
    return run(options, services)


def _listed(options: Options) -> View:
    wanted = chosen(RULES, options.only, options.skip)
    return View(
        schema="doctor-rules",
        sections=(rules_table(wanted),),
        data=[rule_row(rule) for rule in wanted],
        ids=tuple(rule.code for rule in wanted),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _sample(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--sample: {error}") from None


def run(options: Options, services: Services) -> View:
    """Look, conclude, and show."""
    wanted = chosen(RULES, options.only, options.skip)
    if options.report is not None:
        _may_be_written(Path(options.report))
    examination, errors = examine(services, options.sample)
    diagnosis = _called(diagnose(examination, wanted), services)
    warnings = about_containers(services, examination.discovery.error)
    warnings += services.acknowledgements.read().problems
    looked = examination.payments.value
    if looked is not None and looked.cut:
        warnings.append(f"the oldest {len(looked.found)} payments that are not well were read: kcfix missing has all")
    if options.report is not None:
        write_text(options.report, _report(options.report, examination, diagnosis, services))
    return View(
        schema="doctor",
        sections=sections(
            examination,
            diagnosis,
            services.zone,
            everything=services.verbosity > 0 or services.style().format is not Format.TABLE,
        ),
        data=list(rows(examination, diagnosis)),
        summary=summary(examination, diagnosis),
        warnings=tuple(warnings),
        errors=tuple(problem(error) for error in errors),
        next=_next(diagnosis),
        ids=tuple(
            dict.fromkeys(f.code for f in diagnosis.every if options.strict or f.severity is not Severity.ADVICE)
        ),
        exit_code=_code(options, examination, diagnosis, errors),
    )


def _may_be_written(file: Path) -> None:
    if file.suffix.lower() not in (MARKDOWN, PAGE):
        raise UsageError(f"--report: {file} must end in {MARKDOWN} or {PAGE}, which says what is written")
    if file.is_dir():
        raise UsageError(f"--report: {file} is a folder")


def _report(file: str, examination: Examination, diagnosis: Diagnosis, services: Services) -> str:
    """The incident report as the name of its file wants it."""
    if Path(file).suffix.lower() == MARKDOWN:
        return services.redact(report(examination, diagnosis, services.zone))
    from kcfix.cli.doctor_page import report_page

    span = span_of(examination, (at for at, _ in moments(examination, diagnosis)))
    groups = waiting_groups(examination)
    backlogs: Reading[tuple[Backlog, ...]] = Reading(())
    if groups:
        asked = {"log": lambda: read_backlogs(services.kafka, groups, span.moments)}
        backlogs = reading(services.readings(asked, deadline=deadline(services))["log"])
    return report_page(examination, diagnosis, backlogs, span, services.zone, services.redact)


def _called(diagnosis: Diagnosis, services: Services) -> Diagnosis:
    """The same with commands as they can be pasted here."""
    return Diagnosis(
        tuple(rewritten(finding, lambda text: as_called(text, services)) for finding in diagnosis.findings),
        diagnosis.unchecked,
        diagnosis.checked,
    )


def _next(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The first commands of the causes that are errors; lines of a Compose file are no commands."""
    errors = [f for f in diagnosis.findings if f.severity is Severity.ERROR]
    commands = [[line for line in f.action if not line.startswith("services:")] for f in errors]
    return tuple(dict.fromkeys(line for lines in commands for line in lines[:2]))[:6]


def _code(options: Options, examination: Examination, diagnosis: Diagnosis, errors: tuple[KcfixError, ...]) -> int:
    if examination.observed.could_say_nothing:
        return Unreachable.code
    counts = tuple(Severity) if options.strict else (Severity.ERROR,)
    bad = any(f.severity in counts for f in diagnosis.findings)
    return NOT_WELL if bad or errors else OK

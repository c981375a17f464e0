"""Which payments a repair is about, and the plan for them as the world is now."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from kcfix.cli.repair_options import Options
from kcfix.cli.sources import sources
from kcfix.core.ids import GivenIds, parse_ids
from kcfix.core.judging.gather import payment_snapshots
from kcfix.core.judging.snapshot import Snapshots
from kcfix.core.missing import Tally, findings
from kcfix.core.payments import PaymentId
from kcfix.core.repair.plan import RepairPlan, Wishes, plan_repair
from kcfix.core.repair.ruled_plan import plan_ruled
from kcfix.core.repair.ruling import Ruling
from kcfix.errors import Refused, UsageError
from kcfix.services import Services


def given_ids(options: Options, services: Services) -> GivenIds:
    """The payments that were named: by words, on standard input, in a file, or as all that are missing.

    Raises:
        UsageError: none was named at all, or the file can't be read.
    """
    if options.missing:
        return GivenIds(missing_ids(options, services), ())
    if options.from_file is not None:
        from kcfix.services.text_file import read_text

        return parse_ids(read_text(options.from_file).splitlines())
    words = [word for word in options.ids if word != "-"]
    if "-" in options.ids:
        words += services.stdin.read().split("\n")
    elif not words:
        raise UsageError("no payment id was given", hint="kcfix repair PAYMENT_ID, or kcfix repair --missing")
    return parse_ids(words)


def missing_ids(options: Options, services: Services) -> tuple[PaymentId, ...]:
    """What `kcfix missing` finds in the window of the options, but acknowledged payments; oldest first.

    Raises:
        Unreachable: the database did not answer, or not to the end: then it is not known which payments they are.
        Refused: which payments are acknowledged could not be read.
    """
    assert options.span is not None  # noqa: S101  set where all that are missing are wanted
    told = services.acknowledgements.read()
    if told.problems:
        raise Refused(f"which payments are acknowledged is not known: {told.problems[0]}")
    found = findings(services.database, sources(services), options.span, Tally(), told.by_payment)
    return tuple(finding.payment.id for finding in found if not finding.acknowledged)


def plan_for(ids: Collection[PaymentId], wishes: Wishes, ruling: Ruling | None, services: Services) -> RepairPlan:
    """The plan for these payments, read anew."""
    where = sources(services)

    def read(courses: Mapping[PaymentId, str]) -> Snapshots:
        return payment_snapshots(ids, where, courses=courses)

    if ruling is None or ruling.payment_id not in ids:
        return plan_repair(read({}), wishes, services.flow)
    return plan_ruled(read, wishes, ruling, services.flow)

"""What `kcfix repair` was asked, as plain values, and which wishes go together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from kcfix.core.judging.verdict import OVERDUE
from kcfix.core.missing import Span
from kcfix.core.payments import TIERS, PaymentId, parse_uuid
from kcfix.core.repair.plan import Strategy, Wishes
from kcfix.core.repair.ruling import Ruling
from kcfix.errors import UsageError

MOST = 100
"""Payments that a run changes at most, unless `--max` says otherwise."""
WAIT = timedelta(seconds=30)
"""How long a run watches for the purchases after a replay, unless `--wait` says otherwise."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one run."""

    ids: tuple[str, ...]
    """Words as they were given; `-` stands for standard input."""
    from_file: str | None = None
    missing: bool = False
    """All payments that `kcfix missing` finds between `since` and `until`."""
    since: str | None = None
    """As it was written: times count from the database's clock."""
    until: str | None = None
    span: Span | None = None
    """The window of `missing`; None until the database has told its time."""
    apply: bool = False
    yes: bool = False
    strategy: Strategy = Strategy.AUTO
    announce_later: bool = False
    course_id: str | None = None
    tier: int | None = None
    limit: int = MOST
    """Payments that are changed at most, the oldest first."""
    rate: float | None = None
    """Payments a second, at most."""
    wait: timedelta = WAIT
    """How long to watch for the purchases after a replay, and for what follows where that is wanted."""
    follow: bool = False
    """Whether to follow what was settled to its allocation and sessions."""
    reason: str = ""
    exit_code: bool = False
    overdue: timedelta = OVERDUE
    """Younger payments are on their way, and left alone."""
    plan_file: str | None = None
    """Where to write the plan."""
    applied_plan: str | None = None
    """The file of the plan that is applied."""

    @property
    def wishes(self) -> Wishes:
        """What bears on the plan, but for a person's word."""
        return Wishes(self.strategy, self.announce_later, self.overdue)

    def ruling(self, payment_id: PaymentId) -> Ruling | None:
        """A person's word about the one payment of the run; None where none was given."""
        if self.course_id is None and self.tier is None:
            return None
        return Ruling(payment_id, self.course_id, self.tier)


def checked_course(text: str) -> str | None:
    """The course that was named; None for none. Raises UsageError."""
    if not text:
        return None
    course = parse_uuid(text)
    if course is None:
        raise UsageError(f"--course {text!r} is no UUID")
    return course


def checked_tier(tier: int | None) -> int | None:
    """The tier that was named. Raises UsageError."""
    if tier not in (None, *TIERS):
        raise UsageError(f"--tier must be one of {', '.join(map(str, TIERS))}")
    return tier


def check(options: Options) -> Options:
    """The options, if they go together.

    Raises:
        UsageError: they do not. Nothing was asked.
    """
    ruled = options.course_id is not None or options.tier is not None
    sources = bool(options.ids) + (options.from_file is not None) + options.missing
    wrong = {
        "--announce-later goes with --strategy insert": options.announce_later
        and options.strategy is not Strategy.INSERT,
        "--course and --tier go with --reason": ruled and options.apply and not options.reason.strip(),
        "--course and --tier are for one payment at a time, named by its id": ruled
        and (len(options.ids) != 1 or options.ids == ("-",) or options.missing or options.from_file is not None),
        "--since and --until go with --missing": not options.missing
        and (options.since is not None or options.until is not None),
        "payments are given by ids, by --from-file or by --missing: one of them": sources > 1,
        "--plan only writes a plan; apply it with --apply-plan": options.plan_file is not None and options.apply,
    }
    for text, holds in wrong.items():
        if holds:
            raise UsageError(text)
    return options

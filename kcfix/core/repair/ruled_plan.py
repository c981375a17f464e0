"""The plan for one payment of which a person says what it does not say itself (docs/decisions.md 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from kcfix.core.judging.snapshot import Snapshots
from kcfix.core.payments import PaymentId
from kcfix.core.repair.plan import RepairPlan, Wishes, plan_repair
from kcfix.core.repair.ruling import RULABLE, Ruling, contradiction
from kcfix.flow import Flow

Read = Callable[[Mapping[PaymentId, str]], Snapshots]
"""Reads the payment anew, for the course that a person named where there is one."""


def plan_ruled(read: Read, wishes: Wishes, ruling: Ruling, flow: Flow) -> RepairPlan:
    """The plan by the payment's own word, and by the ruling only where that leaves something open.

    A ruling that contradicts the payment is refused: it fills a gap, it does not correct.
    """
    plain = plan_repair(read({}), wishes, flow)
    step = plain.steps[0]
    payment = step.facts.payment if step.facts else None
    if payment is None or not (step.action.changes or step.verdict.kind in RULABLE):
        return plain
    known = step.facts.course_known if step.facts else None
    against = contradiction(ruling, payment, own_course_known=known)
    if against is not None:
        return replace(plain, steps=(step.refused(f"{ruling.words} is refused: {against}"),))
    if step.verdict.kind not in RULABLE:
        return plain
    return plan_repair(read(ruling.courses), replace(wishes, ruling=ruling), flow)

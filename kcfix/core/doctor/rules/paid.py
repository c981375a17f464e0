"""How findings about payments are made: which ones, their evidence, and the commands."""

from __future__ import annotations

from collections.abc import Iterator

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rules.groups import partition_of
from kcfix.core.doctor.rules.proof import counted, partition_thing, things_of, trouble_thing
from kcfix.core.doctor.troubles import trouble_of
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.missing import Finding as PaymentFinding
from kcfix.core.repair.remedy import PERSON_ADVICE

NAMED = 20
"""Payments that a command names; more are piped."""
FAILED = (VerdictKind.DEAD_LETTERED, VerdictKind.POISON)
"""Verdicts whose reason quotes what the worker failed with."""
_SAID = {
    VerdictKind.NO_COURSE: "--course COURSE",
    VerdictKind.UNKNOWN_COURSE: "--course COURSE",
    VerdictKind.BAD_TIER: "--tier TIER",
}
"""What a person has to say for `repair`."""


def of_kind(examination: Examination, *kinds: VerdictKind) -> tuple[PaymentFinding, ...]:
    """The payments with one of these verdicts, oldest first."""
    looked = examination.payments.value
    return tuple(f for f in looked.found if f.verdict.kind in kinds) if looked is not None else ()


def count_of(examination: Examination, found: tuple[PaymentFinding, ...], one: str = "payment") -> str:
    """How many payments (or what belongs to them) they are, in words: "at least" where not all were read."""
    return f"{at_least(examination)}{counted(len(found), one)}"


def at_least(examination: Examination) -> str:
    """What stands before a number of payments where not all of them were read; else nothing."""
    looked = examination.payments.value
    return "at least " if looked is not None and looked.cut else ""


def repair(found: tuple[PaymentFinding, ...], *more: str) -> str:
    """The command that repairs these payments."""
    if len(found) > NAMED:
        return " ".join(["kcfix missing -q | kcfix repair -", *more])
    return " ".join(["kcfix repair", *(f.payment.id for f in found), *more])


def shown(examination: Examination, found: tuple[PaymentFinding, ...]) -> tuple[Evidence, ...]:
    """The first three of them with the reason of their verdict, and how many more there are."""
    shown = tuple(
        Evidence(EvidenceKind.PAYMENT, f"payment {f.payment.id}: {f.verdict.reason}", f.payment.paid_at)
        for f in found[:3]
    )
    left = len(found) - len(shown)
    return (*shown, *((Evidence(EvidenceKind.PAYMENT, f"and {at_least(examination)}{left} more"),) if left else ()))


def made(
    examination: Examination,
    kind: VerdictKind,
    symptom: str,
    cause: str,
    *,
    person: bool = False,
    about: tuple[Thing, ...] = (),
    only: tuple[PaymentFinding, ...] | None = None,
) -> Iterator[Found]:
    """One finding for all payments of a verdict, about the purchase-worker and the partitions of their messages.

    `about`: what it is about instead of the worker. `only`: the payments, where it is not about all of the verdict.
    """
    found = of_kind(examination, kind) if only is None else only
    if not found:
        return
    worker = examination.worker(examination.flow.stages[0])
    mine = things_of(worker) if worker is not None else (Thing("worker", examination.flow.purchase_worker),)
    partitions = {tp for f in found if (tp := partition_of(f)) is not None}
    troubles = {t for f in found if kind in FAILED and (t := trouble_of(f.verdict.reason)) is not None}
    yield Found(
        symptom=f"{count_of(examination, found)} {symptom}",
        cause=f"{cause}; {PERSON_ADVICE[kind]}" if person else cause,
        evidence=shown(examination, found),
        action=_decided(kind, found) if person else (repair(found),),
        about=(
            *(about or mine),
            *(partition_thing(tp) for tp in sorted(partitions)),
            *(trouble_thing(t) for t in sorted(troubles)),
        ),
        confidence=Confidence.PROVEN,
        payments=found,
    )


def _decided(kind: VerdictKind, found: tuple[PaymentFinding, ...]) -> tuple[str, ...]:
    """The commands for the oldest payment, for a person decides about one at a time."""
    first = found[0].payment.id
    if kind in _SAID:
        return (f"kcfix trace {first}", f"kcfix repair {first} {_SAID[kind]} --reason WHY")
    return (
        f"kcfix trace {first}",
        f"kcfix missing --ack {first} --reason WHY   # once it is settled with the customer",
    )

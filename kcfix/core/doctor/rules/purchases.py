"""Rules about payments whose trouble is in the tables: no course, no tier, second payments, wrong purchases."""

from __future__ import annotations

from collections.abc import Iterator

from kcfix.core.doctor.diagnosis import Found, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import always, because, same, same_trouble_told
from kcfix.core.doctor.rules.paid import made, of_kind
from kcfix.core.doctor.rules.payments import payment_rule
from kcfix.core.doctor.rules.proof import trouble_thing
from kcfix.core.doctor.troubles import Trouble
from kcfix.core.judging.verdict import VerdictKind


def no_course(examination: Examination) -> Iterator[Found]:
    """Payments whose metadata names no usable course: money taken, no event ever.

    payment-service logs "Payment succeeded but no courseId in metadata" and goes on. `course_id` in place of `courseId`
    and metadata that is a JSON text end the same way. A person must find out which course was paid for.
    """
    yield from made(
        examination,
        VerdictKind.NO_COURSE,
        "without a course",
        "payments.metadata has no courseId, so that payment-service sends nothing",
        person=True,
    )


def bad_tier(examination: Examination) -> Iterator[Found]:
    """Payments that state no tier of 10, 20 or 30.

    The worker would take 30 where none is stated, and fail on any other number (violates the tier check). A person says
    `--tier` with a reason.
    """
    yield from made(
        examination,
        VerdictKind.BAD_TIER,
        "without a tier of 10, 20 or 30",
        "purchaseTier or sessionCount in the payment's metadata is missing or another number",
        person=True,
        about=(trouble_thing(Trouble.BAD_TIER),),
    )


def unknown_course(examination: Examination) -> Iterator[Found]:
    """Payments for a course that is not in the courses table: the worker fails on the foreign key."""
    yield from made(
        examination,
        VerdictKind.UNKNOWN_COURSE,
        "for a course that is not in the courses table",
        "the course was deleted, or never lived in this database",
        person=True,
        about=(trouble_thing(Trouble.UNKNOWN_COURSE),),
    )


def second_payment(examination: Examination) -> Iterator[Found]:
    """Second payments of a student for a course that has its purchase already.

    The worker says "Purchase already exists" and takes the message for done. Double charges, paid upgrades and further
    cycles all end here: money taken, nothing given. A person decides.
    """
    found = of_kind(examination, VerdictKind.SECOND_PAYMENT)
    kinds = sorted({f.verdict.detail or "other" for f in found})
    yield from made(
        examination,
        VerdictKind.SECOND_PAYMENT,
        f"for a course that was bought already ({', '.join(kinds).replace('_', ' ')})",
        "the worker knows no second purchase of a course, and passes over the message",
        person=True,
    )


def duplicates(examination: Examination) -> Iterator[Found]:
    """Students with more than one active purchase of a course.

    Two writers at once where no unique index forbids it: a repair script beside the worker, course-service beside the
    worker. It also keeps the index from being made. A person decides which one stays.
    """
    yield from made(
        examination,
        VerdictKind.DUPLICATE_PURCHASES,
        "with more than one active purchase of the same student and course",
        "two writers made one each; no unique index was there to stop the second",
        person=True,
    )


def wrong_tier(examination: Examination) -> Iterator[Found]:
    """Purchases with another number of sessions than was paid for.

    The worker takes 30 where the message's metadata is a text or states nothing; the retry queue of payment-service
    always sends 30.
    """
    yield from made(
        examination,
        VerdictKind.WRONG_TIER,
        "with another number of sessions than was paid for",
        "the tier was guessed: metadata was a text, or the purchase came from the retry queue (always 30)",
        person=True,
    )


def unannounced(examination: Examination) -> Iterator[Found]:
    """Purchases for which PURCHASE_CREATED was never sent: no trainer, no sessions.

    Made by a script, by course-service or by payment-service's retry queue, which send no event; or the worker died
    between its commit and its send. `kcfix repair` sends the event.
    """
    yield from made(
        examination,
        VerdictKind.UNANNOUNCED,
        "with a purchase that nobody was told of",
        "the purchase was made by a writer that sends no event, or the worker died before it sent it",
    )


RULES = (
    payment_rule("P010", Severity.ERROR, "Payments that name no course", no_course, modes=("22",)),
    payment_rule(
        "P011",
        Severity.ERROR,
        "Payments without a usable tier",
        bad_tier,
        causes=because(same_trouble_told, "G001", "G002"),
        modes=("32",),
    ),
    payment_rule(
        "P012",
        Severity.ERROR,
        "Payments for an unknown course",
        unknown_course,
        causes=because(same_trouble_told, "G001", "G002"),
        modes=("33",),
    ),
    payment_rule("P013", Severity.ERROR, "Second payments for one course", second_payment, modes=("31",)),
    payment_rule(
        "P014",
        Severity.ERROR,
        "Two active purchases of one course",
        duplicates,
        causes=because(always, "D009"),
        modes=("30", "35"),
    ),
    payment_rule("P015", Severity.ERROR, "Purchases of another tier than was paid for", wrong_tier, modes=("23", "32")),
    payment_rule(
        "P016",
        Severity.ERROR,
        "Purchases that nobody was told of",
        unannounced,
        causes=(*because(always, "K001", "K002"), *because(same("worker"), "K004")),
        modes=("23", "37"),
    ),
)

"""Rules about what should follow a purchase: trainer, sessions, cache, notifications; and about unfinished payments."""

from __future__ import annotations

from collections.abc import Iterator

from kcfix.core.doctor.diagnosis import Confidence, Evidence, EvidenceKind, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import Rule, because, same, same_trouble
from kcfix.core.doctor.rules.paid import at_least, count_of, of_kind
from kcfix.core.doctor.rules.proof import counted, log_line, psql, things_of, told, trouble_thing, when
from kcfix.core.doctor.troubles import Telling, Trouble, trouble_of
from kcfix.core.events import DeadLetter
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.missing import Finding as PaymentFinding
from kcfix.core.status.system import WorkerFacts
from kcfix.flow import Stage


def _allocation(examination: Examination) -> Stage:
    return next(s for s in examination.flow.stages if s.name == "allocation")


def _lines(examination: Examination, worker: WorkerFacts | None, trouble: Trouble) -> tuple[Telling, ...]:
    """Lines of the last ten minutes that tell of the trouble."""
    if worker is None:
        return ()
    every = told(examination, worker, all_lives=True)
    return tuple(
        t for t in every if t.trouble is trouble and (examination.at - t.entry.timestamp).total_seconds() < 600
    )


def _letters(examination: Examination, topic: str, trouble: Trouble) -> tuple[DeadLetter, ...]:
    broker = examination.broker.value
    return tuple(
        d for d in (broker.letters if broker else ()) if d.original_topic == topic and trouble_of(d.reason) is trouble
    )


def _rows(found: tuple[PaymentFinding, ...]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(EvidenceKind.PAYMENT, f"payment {f.payment.id}: {f.verdict.reason}", f.payment.paid_at)
        for f in found[:3]
    )


def no_trainer(examination: Examination) -> Iterator[Found]:
    """Purchases wait for a trainer: none is eligible, or all are full.

    The allocation-worker then fails ("Allocation service returned allocation without trainerId"), and each of its tries
    leaves one more pending row without a trainer: about thirty a cycle. Its back-off outlasts the session time-out, so
    that it drops out of its group meanwhile. Free a trainer, or a person allocates one; then close the surplus rows.
    """
    stage = _allocation(examination)
    worker = examination.worker(stage)
    found = of_kind(examination, VerdictKind.PENDING_ALLOCATION)
    lines = _lines(examination, worker, Trouble.NO_TRAINER)
    letters = _letters(examination, examination.flow.purchase_created, Trouble.NO_TRAINER)
    failed = _lines(examination, worker, Trouble.APPROVAL_FAILED)
    if failed or not (found or lines or letters):
        return
    count = len({d.payment_id for d in letters} | {f.payment.id for f in found}) or 1
    yield Found(
        symptom=f"no trainer for {at_least(examination) if found else ''}{counted(count, 'purchase')}",
        cause="no eligible trainer is free, or all are full; each try leaves another pending row",
        evidence=(
            *(log_line(t.entry) for t in lines[-2:]),
            *(
                (Evidence(EvidenceKind.BROKER, f"{len(letters)} dead letters: {letters[-1].reason[:200]}"),)
                if letters
                else ()
            ),
            *_rows(found),
        ),
        action=(f"kcfix logs {stage.worker} --errors", "kcfix missing"),
        about=(*(things_of(worker) if worker else ()), trouble_thing(Trouble.NO_TRAINER)),
        confidence=Confidence.PROVEN if lines or letters else Confidence.LIKELY,
        since=lines[0].entry.timestamp if lines else None,
        payments=found,
    )


def approval_failed(examination: Examination) -> Iterator[Found]:
    """Trainers are found and their allocation can't be approved.

    The allocation is written as pending and then approved in the name of the system admin (id 0…01); where that admin
    is not in admin_users the approval breaks its foreign key, and the row stays pending with the error in its notes.
    """
    stage = _allocation(examination)
    worker = examination.worker(stage)
    lines = _lines(examination, worker, Trouble.APPROVAL_FAILED)
    if not lines:
        return
    found = of_kind(examination, VerdictKind.PENDING_ALLOCATION, VerdictKind.NO_ALLOCATION)
    yield Found(
        symptom="allocations stay pending: their approval fails",
        cause=lines[-1].words[:300],
        evidence=(*(log_line(t.entry) for t in lines[-2:]), *_rows(found)),
        action=(
            psql("SELECT id FROM admin_users WHERE id = '00000000-0000-0000-0000-000000000001'"),
            f"kcfix logs {stage.worker} --errors",
        ),
        about=(
            *(things_of(worker) if worker else ()),
            trouble_thing(Trouble.APPROVAL_FAILED),
            trouble_thing(Trouble.NO_TRAINER),  # so the worker itself words it
        ),
        since=lines[0].entry.timestamp,
        payments=found,
    )


def no_allocation(examination: Examination) -> Iterator[Found]:
    """Purchases that were announced five minutes ago and have no allocation at all.

    The event still waits for the allocation-worker, or its group has gone past it: then nothing asks for a trainer
    again. `kcfix repair --strategy announce` sends the event once more.
    """
    found = of_kind(examination, VerdictKind.NO_ALLOCATION)
    if not found:
        return
    stage = _allocation(examination)
    worker = examination.worker(stage)
    yield Found(
        symptom=f"{count_of(examination, found, 'purchase')} without a trainer",
        cause="the allocation-worker has not handled their event, or failed on it and went on",
        evidence=_rows(found),
        action=(
            f"kcfix logs {stage.worker} --errors",
            f"kcfix repair {' '.join(f.payment.id for f in found[:20])} --strategy announce",
        ),
        about=things_of(worker) if worker else (Thing("worker", stage.worker),),
        payments=found,
    )


def no_sessions(examination: Examination) -> Iterator[Found]:
    """A trainer is allocated and there are no sessions.

    Mostly the student's coordinates are missing in student_profiles: the allocation is approved, the sessions fail and
    only a line in the log says so ("STUDENT GPS ISSUE"). Add them, then make the sessions anew
    (`POST admin:3010/api/v1/admin/allocations/ALLOCATION/create-sessions`). Or the session-worker skipped the event
    because the cache-worker had marked it first. Sessions that the session-worker makes all lie at 4:00 PM, whatever
    was chosen.
    """
    stage = _allocation(examination)
    worker = examination.worker(stage)
    found = of_kind(examination, VerdictKind.NO_SESSIONS)
    lines = _lines(examination, worker, Trouble.NO_COORDINATES)
    if not found and not lines:
        return
    many = count_of(examination, found, "allocation") if found else counted(1, "allocation")
    yield Found(
        symptom=f"{many} without the sessions that belong to it",
        cause=(
            "the student's profile has no coordinates, without which no session is planned"
            if lines
            else "the sessions were never made, or failed"
        ),
        evidence=(*(log_line(t.entry) for t in lines[-2:]), *_rows(found)),
        action=(
            f"kcfix logs {stage.worker} --errors",
            *(
                (psql("SELECT student_id FROM student_profiles WHERE latitude IS NULL OR longitude IS NULL"),)
                if lines
                else (f"kcfix logs {_session(examination).worker} --errors",)
            ),
        ),
        about=(
            *(things_of(worker) if worker else ()),
            Thing("worker", _session(examination).worker),
            *((trouble_thing(Trouble.NO_COORDINATES),) if lines else ()),
        ),
        confidence=Confidence.PROVEN if lines else Confidence.LIKELY,
        since=lines[0].entry.timestamp if lines else None,
        payments=found,
    )


def _session(examination: Examination) -> Stage:
    return next(s for s in examination.flow.stages if s.name == "session")


def stuck(examination: Examination) -> Iterator[Found]:
    """Payments stay `initiated` or `processing` long after they should have expired.

    Nothing sweeps them. Where the customer's money was captured and the confirmation was lost (the webhook looks for
    the order id, which the confirmation has replaced), the provider knows and the table does not: compare with the
    provider's list.
    """
    found = examination.stuck.value
    if found is None or not found.count:
        return
    yield Found(
        symptom=f"{counted(found.count, 'payment')} never came to an end, the oldest since {when(found.oldest)}",
        cause="the customer gave up, or the confirmation from the provider was lost; nothing sweeps them",
        evidence=(Evidence(EvidenceKind.DATABASE, f"initiated or processing past expires_at: {found.count}"),),
        action=(
            psql(
                "SELECT id, status, expires_at FROM payments WHERE status IN ('initiated', 'processing') "
                "AND expires_at < now() - interval '1 hour' ORDER BY expires_at"
            ),
        ),
        about=(Thing("table", "payments"),),
        confidence=Confidence.LIKELY,
        since=found.oldest,
    )


def capture_unproven(examination: Examination) -> Iterator[Found]:
    """Payments without a purchase whose capture is not proven by their own row.

    The client's own word, and a webhook without a signature check, can set `succeeded`; `authorized` counts as well. So
    look at the provider's list before money is taken for granted.
    """
    looked = examination.payments.value
    found = tuple(f for f in looked.found if f.capture_unproven is not None) if looked is not None else ()
    if found:
        yield Found(
            symptom=f"the capture of {count_of(examination, found)} of those above is not proven",
            cause=str(found[0].capture_unproven),
            evidence=tuple(
                Evidence(EvidenceKind.PAYMENT, f"payment {f.payment.id}: {f.capture_unproven}") for f in found[:3]
            ),
            action=("kcfix missing",),
            about=(Thing("table", "payments"),),
        )


PAYMENTS = frozenset({Need.PAYMENTS})
_OF_ALLOCATION = (
    *because(same("worker"), "W001", "W002", "W003", "W004", "W005", "W006", "W007", "W008", "W009", "W013", "G001"),
    *because(same_trouble, "D004", "D005", "D006", "D008", "D010", "D012"),
)
RULES = (
    Rule("P017", Severity.ERROR, "Purchases without an allocation", no_allocation, PAYMENTS, _OF_ALLOCATION, ("5",)),
    Rule("P018", Severity.ERROR, "No trainer is free", no_trainer, frozenset(), modes=("39", "40", "9")),
    Rule(
        "P019",
        Severity.ERROR,
        "Allocations without sessions",
        no_sessions,
        frozenset(),
        because(same("worker"), "W001", "W002", "W003", "W006", "W013", "D012"),
        ("42", "43"),
    ),
    Rule(
        "P021",
        Severity.ERROR,
        "The approval of allocations fails",
        approval_failed,
        frozenset({Need.LOGS}),
        modes=("41",),
    ),
    Rule(
        "P022", Severity.CAUTION, "Payments that never came to an end", stuck, frozenset({Need.DATABASE}), modes=("26",)
    ),
    Rule("P023", Severity.CAUTION, "Payments whose capture is unproven", capture_unproven, PAYMENTS, modes=("25",)),
)

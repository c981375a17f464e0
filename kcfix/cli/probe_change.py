"""The changing half of `kcfix probe`: guard, show, ask, write the payment, send its event, follow it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

from kcfix.cli.guards import confirmed, same_system
from kcfix.cli.preview import show_plan
from kcfix.cli.probe_plan import Plan
from kcfix.cli.probe_view import followed_view, plan_view
from kcfix.core.journal import Run
from kcfix.core.ports.database import InsertState
from kcfix.core.ports.kafka import SendResult, SendState
from kcfix.core.repair.confirmed_message import built_message
from kcfix.errors import OK, KcfixError, OutcomeUnknown, PartlyApplied, Refused
from kcfix.render.view import View
from kcfix.services import Services


def change(plan: Plan, reason: str, wait: timedelta, services: Services, *, yes: bool) -> View:
    """Make the probe and follow it.

    Raises:
        Refused: nothing was changed. PartlyApplied: its payment is there, and the run could not go on.
    """
    warnings = same_system(services)
    show_plan(services, plan_view(plan, services, warnings=warnings))
    if not yes and not services.ask("Go ahead?"):
        raise Refused("declined; nothing was changed")
    confirmed(services)
    journal = services.journal.begin(
        command="probe", context=services.settings.context, argv=services.argv, reason=reason
    )
    id = plan.order.payment_id
    with _ended(journal, f"the probe {id} may be there: kcfix probe lists it", services):
        _write(plan, journal, services)
    try:
        with _ended(journal, f"the probe {id} is there, as far as it came: kcfix trace {id}", services):
            sent = _send(plan, journal, services)
            view = followed_view(id, wait, services, plan=plan, run_id=journal.id, sent=sent, warnings=warnings)
    except KcfixError as error:
        raise PartlyApplied(
            f"the probe {id} was cut short after its payment was written: {error.message}",
            hint=f"kcfix trace {id} says how far it came, kcfix repair {id} finishes it",
        ) from error
    journal.end(view.exit_code, {"payment_id": id, "settled": view.exit_code == OK})
    return view


@contextlib.contextmanager
def _ended(journal: Run, left: str, services: Services) -> Iterator[None]:
    """The journal is closed, whatever cuts the run short; who interrupts it is told what is left."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, KcfixError):
            with contextlib.suppress(Exception):
                services.warn(left)
        code = error.code if isinstance(error, KcfixError) else PartlyApplied.code
        with contextlib.suppress(Exception):
            journal.end(code, {"cut_short_by": type(error).__name__})
        raise


def _write(plan: Plan, journal: Run, services: Services) -> None:
    order = plan.order
    step = journal.intend(
        {
            "step": "probe payment",
            "payment_id": order.payment_id,
            "student_id": order.student_id,
            "new_student": order.new_student,
            "course_id": order.course_id,
        }
    )
    services.progress("writing the payment")
    try:
        made = services.database.probe(order)
    except KcfixError as error:
        journal.done(step, {"state": "NOT_MADE", "error": error.message})
        raise
    journal.done(step, {"state": made.state, "error": made.reason})
    match made.state:
        case InsertState.INSERTED | InsertState.EXISTS:
            return
        case InsertState.UNKNOWN:
            raise OutcomeUnknown(
                f"whether the payment {order.payment_id} was written is not known: {made.reason}",
                hint="kcfix probe (without --apply) lists it if it was",
            )
        case InsertState.REFUSED | InsertState.FAILED:
            named = "a student of this system can be named with --student" if order.new_student else None
            raise Refused(f"the payment was not written: {made.reason}", hint=named)


def _send(plan: Plan, journal: Run, services: Services) -> SendResult:
    """Send the event as a repair would make it from the row, so that a repair after a kill sends the very same."""
    id = plan.order.payment_id
    payment = services.database.facts([id])[id].payment
    if payment is None:
        raise OutcomeUnknown(f"the payment {id} was written and can't be read back")
    message = built_message(payment, services.flow)
    headers = {name: (value or b"").decode() for name, value in message.headers}
    step = journal.intend({"step": "probe event", "payment_id": id, "topic": message.topic, "headers": headers})
    services.progress("sending its event")
    try:
        (sent,) = services.kafka.send([message])
    except OutcomeUnknown as error:
        sent = SendResult(SendState.UNKNOWN, error=error.message)
    except KcfixError as error:
        sent = SendResult(SendState.REJECTED, error=error.message)
    journal.done(step, {"state": sent.state, "partition": sent.partition, "offset": sent.offset, "error": sent.error})
    return sent

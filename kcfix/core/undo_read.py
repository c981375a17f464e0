"""Reads what an undo is decided on, and looks for an announcement once more under the worker's lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from kcfix.core.announcements import announcements
from kcfix.core.messages import purchase_offsets
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports import DeleteOrder, DeleteRecheck, KafkaPort
from kcfix.core.snapshot import AnnouncementEvidence, Reading
from kcfix.errors import Unreachable
from kcfix.flow import Flow


def read_announcements(
    kafka: Callable[[], KafkaPort], flow: Flow, facts: Mapping[PaymentId, PaymentFacts], now: datetime
) -> Mapping[PaymentId, Reading[AnnouncementEvidence]]:
    """Whether the purchase of each payment was announced; payments whose purchase something has followed are left out.

    No Raises: a Kafka that does not answer makes each of them unknown.
    """
    try:
        offsets = purchase_offsets(kafka(), flow)
    except Unreachable as error:
        return {id: Reading.unknown(error.message) for id in facts}
    return announcements(kafka, flow, Reading(offsets), facts, now)


def unannounced(kafka: Callable[[], KafkaPort], flow: Flow, now: Callable[[], datetime]) -> DeleteRecheck:
    """The re-check of a deletion: None only if the log reaches back to the purchase and holds no announcement of it.

    Raises:
        Unreachable: (the re-check) whether it was announced can't be told, so nothing may be deleted.
    """

    def recheck(order: DeleteOrder, facts: PaymentFacts) -> str | None:
        if any(a.allocated or a.requested_at >= order.purchase.created_at for a in facts.allocations):
            return "an allocation of its student and course is there; something acts on the purchase"
        found = read_announcements(kafka, flow, {order.payment_id: facts}, now()).get(order.payment_id)
        if found is None or found.value is None or found.value.purchase_id != order.purchase.id:
            why = (found.error if found else None) or "it was not looked for"
            raise Unreachable(f"whether it was announced: {why}", system="kafka")
        if found.value.announcements:
            return "its announcement was sent; the allocation worker acts on it"
        if not found.value.reaches_back:
            return "the log does not reach back to the purchase, so it may have been announced"
        return None

    return recheck

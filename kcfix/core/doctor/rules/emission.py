"""Rules about payments whose event payment-service did not send."""

from __future__ import annotations

from collections.abc import Iterator

from kcfix.core.doctor.diagnosis import Found, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import always, because, same
from kcfix.core.doctor.rules.paid import made, of_kind
from kcfix.core.doctor.rules.payments import payment_rule
from kcfix.core.doctor.rules.proof import partition_thing
from kcfix.core.events import murmur2_partition
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.offsets import TopicPartition


def _sender(examination: Examination, kind: VerdictKind) -> tuple[Thing, ...]:
    """Who should have sent the events of these payments, to which topic and partitions."""
    flow, kafka = examination.flow, examination.observed.kafka.value
    topic = kafka.topics.get(flow.purchase_confirmed) if kafka is not None else None
    count = len(topic.partitions) if topic is not None else 0
    ids = [f.payment.id for f in of_kind(examination, kind)] if count else []
    partitions = {TopicPartition(flow.purchase_confirmed, murmur2_partition(i.encode(), count)) for i in ids}
    return (
        Thing("worker", flow.payment_service),
        Thing("topic", flow.purchase_confirmed),
        Thing("table", flow.tables.events),
        *(partition_thing(tp) for tp in sorted(partitions)),
    )


def never_sent(examination: Examination) -> Iterator[Found]:
    """Payments whose event was written to processed_events and never reached Kafka.

    payment-service writes the row first and then sends; where the send fails the row stays, and every later try is
    skipped because of the row ("Event already emitted"). Confirming the payment again does nothing. A row that a repair
    script wrote looks the same (its source tells), and suppresses the real event for good.
    """
    yield from made(
        examination,
        VerdictKind.NEVER_SENT,
        "with a row in processed_events and no message in Kafka",
        "payment-service wrote the event down and could not send it; nothing sends it later",
        about=_sender(examination, VerdictKind.NEVER_SENT),
    )


def never_emitted(examination: Examination) -> Iterator[Found]:
    """Payments that succeeded and have neither a row in processed_events nor a message.

    payment-service died between the payment's update and its event, or could not write the row: the table missing, no
    free connection. A second confirmation of the same payment returns early and emits nothing.
    """
    yield from made(
        examination,
        VerdictKind.NEVER_EMITTED,
        "for which nothing was ever written down or sent",
        "payment-service died, or could not write, between the payment's update and its event",
        about=_sender(examination, VerdictKind.NEVER_EMITTED),
    )


_UNSENT = (
    *because(same("partition"), "G004"),
    *because(same("worker"), "C001", "C002", "C003"),
    *because(always, "K014", "K013", "C012"),
    *because(same("topic"), "K004"),
)

RULES = (
    payment_rule(
        "P007",
        Severity.ERROR,
        "Payments whose event was never sent",
        never_sent,
        causes=_UNSENT,
        modes=("11", "18", "21"),
    ),
    payment_rule(
        "P008",
        Severity.ERROR,
        "Payments whose event was never written",
        never_emitted,
        causes=(*_UNSENT, *because(same("table"), "D008"), *because(always, "D007")),
        modes=("19", "20", "24"),
    ),
)

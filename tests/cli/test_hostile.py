"""Messages and rows of a careless hand, a broken program or bad intent: no bug, nothing for the terminal to obey."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.night import APPLY, Night
from tests.conftest import NOW, Ran, Run
from tests.fakes_database import course_id

ESCAPES = "\x1b[31mX\x1b]0;t\x07\u202e\x9b2J\x00"
TOPICS = (
    "purchase-confirmed",
    "purchase-created",
    "trainer-allocated",
    "sessions-generated",
    "dead-letter-queue",
)
HEADERS: tuple[tuple[tuple[str, bytes | None], ...], ...] = (
    (),
    (("eventId", None),),
    (("eventId", ESCAPES.encode()), ("correlationId", b"\xff\xfe"), ("source", None), ("", b""), (ESCAPES, b"1")),
)
TIMES = (None, datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 12, 30, tzinfo=UTC), NOW - timedelta(minutes=28))


def bodies(payment: str, purchase: str) -> list[bytes | None]:
    """Values of messages about them, each wrong in its own way."""

    def event(**fields: object) -> bytes:
        whole = {"type": "PURCHASE_CONFIRMED", "paymentId": payment, "purchaseId": purchase, **fields}
        return json.dumps(whole).encode()

    return [
        *(None, b"", b"\x00\xff" * 50, b"null", b"[]", b"5", b'"x"', b"{" * 100_000, b"9" * 5000, b"\xef\xbb\xbf{}"),
        b'{"a":' * 3000 + b"1" + b"}" * 3000,
        b'{"paymentId":"%s","purchaseTier":1e999,"_metadata":{"timestamp":1e999,"eventId":{}}}' % payment.encode(),
        b'{"paymentId":"%s","purchaseId":"\\ud800","courseId":"\\udfff"}' % payment.encode(),
        event(),
        event(studentId=5, courseId=[], metadata="x"),
        event(metadata={"courseId": ESCAPES, "purchaseTier": []}, purchaseTier=10**400),
        event(_metadata={"eventId": ESCAPES, "timestamp": -(10**30)}),
        event(_metadata={"timestamp": "9999-12-31T23:59:59-12:00"}),
        event(_metadata=[]),
        event(purchaseId=ESCAPES, allocationId=ESCAPES, studentId=ESCAPES, courseId=ESCAPES),
        event(error={"message": f"{ESCAPES}postgresql://u:made-up@h/d"}, originalTopic=ESCAPES, correlationId=payment),
        event(originalTopic="purchase-confirmed", originalPartition=10**30, originalOffset=-5, retryCount="x"),
        event(originalEvent={"paymentId": payment}, error=ESCAPES, topic=["x"], partition="x", offset=1.5),
    ]


def hold(ran: Ran) -> None:
    """It ran to its end, and nothing that it wrote moves a cursor or tells a password."""
    text = ran.out + ran.err
    assert ran.code != 70, ran.err
    assert [c for c in ESCAPES if ord(c) not in range(32, 127) and c in text] == []
    assert "made-up" not in text


@pytest.mark.parametrize("seed", range(8))
def test_no_message_is_a_bug_or_reaches_the_terminal(run: Run, seed: int) -> None:
    chance, night = random.Random(seed), Night()  # noqa: S311
    ids = [str(id) for id in night.ids]
    if seed % 3 == 0:
        night.database.purchase(night.paid[0])
    purchase = night.database.purchases[0].id if night.database.purchases else "x"
    for _ in range(25):
        payment = chance.choice(ids)
        night.kafka.put(
            chance.choice(TOPICS),
            chance.choice([payment, payment, payment.upper(), None, b"\xff\xfe", ESCAPES, ""]),
            chance.choice(bodies(payment, purchase)),
            headers=chance.choice(HEADERS),
            at=chance.choice(TIMES),
        )
    systems: dict[str, Any] = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    for words in (
        ("trace", *ids, "-v"),
        ("trace", *ids, "--scan", "-o", "json"),
        ("missing", "-o", "jsonl"),
        ("missing", "--certify"),
        ("repair", *ids, "-o", "json"),
        ("repair", *ids, *APPLY, "--strategy", "insert"),
    ):
        hold(run(*words, **systems))


def test_an_event_with_half_an_emoji_is_repaired_like_any_other(run: Run) -> None:
    night = Night()
    odd, other = night.ids
    body = {"type": "PURCHASE_CONFIRMED", "paymentId": odd, "metadata": {"courseId": course_id(1), "note": "\ud83d"}}
    night.kafka.put("purchase-confirmed", odd, json.dumps(body), at=night.paid[0].paid_at)
    systems: dict[str, Any] = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    ran = run("repair", odd, other, *APPLY, **systems)
    assert ran.code == 0, ran.err
    assert len(night.database.purchases) == 2


@pytest.mark.parametrize(
    "metadata",
    [
        *("x", 5, None, [], {}, '{"courseId": 1}', ESCAPES, "{" * 5000),
        {"courseId": ESCAPES},
        {"courseId": ["x"]},
        {"courseId": course_id(1), "sessionCount": 10**400},
        {"courseId": course_id(1), "sessionCount": float("inf")},
        {"courseId": course_id(1), "purchaseTier": "20", "cycleNo": ESCAPES, "upgrade": [1], "expiryDate": "infinity"},
        {"courseId": course_id(1), "sessionCount": 20, "expiryDate": ESCAPES, "x": "\ud800"},
    ],
)
def test_no_row_is_a_bug_or_reaches_the_terminal(run: Run, metadata: object) -> None:
    night = Night()
    paid = night.pay(7, metadata=metadata, currency=ESCAPES, provider=ESCAPES)
    systems: dict[str, Any] = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
    for words in (("trace", paid.id, "-v"), ("missing",), ("missing", "-o", "jsonl"), ("repair", paid.id, *APPLY)):
        hold(run(*words, **systems))

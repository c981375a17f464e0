"""A repair plan as a file: what would be done, the facts that it rests on, the system it is for, under a hash.

Applying one never does what the file says. It plans anew, and does a step only where action and facts are still those
of the file; so neither time nor a stranger's file can make kcfix do what it would not plan itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from kcfix.core.payments import TIERS, PaymentId, parse_uuid
from kcfix.core.repair.plan import Step, Strategy, Wishes
from kcfix.core.repair.ruling import Ruling
from kcfix.errors import Refused, UsageError
from kcfix.jsonable import plain

SCHEMA = "kcfix.repair-plan/v1"


@dataclass(frozen=True, slots=True)
class PlannedFor:
    """The Kafka cluster and the databases that a plan was made on. None: it did not answer, or may not be asked."""

    cluster_id: str | None
    database: str
    """host:port/name."""
    database_identifier: str | None
    """`pg_control_system()`'s."""
    payments_database: str
    payments_database_identifier: str | None


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What was planned for one payment."""

    payment_id: PaymentId
    action: str
    why: str
    facts: Mapping[str, object]
    """By name; two steps are the same if these are."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan that was read from a file whose hash is right."""

    sha256: str
    created_at: str
    context: str
    system: PlannedFor
    wishes: Wishes
    ruling: Ruling | None
    reason: str
    steps: tuple[PlannedStep, ...]
    """The steps that change something, oldest payment first."""


def facts_of(step: Step) -> dict[str, object]:
    """The facts that a step rests on, flat and by names that a person understands; metadata only as digests."""
    facts, payment = step.facts, step.facts.payment if step.facts else None
    order, replay, message = step.order, step.replay, step.verdict.message
    found: dict[str, object] = {
        "verdict": step.verdict.kind,
        "action": step.action,
        "message": f"{message.record.topic}-{message.record.partition}@{message.record.offset}" if message else None,
        "purchases": [f"{p.id} {'active' if p.is_active else 'inactive'}" for p in facts.purchases] if facts else [],
        "payments_of_student_and_course": [p.id for p in facts.siblings] if facts else [],
        "allocations": [f"{a.id} {a.status}" for a in facts.allocations] if facts else [],
    }
    if payment is not None:
        found |= {
            "payment.status": payment.status,
            "payment.student_id": payment.student_id,
            "payment.course_id": payment.course_id,
            "payment.tier": payment.stated_tier,
            "payment.amount_minor": payment.amount_minor,
            "payment.currency": payment.currency,
            "payment.paid_at": payment.paid_at,
            "payment.metadata_sha256": _digest(payment.metadata),
        }
    if order is not None:
        found |= {
            "insert.purchase_id": order.purchase_id,
            "insert.course_id": order.course_id,
            "insert.tier": order.tier,
            "insert.metadata_sha256": _digest(order.metadata),
        }
    if replay is not None:
        found |= {
            "replay.event_id": replay.event.event_id,
            "replay.value_sha256": hashlib.sha256(replay.message.value).hexdigest(),
        }
    if step.purchase is not None:
        found |= {"announce.purchase_id": step.purchase.id, "announce.tier": step.purchase.tier}
    made: dict[str, object] = plain(found)
    return made


_OF_THE_ACTION = ("insert.", "replay.", "announce.")


def differences(then: Mapping[str, object], now: Mapping[str, object]) -> tuple[str, ...]:
    """Which facts are no longer as they were, one sentence each; empty where the step is the same.

    Where the action is another one, what the old one would have written is not told: it only follows.

    >>> differences({"payment.status": "succeeded"}, {"payment.status": "refunded"})
    ('payment.status was succeeded, is refunded',)
    """
    other = then.get("action") != now.get("action")
    return tuple(
        f"{name} was {_word(then.get(name))}, is {_word(now.get(name))}"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name) and not (other and name.startswith(_OF_THE_ACTION))
    )


def system_differences(then: PlannedFor, now: PlannedFor) -> tuple[str, ...]:
    """What makes this another system than the one that the plan was made on; empty where nothing is known to differ.

    Databases are told apart by their identifier and name; by their address only where an identifier is not known.
    """
    found = []
    if then.cluster_id and now.cluster_id and then.cluster_id != now.cluster_id:
        found.append(f"the Kafka cluster was {then.cluster_id}, is {now.cluster_id}")
    for what, a, b in (
        ("database", (then.database, then.database_identifier), (now.database, now.database_identifier)),
        (
            "payments database",
            (then.payments_database, then.payments_database_identifier),
            (now.payments_database, now.payments_database_identifier),
        ),
    ):
        known = a[1] is not None and b[1] is not None
        same = (a[1] == b[1] and _name(a[0]) == _name(b[0])) if known else a[0] == b[0]
        if not same:
            found.append(f"the {what} was {a[0]}, is {b[0]}" + ("" if a[0] != b[0] else " (another server)"))
    return tuple(found)


def write_plan(
    steps: Sequence[Step],
    wishes: Wishes,
    ruling: Ruling | None,
    system: PlannedFor,
    *,
    created_at: datetime,
    version: str,
    context: str,
    reason: str,
) -> str:
    """The text of the file: JSON, two columns indented, to be read by people as well."""
    document: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "kcfix_version": version,
            "created_at": created_at,
            "context": context,
            "system": asdict(system),
            "wishes": {
                "strategy": wishes.strategy,
                "announce_later": wishes.announce_later,
                "older_than_seconds": wishes.overdue.total_seconds(),
                "course_id": ruling.course_id if ruling else None,
                "tier": ruling.tier if ruling else None,
            },
            "reason": reason,
            "steps": [
                {"payment_id": s.payment_id, "action": s.action, "why": s.why, "facts": facts_of(s)} for s in steps
            ],
        }
    )
    document["sha256"] = _hash(document)
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def read_plan(text: str, name: str) -> PlanFile:
    """The plan in a file's text; `name` is the file, for the errors.

    Raises:
        UsageError: it is no plan of this version. Refused: it was changed after it was written.
    """
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise UsageError(f"{name} is no {SCHEMA}")
        given = document.pop("sha256", None)
        if given != _hash(document):
            raise Refused(
                f"{name} was changed after it was written: its hash does not match", hint="make the plan anew"
            )
        return _plan(document, str(given))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UsageError(f"{name} is no plan that can be read: {type(error).__name__}: {error}") from None


def _plan(document: Mapping[str, Any], sha256: str) -> PlanFile:
    wished = document["wishes"]
    steps = tuple(_step(step) for step in document["steps"])
    wishes = Wishes(
        strategy=Strategy(wished["strategy"]),
        announce_later=wished["announce_later"] is True,
        overdue=timedelta(seconds=float(wished["older_than_seconds"])),
    )
    return PlanFile(
        sha256=sha256,
        created_at=str(document["created_at"]),
        context=str(document["context"]),
        system=_system(document["system"]),
        wishes=wishes,
        ruling=_ruling(wished, steps),
        reason=str(document["reason"]),
        steps=steps,
    )


def _system(given: Mapping[str, Any]) -> PlannedFor:
    names = {field.name: field.name.endswith("database") for field in fields(PlannedFor)}
    if set(given) != set(names) or not all(
        isinstance(given[name], str) or (given[name] is None and not needed) for name, needed in names.items()
    ):
        raise ValueError("it does not say which system it is for")
    return PlannedFor(**given)


def _ruling(wished: Mapping[str, Any], steps: Sequence[PlannedStep]) -> Ruling | None:
    if wished["course_id"] is None and wished["tier"] is None:
        return None
    if len(steps) > 1:
        raise ValueError("a person's word is for one payment")
    course = None if wished["course_id"] is None else parse_uuid(wished["course_id"])
    tier = wished["tier"]
    if tier not in (None, *TIERS) or (course is None) != (wished["course_id"] is None):
        raise ValueError("no usable course or tier")
    return Ruling(steps[0].payment_id, course, tier) if steps else None


def _step(step: Mapping[str, Any]) -> PlannedStep:
    payment = parse_uuid(step["payment_id"])
    if payment is None:
        raise ValueError("a payment id that is no UUID")
    return PlannedStep(PaymentId(payment), str(step["action"]), str(step["why"]), dict(step["facts"]))


def _digest(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _hash(document: Mapping[str, object]) -> str:
    """Over the document without its hash, keys sorted and nothing between the signs: whatever the layout."""
    return _digest(document)


def _name(label: str) -> str:
    return label.rpartition("/")[2]


def _word(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)

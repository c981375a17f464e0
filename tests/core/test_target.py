"""The words of `--to`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kcfix.core.move.target import Target, TargetKind, parse_target
from kcfix.errors import UsageError
from tests.builders import uuid

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("earliest", TargetKind.EARLIEST, 0),
        ("LATEST", TargetKind.LATEST, 0),
        ("first-unsettled", TargetKind.FIRST_UNSETTLED, 0),
        ("42", TargetKind.OFFSET, 42),
        ("+5", TargetKind.SHIFT, 5),
        ("-5", TargetKind.SHIFT, -5),
        (" 0 ", TargetKind.OFFSET, 0),
        ("1768478400", TargetKind.OFFSET, 1768478400),
    ],
)
def test_a_target_is_known_by_its_form(text: str, kind: TargetKind, number: int) -> None:
    target = parse_target(text, NOW)
    assert (target.kind, target.number) == (kind, number)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2h", datetime(2026, 1, 15, 10, tzinfo=UTC)),
        ("2026-01-15 08:30", datetime(2026, 1, 15, 8, 30, tzinfo=UTC)),
        ("2026-01-15T08:30:00+05:30", datetime(2026, 1, 15, 3, tzinfo=UTC)),
        ("@1768478400", datetime(2026, 1, 15, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_time_and_a_bare_number_never_is(text: str, time: datetime) -> None:
    assert parse_target(text, NOW, UTC) == Target(TargetKind.TIME, text, time=time)


def test_a_payment_is_named_by_its_id() -> None:
    assert parse_target(f"payment:{uuid(7).upper()}", NOW).payment_id == uuid(7)


@pytest.mark.parametrize("text", ["", "soon", "payment:7", "--5", "1.5.2", "+", "9" * 30, "-" + "9" * 30, "five"])
def test_what_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text, NOW)

"""The doctor's table as a table, and how causes are linked with their consequences and sorted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from kcfix.core.doctor.diagnose import chosen, diagnose
from kcfix.core.doctor.diagnosis import Confidence, Deadline, Found, Need, Severity, Thing
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.modes import MODES, NOT_SEEN, rules_of
from kcfix.core.doctor.rule import FAMILIES, Rule, always, because, same, same_trouble, shared
from kcfix.core.doctor.rules import RULES
from kcfix.core.doctor.troubles import Trouble, trouble_of
from kcfix.core.judging.snapshot import Reading
from kcfix.errors import UsageError
from tests.ward import MINUTE, NOW, Ward

W, P = Thing("worker", "a"), Thing("partition", "t-0")


def rule(code: str, *found: Found, severity: Severity = Severity.ERROR, **more: object) -> Rule:
    """A rule that finds just this."""

    def check(examination: Examination) -> Iterable[Found]:
        """Made up."""
        return found

    return Rule(code, severity, code, check, frozenset(), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def well() -> Examination:
    return Ward().examine()


# the table


def test_codes_are_stable_in_form_and_unique() -> None:
    codes = [r.code for r in RULES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[WKGPDC]\d{3}", code) for code in codes)
    assert {r.family for r in RULES} == set(FAMILIES)


def test_every_rule_has_a_page_and_a_title() -> None:
    for r in RULES:
        assert len(r.page) > 60, r.code
        assert r.title[0].isupper() or "_" in r.title.split()[0], r.code


def test_causes_are_rules_of_the_table_and_never_form_a_circle() -> None:
    causes = {r.code: {c.code for c in r.causes} for r in RULES}
    assert not {c for those in causes.values() for c in those} - set(causes)

    def above(code: str, seen: tuple[str, ...]) -> None:
        assert code not in seen, " -> ".join((*seen, code))
        for cause in causes[code]:
            above(cause, (*seen, code))

    for code in causes:
        above(code, ())


def test_every_failure_mode_of_the_system_is_accounted_for() -> None:
    for mode in MODES:
        seen = rules_of(mode, RULES)
        assert bool(seen) is not (mode in NOT_SEEN), mode
    assert {m for r in RULES for m in r.modes} <= set(MODES)
    assert set(NOT_SEEN) <= set(MODES)


# links


def test_a_consequence_is_listed_beneath_its_cause_and_not_at_the_top(well: Examination) -> None:
    rules = (
        rule("W001", Found("down", "stopped", about=(W,))),
        rule("P001", Found("waits", "nobody reads", about=(W,)), causes=because(same("worker"), "W001")),
    )
    (top,) = diagnose(well, rules).findings
    assert top.code == "W001"
    assert [(f.code, f.explained_by) for f in top.consequences] == [("P001", "W001")]


def test_a_finding_about_something_else_is_a_cause_of_its_own(well: Examination) -> None:
    rules = (
        rule("W001", Found("down", "stopped", about=(Thing("worker", "b"),))),
        rule("P001", Found("waits", "nobody reads", about=(W,)), causes=because(same("worker"), "W001")),
    )
    assert [f.code for f in diagnose(well, rules).findings] == ["W001", "P001"]


def test_the_first_cause_of_the_row_wins(well: Examination) -> None:
    rules = (
        rule("K001", Found("down", "stopped")),
        rule("W001", Found("down", "stopped")),
        rule("P001", Found("waits", "nobody reads"), causes=because(always, "W001", "K001")),
    )
    found = {f.code: f for f in diagnose(well, rules).findings}
    assert [f.code for f in found["W001"].consequences] == ["P001"]
    assert found["K001"].consequences == ()


def test_advice_explains_nothing(well: Examination) -> None:
    rules = (
        rule("C007", Found("no policy", "unset"), severity=Severity.ADVICE),
        rule("P001", Found("waits", "nobody reads"), causes=because(always, "C007")),
    )
    assert [f.code for f in diagnose(well, rules).findings] == ["P001", "C007"]


def test_a_cause_is_as_bad_as_its_worst_consequence(well: Examination) -> None:
    rules = (
        rule("D009", Found("no index", "dropped"), severity=Severity.CAUTION),
        rule("P014", Found("two", "made twice"), causes=because(always, "D009")),
    )
    (top,) = diagnose(well, rules).findings
    assert (top.code, top.severity) == ("D009", Severity.ERROR)


def test_the_surer_finding_comes_first_then_the_one_that_explains_more(well: Examination) -> None:
    rules = (
        rule("W001", Found("a", "a", confidence=Confidence.LIKELY)),
        rule("W002", Found("b", "b")),
        rule("W003", Found("c", "c", about=(W,))),
        rule("P001", Found("d", "d", about=(W,)), causes=because(shared, "W003")),
    )
    assert [f.code for f in diagnose(well, rules).findings] == ["W003", "W002", "W001"]


def test_the_nearest_deadline_of_a_cause_and_its_consequences_counts(well: Examination) -> None:
    late, soon = Deadline(NOW + timedelta(days=3), "late"), Deadline(NOW + timedelta(hours=1), "soon")
    rules = (
        rule("W001", Found("down", "stopped", deadline=late, catch_up=MINUTE)),
        rule("P001", Found("waits", "", deadline=soon, catch_up=3 * MINUTE), causes=because(always, "W001")),
    )
    (top,) = diagnose(well, rules).findings
    assert top.impact.deadline == soon
    assert top.impact.catch_up == 3 * MINUTE


def test_a_rule_whose_need_is_not_met_is_not_checked_and_says_why(well: Examination) -> None:
    silent = replace(well, health=Reading.unknown("no answer in 3 s"))
    asked = Rule("D005", Severity.ERROR, "Locks", lambda _: [Found("x", "y")], frozenset({Need.HEALTH}))
    found = diagnose(silent, (asked,))
    assert (found.findings, found.checked) == ((), ())
    assert [(u.code, u.reason) for u in found.unchecked] == [("D005", "no answer in 3 s")]


def test_a_trouble_in_the_log_links_only_with_its_own_kind() -> None:
    kafka, database = Thing("trouble", "kafka-silent"), Thing("trouble", "database-silent")
    cause = Found("down", "", about=(kafka,))
    assert same_trouble(Found("crashes", "", about=(W, kafka)), cause)
    assert not same_trouble(Found("crashes", "", about=(W, database)), cause)
    assert same_trouble(Found("crashes", "", about=(W,)), cause)


def test_rules_are_chosen_by_code_letter_or_name() -> None:
    assert [r.code for r in chosen(RULES, ["w001"], [])] == ["W001"]
    families = {r.family for r in chosen(RULES, ["groups", "kafka", "D"], ["K"])}
    assert families == {"G", "D"}
    with pytest.raises(UsageError):
        chosen(RULES, ["nonsense"], [])


# what a log line points to


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("[Connection] Connection error: connect ECONNREFUSED 127.0.0.1:9092", Trouble.KAFKA_SILENT),
        ("[BrokerPool] Failed to connect to seed broker, trying another broker from the list", Trouble.KAFKA_SILENT),
        ("Fatal error: getaddrinfo ENOTFOUND kafka", Trouble.KAFKA_SILENT),
        ("Operation failed, retrying: connect ECONNREFUSED 127.0.0.1:5432", Trouble.DATABASE_SILENT),
        ("Operation failed: getaddrinfo ENOTFOUND dpg-made-up.example", Trouble.DATABASE_SILENT),
        ("Connection terminated unexpectedly", Trouble.DATABASE_SILENT),
        ('password authentication failed for user "app"', Trouble.DATABASE_LOGIN),
        ("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string", Trouble.DATABASE_LOGIN),
        ("SASL PLAIN authentication failed: Authentication failed", Trouble.KAFKA_LOGIN),
        ("This server does not host this topic-partition", Trouble.TOPIC_MISSING),
        ("REDIS_URL environment variable is required", Trouble.REDIS_UNSET),
        ("cannot execute INSERT in a read-only transaction", Trouble.DATABASE_READ_ONLY),
        ("sorry, too many clients already", Trouble.DATABASE_FULL),
        ("canceling statement due to statement timeout", Trouble.DATABASE_SLOW),
        ("permission denied for table student_course_purchases", Trouble.DATABASE_RIGHTS),
        ('column "start_date" of relation "student_course_purchases" does not exist', Trouble.DATABASE_SCHEMA),
        ('relation "processed_events" does not exist', Trouble.DATABASE_SCHEMA),
        ("The server does not support SSL connections", Trouble.DATABASE_TLS),
        ('invalid input syntax for type uuid: "purchase-created-00000000"', Trouble.EVENT_ID_TYPE),
        ('invalid input syntax for type uuid: "unknown"', Trouble.NO_METADATA),
        ('violates check constraint "student_course_purchases_purchase_tier_check"', Trouble.BAD_TIER),
        ('violates foreign key constraint "student_course_purchases_course_id_fkey"', Trouble.UNKNOWN_COURSE),
        ("Allocation service returned allocation without trainerId", Trouble.NO_TRAINER),
        ("Unterminated string in JSON at position 40", Trouble.MALFORMED),
        ("Cannot find module './purchase-stores'", Trouble.PROGRAM),
        ("something else went wrong", None),
    ],
)
def test_a_log_line_points_to_its_kind_of_trouble(text: str, trouble: Trouble | None) -> None:
    assert trouble_of(text) is trouble


def test_the_doctor_and_status_agree_on_whether_a_system_is_well() -> None:
    ward = Ward()
    assert not [f for f in ward.diagnose().findings if f.severity is Severity.ERROR]
    ward.end("session-worker")
    assert [f.code for f in ward.diagnose().findings if f.severity is Severity.ERROR] == ["W001"]

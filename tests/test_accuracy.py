"""The script that measures the doctor: its table names rules and faults that exist, and its page is true."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kcfix.core.doctor.rules import RULES
from tests.real.expected import EXPECTED, Expected, Seen, among_three, first_right

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("accuracy", ROOT / "scripts" / "accuracy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setitem(sys.modules, "accuracy", module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python warns while it is imported
        spec.loader.exec_module(module)
    yield module
    monkeypatch.undo()


def test_every_fault_of_the_drill_has_an_expected_cause(script: ModuleType) -> None:
    assert {name for case in script.cases() if case.kind != "healthy" for name in case.names} <= set(EXPECTED)


def test_expected_causes_are_rules() -> None:
    known = {rule.code for rule in RULES}
    assert {code for one in EXPECTED.values() for code in one.codes} <= known


def test_no_rule_looks_at_what_a_drill_leaves_behind() -> None:
    files = list((ROOT / "kcfix" / "core" / "doctor").rglob("*.py"))
    assert len(files) > len(RULES) / 5
    for file in files:
        assert "drill" not in file.read_text(encoding="utf-8").lower(), file


@pytest.mark.parametrize(
    ("causes", "right"),
    [(("A", "B"), True), (("B", "A"), True), (("A",), False), (("X", "Y", "Z", "A", "B"), False), ((), False)],
)
def test_a_pair_needs_a_cause_for_each_among_the_first_three(causes: tuple[str, ...], right: bool) -> None:
    assert among_three([Expected(("A",)), Expected(("B",))], causes) is right


def test_two_faults_of_one_code_need_two_findings() -> None:
    pair = [Expected(("W001",)), Expected(("W001",))]
    assert not among_three(pair, ("W001",))
    assert among_three(pair, ("W001", "W001"))


def test_the_first_cause_decides_for_a_single_fault() -> None:
    assert first_right(Expected(("A", "B")), ("B", "C"))
    assert not first_right(Expected(("A",)), ("C", "A"))


def test_advice_and_consequences_are_no_causes() -> None:
    rows: list[dict[str, Any]] = [
        {"section": "finding", "code": "W001", "severity": "ERROR", "explained_by": None},
        {"section": "finding", "code": "P001", "severity": "ERROR", "explained_by": "W001"},
        {"section": "finding", "code": "C008", "severity": "ADVICE", "explained_by": None},
        {"section": "unchecked", "code": "K001"},
    ]
    seen = Seen.of({"data": rows}, 1, 0.5)
    assert (seen.causes, seen.alarms, seen.unchecked) == (("W001",), ("W001",), 1)


def result(key: str, *causes: str, code: int = 1) -> dict[str, Any]:
    look = {"causes": causes, "alarms": causes, "every": causes, "exit_code": code, "seconds": 1.2, "unchecked": 0}
    return {"key": key, "looks": {"one look": look, "60 s sample": look}}


def test_the_page_counts_what_is_right_and_lists_what_is_not(script: ModuleType) -> None:
    cases = [
        script.Case("healthy", ("idle",)),
        script.Case("single", ("worker-stopped",)),
        script.Case("single", ("broker-down",)),
        script.Case("pair", ("worker-stopped", "broker-down")),
    ]
    known = {
        "healthy:idle": result("healthy:idle", code=0),
        "single:worker-stopped": result("single:worker-stopped", "W001"),
        "single:broker-down": result("single:broker-down", "W003", "K001"),
        "pair:worker-stopped+broker-down": result("pair:worker-stopped+broker-down", "K001", "W001"),
    }
    page = script.page(cases, known)
    assert "| single faults, top-1 | 2 | 1 of 2 | 1 of 2 |" in page
    assert "| single faults, top-3 | 2 | 2 of 2 | 2 of 2 |" in page
    assert "| pairs, both in the top 3 | 1 | 1 of 1 | 1 of 1 |" in page
    assert "| healthy states without a false alarm | 1 | 1 of 1 | 1 of 1 |" in page
    assert "- broker-down (one look): W003 K001" in page


def test_what_was_measured_is_not_measured_again(script: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_text('{"key": "single:a", "n": 1}\n{"key": "single:a", "n": 2}\n', encoding="utf-8")
    assert script.read(file) == {"single:a": {"key": "single:a", "n": 2}}
    assert script.read(tmp_path / "none") == {}

"""`kcfix drill` where no drill is needed: the catalogue of faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from kcfix.drill.faults import faults, pairs
from tests.conftest import Run


@pytest.fixture(autouse=True)
def no_drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder in which there is no drill."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.mark.parametrize("words", [("faults",), ("break",)])
def test_the_catalogue_is_listed_by_area_whether_a_drill_is_up_or_not(run: Run, words: tuple[str, ...]) -> None:
    ran = run("drill", *words, "--json")
    assert ran.code == 0
    rows = ran.document["data"]
    assert [r["fault"] for r in rows] == [f.name for f in faults()]
    assert {(r["broken"], r["since"]) for r in rows} == {(False, None)}
    text = run("drill", *words).out
    for area in {r["area"] for r in rows}:
        assert f"{area}\n" in text


def test_the_pairs_are_listed_with_why(run: Run) -> None:
    ran = run("drill", "faults", "--pairs", "--json")
    assert ran.code == 0
    assert [tuple(r["faults"]) for r in ran.document["data"]] == [p.names for p in pairs()]
    assert all(r["why"] for r in ran.document["data"])


def test_nothing_is_broken_without_a_drill(run: Run) -> None:
    ran = run("drill", "break", "worker-stopped", "broker-down")
    assert ran.code == 3
    assert "there is no drill" in ran.err

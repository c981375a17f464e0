"""The files of docs/monitoring speak of metrics, commands, workers and verdicts that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kcfix.cli.app import COMMANDS
from kcfix.core.status.system import Health
from kcfix.core.watching.metrics import FINDINGS, Counters, families
from kcfix.core.watching.progress import Progress
from tests.watching import Watched

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "monitoring"
RULES = (FOLDER / "kcfix.rules.yml").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "kcfix.dashboard.json").read_text(encoding="utf-8"))
SERVED_BESIDE = {"kcfix_look_age_seconds", "process_resident_memory_bytes"}
"""The age is added at the scrape; the process is measured by the library."""


def served() -> dict[str, set[str]]:
    """Every metric with its labels, from a system in which each has a series."""
    world = Watched()
    world.pay(1)
    world.put(3)
    world.look()
    world.kafka.leave("session-scheduling-workers")
    world.complain("trouble")
    world.look(timedelta(minutes=1))
    found = families(world.history, Counters(2, 0, 9, {"purchase-worker": 1}), "1.2.3", 60.0)
    return {f.name: set(f.labels) for f in found} | {name: set[str]() for name in SERVED_BESIDE}


def expressions() -> Iterator[str]:
    """Everything that is asked of Prometheus."""
    yield from re.findall(r"^ +expr: (?:>-\n)?((?:.|\n)*?)(?=\n +(?:for|labels):)", RULES, re.MULTILINE)
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def test_rules_and_dashboard_ask_only_for_what_is_served() -> None:
    known = served()
    asked = {name for text in expressions() for name in re.findall(r"\b(?:kcfix|process)_\w+", text)}
    assert asked - set(known) == set()
    assert len(asked) > 20


def test_every_label_that_is_asked_for_is_one_of_the_metric() -> None:
    known = served()
    for text in expressions():
        for name, matchers in re.findall(r"\b(kcfix_\w+)\{([^}]*)\}", text):
            assert set(re.findall(r"(\w+)(?:=|!)", re.sub(r'"[^"]*"', '""', matchers))) <= known[name], text
        names = re.findall(r"\bkcfix_\w+", text)
        for group in re.findall(r"\bby \(([^)]*)\)", text):
            assert {word.strip() for word in group.split(",")} <= set.union(*(known[n] for n in names)), text


def test_the_served_metrics_have_series_and_labels() -> None:
    assert {name for name, labels in served().items() if not labels} <= SERVED_BESIDE | {
        "kcfix_look_interval_seconds",
        "kcfix_looks_total",
        "kcfix_looks_failed_total",
        "kcfix_kafka_requests_total",
        "kcfix_look_duration_seconds",
        "kcfix_payments_without_purchase",
        "kcfix_payments_in_flight",
        "kcfix_payments_acknowledged",
        "kcfix_payments_succeeded",
        "kcfix_payments_window_seconds",
    }


def test_the_page_of_metrics_has_every_one_with_its_labels() -> None:
    page = (FOLDER / "metrics.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| \w+ \| (.*?) \|", page, re.MULTILINE))
    known = {name: labels for name, labels in served().items() if name.startswith("kcfix_")}
    assert {name: set(re.findall(r"\w+", labels)) for name, labels in rows.items()} == known


def test_values_of_labels_are_those_that_there_are() -> None:
    text = "\n".join(expressions())
    verdicts = {v for group in re.findall(r'verdict[!=]?~?"?=?~?"([A-Z_|]+)"', text) for v in group.split("|")}
    assert verdicts
    assert verdicts <= {str(k) for k in FINDINGS}
    assert set(re.findall(r'health="(\w+)"', text)) <= {str(h) for h in Health}
    states = {p for group in re.findall(r'progress!?~?"?=?"?~?"([A-Z|]+)"', text) for p in group.split("|")}
    assert states <= {str(p) for p in Progress}


def test_every_alert_says_what_to_do_and_is_tested() -> None:
    tests = (FOLDER / "kcfix.rules.test.yml").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)\n((?:.|\n)*?)(?=\n\n|\Z)", RULES)
    assert len(alerts) == 16
    for name, body in alerts:
        assert re.search(r"severity: (critical|warning|info)\b", body), name
        assert "summary:" in body
        assert "description:" in body
        fires = re.search(rf"alertname: {name}\b,?\s+exp_alerts:", tests)
        assert fires, f"no test lets {name} fire"
        assert len(re.findall(rf"alertname: {name}\b", tests)) >= 2, f"no test lets {name} resolve"


def test_commands_that_are_recommended_exist() -> None:
    known = {entry.name for entry in COMMANDS}
    for path in sorted(FOLDER.iterdir()):
        for name in re.findall(r"`kcfix ([a-z]+)", path.read_text(encoding="utf-8")):
            assert name in known, f"{path.name}: kcfix {name}"


@pytest.mark.parametrize("name", ["kcfix-monitor.service", "compose.monitor.yml", "prometheus.yml", "README.md"])
def test_the_port_is_the_default_one(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert set(re.findall(r":(9\d{3})\b", text)) <= {"9787", "9092"}


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({p["id"] for p in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])

"""The parts of a drill that need no server: faults' table, arguments, the worker's package, the tables' files."""

from __future__ import annotations

import gc
import json
import re
import socket
import warnings
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest
from kafka.errors import KafkaConnectionError
from kafka.net.inet import create_connection
from kafka.net.selector import NetworkSelector

from kcfix.drill import schema
from kcfix.drill.buy import buy
from kcfix.drill.faults import broken, faults, mend, named, pairs, program
from kcfix.drill.faults.fault import Area
from kcfix.drill.groups import started_at
from kcfix.drill.network import mapped_settings
from kcfix.drill.state import Drill, Options, Shape, new
from kcfix.errors import NotFound, Refused, UsageError

PACKAGE = resources.files("kcfix.drill")
NAMED_BY_THE_ISSUE = {
    "worker-stopped",
    "worker-removed",
    "worker-crash-looping",
    "broker-down",
    "message-never-sent",
    "offsets-never-committed",
    "poison-message",
    "database-down",
    "database-password-revoked",
    "sasl-password-wrong",
    "index-dropped",
    "poison-message-unprotected",
    "consumer-dead",
    "worker-oom-killed",
    "worker-paused",
    "wrong-group",
    "wrong-topic",
    "group-shared",
    "stray-consumer",
    "brokers-unset",
    "postgres-url-unset",
    "table-locked",
    "database-read-only",
    "offsets-expired",
    "log-truncated",
    "commit-before-write",
    "hot-partition",
    "slow-consumer",
    "clock-skew",
    "topic-missing",
}
MODES = set(
    re.findall(r"^ *(\d+[a-z]?)\. ", (Path(__file__).parents[2] / "docs" / "system.md").read_text(), re.MULTILINE)
)
"""Numbers of the failure modes of docs/system.md 6."""


@pytest.fixture
def drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drill:
    """A drill that is nowhere up."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return new(Options(name="paper"), kafka_port=1, postgres_port=1)


def test_every_fault_has_a_name_of_its_own_and_says_what_is_broken() -> None:
    names = [f.name for f in faults()]
    assert len(set(names)) == len(names)
    assert set(names) >= NAMED_BY_THE_ISSUE
    for fault in faults():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", fault.name)
        assert set(fault.modes) <= MODES, fault.name
        assert fault.what, fault.name
        assert fault.seen, fault.name
        assert named(fault.name) is fault
        assert fault.make.__doc__
        assert fault.undo.__doc__


def test_the_catalogue_is_as_large_as_the_issue_asks_and_grouped_by_area() -> None:
    assert len(faults()) >= 35
    areas = [f.area for f in faults()]
    assert set(areas) == set(Area)
    for name in (Area.WORKERS, Area.PROGRAM, Area.TOPICS):
        first = areas.index(name)
        assert set(areas[first : first + areas.count(name)]) == {name}


def test_pairs_are_of_faults_that_exist_and_each_says_why() -> None:
    assert len(pairs()) >= 40
    assert len({frozenset(p.names) for p in pairs()}) == len(pairs())
    for pair in pairs():
        assert pair.first != pair.second
        assert named(pair.first)
        assert named(pair.second)
        assert pair.why


def test_a_change_of_the_program_that_a_fault_deploys_can_be_made_and_rolled_back() -> None:
    changes = [c for c in vars(program).values() if isinstance(c, tuple) and len(c) == 3 and str(c[0]).endswith(".js")]
    assert len(changes) == 7
    for name, before, after in changes:
        text = (PACKAGE / "worker" / name).read_text()
        assert text.count(before) == 1, before
        assert after not in text
        assert text.replace(before, after).replace(after, before) == text


def test_an_unknown_fault_is_not_found() -> None:
    with pytest.raises(NotFound, match="coffee-spilt"):
        named("coffee-spilt")


def test_nothing_is_broken_in_a_new_drill(drill: Drill) -> None:
    assert broken(drill) == ()
    assert mend(drill) == ()
    with pytest.raises(Refused, match="is not broken"):
        mend(drill, "broker-down")


@pytest.mark.parametrize(
    "wrong",
    [{"count": -1}, {"rate": 0.0}, {"partition": 3}, {"partition": -1}, {"unsent": True, "unemitted": True}],
)
def test_buying_refuses_arguments_that_make_no_sense_before_it_asks_anyone(
    drill: Drill, wrong: dict[str, object]
) -> None:
    arguments: dict[str, object] = {"count": 1} | wrong
    with pytest.raises(UsageError):
        buy(drill, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("unique_index", [True, False])
def test_the_tables_files_are_there_for_every_option(shape: Shape, unique_index: bool) -> None:
    made = new(Options(name="paper", processed_events=shape, unique_index=unique_index), kafka_port=1, postgres_port=1)
    files = schema.files(made)
    assert ("unique_active_purchase.sql" in files) is unique_index
    assert sum(name.startswith("processed_events") for name in files) == 1
    for name in files:
        assert (PACKAGE / "sql" / name).is_file(), name


def test_the_worker_runs_on_the_libraries_that_production_runs_on() -> None:
    package = json.loads((PACKAGE / "worker" / "package.json").read_text())
    assert package["dependencies"] == {"kafkajs": "2.2.4", "pg": "8.11.3", "winston": "3.11.0"}
    lock = json.loads((PACKAGE / "worker" / "package-lock.json").read_text())
    for name, version in package["dependencies"].items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    for name, entry in lock["packages"].items():
        assert "resolved" not in entry, f"{name}: the lock must work with any registry"
        assert not name or entry["integrity"].startswith("sha512-")


@pytest.mark.parametrize(
    ("client", "seconds"), [("purchase-worker-1795433992661", 1795433992.661), ("kcfix", 0.0), ("", 0.0)]
)
def test_a_client_id_tells_when_it_was_made(client: str, seconds: float) -> None:
    assert started_at(client) == seconds


def test_a_connection_that_is_refused_is_closed_at_once() -> None:
    with socket.socket() as refusing, closing(NetworkSelector()) as selector:
        refusing.bind(("127.0.0.1", 0))  # and does not listen
        settings = mapped_settings({"kafka:9092": f"127.0.0.1:{refusing.getsockname()[1]}"})
        with warnings.catch_warnings(record=True) as forgotten:
            warnings.simplefilter("always", ResourceWarning)
            with pytest.raises(KafkaConnectionError):
                selector.run(create_connection, selector, "kafka", 9092, (), settings["proxy_url"])
            gc.collect()
    assert [str(warning.message) for warning in forgotten] == []


def test_a_connection_that_is_under_way_is_closed_with_its_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = mapped_settings({"kafka:9092": f"127.0.0.1:{listening.getsockname()[1]}"})
        with warnings.catch_warnings(record=True) as forgotten:
            warnings.simplefilter("always", ResourceWarning)
            with closing(NetworkSelector()) as selector:
                selector.call_soon(lambda: create_connection(selector, "kafka", 9092, (), settings["proxy_url"]))
                selector.drain()  # up to its first wait
            gc.collect()
    assert [str(warning.message) for warning in forgotten] == []

"""A drill on paper: its names, its files, its context. No Docker."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from kcfix.drill import broker, context, image, network, schema, state
from kcfix.drill.state import WORKERS, Drill, Options, Shape
from kcfix.errors import NotFound, Refused, UsageError


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drill:
    """A drill that is not written down yet, in a state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return state.new(Options(name="one"), kafka_port=20001, postgres_port=20002)


def test_a_drill_runs_the_workers_of_the_flow() -> None:
    assert WORKERS == ("purchase-worker", "allocation-worker", "session-worker", "cache-worker")


def test_what_is_written_down_is_read_again(made: Drill) -> None:
    state.save(state.as_ready(made))
    assert state.load("one") == state.as_ready(made)


def test_a_drill_that_never_came_up_whole_is_not_loaded_but_found(made: Drill) -> None:
    state.save(made)
    assert state.find("one") == made
    with pytest.raises(NotFound, match="never came up whole"):
        state.load("one")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"name": "one"}'])
def test_a_damaged_state_file_is_no_drill(made: Drill, text: str) -> None:
    state.save(made)
    (made.data_folder / "drill.json").write_text(text)
    assert state.find("one") is None


def test_the_state_file_is_its_owners_alone_and_replaced_whole(made: Drill) -> None:
    state.save(made)
    state.save(state.as_ready(made))
    assert (made.data_folder / "drill.json").stat().st_mode & 0o777 == 0o600
    assert made.data_folder.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in made.data_folder.iterdir()] == ["drill.json"]
    assert json.loads((made.data_folder / "drill.json").read_text())["ready"] is True


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "-x", "a b", "x" * 32, "ä", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        state.folder(name)


@pytest.mark.parametrize("version", ["", "3.5", "latest", "3.5.2; rm", "3.5.2\n"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(UsageError):
        Options(kafka=version).checked()


def test_only_one_command_at_a_time_works_on_a_drill(made: Drill) -> None:
    with state.exclusive("one"):
        with pytest.raises(Refused, match="another command"), state.exclusive("one"):
            pass
        with state.exclusive("two"):
            pass
    with state.exclusive("one"):
        pass


def test_the_password_is_in_no_words_about_a_drill(made: Drill) -> None:
    assert made.password not in repr(made) + made.shown_dsn
    assert made.password in made.dsn


def test_the_context_file_holds_what_kcfix_needs_to_reach_the_drill(made: Drill) -> None:
    assert tomllib.loads(context.text(made)) == {
        "brokers": ["kafka:9092"],
        "address_map": {"kafka:9092": "127.0.0.1:20001"},
        "dsn": made.dsn,
        "project": "kcfix-one",
        "probe": True,
    }


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("unique_index", [True, False])
def test_tables_are_made_in_the_shapes_that_were_asked_for(made: Drill, shape: Shape, unique_index: bool) -> None:
    chosen = state.new(
        Options(name="one", processed_events=shape, unique_index=unique_index), kafka_port=1, postgres_port=2
    )
    files = schema.files(chosen)
    assert f"processed_events_{shape.lower()}.sql" in files
    assert ("unique_active_purchase.sql" in files) is unique_index
    assert state.options_of(chosen) == Options(name="one", processed_events=shape, unique_index=unique_index)


def test_three_brokers_have_a_name_a_port_and_a_configuration_each() -> None:
    three = state.new(
        Options(name="one", brokers=3), kafka_port=20001, postgres_port=20002, other_kafka_ports=(20003, 20004)
    )
    assert three.brokers == ("kafka:9092", "kafka-2:9092", "kafka-3:9092")
    assert three.address_map["kafka-3:9092"] == "127.0.0.1:20004"
    assert three.services[:4] == ("kafka", "kafka-2", "kafka-3", "postgres")
    assert state.options_of(three).brokers == 3
    lines = broker.properties(three, "kafka-2").splitlines()
    assert "node.id=2" in lines
    assert "controller.quorum.voters=1@kafka:9093,2@kafka-2:9093,3@kafka-3:9093" in lines
    assert "advertised.listeners=PLAINTEXT://kafka-2:9092,SASL_PLAINTEXT://kafka-2:9094" in lines
    assert "offsets.topic.replication.factor=3" in lines


def test_there_are_one_or_three_brokers() -> None:
    with pytest.raises(UsageError, match="1 broker or 3"):
        Options(brokers=2).checked()


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    ports = network.free_ports(5)
    assert len(set(ports)) == 5
    assert all(20_000 <= port < 30_000 for port in ports)


def test_a_port_behind_which_nothing_answers_is_no_broker() -> None:
    (port,) = network.free_ports(1)
    assert not network.kafka_answers(port)


def test_a_program_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="node is not installed"):
        image.program("node")

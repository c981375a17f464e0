"""`kcfix config init`: a first file from what was found; none is overwritten unasked, no password is in it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from kcfix.core.ports.kafka import Broker, Reach
from kcfix.errors import Unreachable
from tests.conftest import NOW, Run
from tests.fakes_docker import FakeDocker, container
from tests.fakes_kafka import FakeKafka

WORD = "made-up-word"


class Published(FakeKafka):
    """A cluster whose broker is reached by its published port."""

    def reach(self) -> tuple[Reach, ...]:
        return (Reach(Broker(1, "kafka", 9092), "127.0.0.1:29092"),)


@pytest.fixture
def found() -> dict[str, Any]:
    environment = {"KAFKA_BROKERS": "kafka:9092", "POSTGRES_URL": f"postgresql://kc:{WORD}@db.example:5432/kc_app"}
    return {"docker": FakeDocker.of([container(environment=environment)]), "kafka": Published(now=NOW)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "work" / "kcfix.toml"


def test_what_was_found_is_written_for_its_owner_alone(run: Run, found: dict[str, Any], file: Path) -> None:
    ran = run("config", "init", **found)
    assert ran.code == 0, ran.err
    assert file.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(file.read_text()) == {
        "project": "kc-backend",
        "brokers": ["kafka:9092"],
        "address_map": {"kafka:9092": "127.0.0.1:29092"},
        "dsn": "postgresql://kc@db.example:5432/kc_app",
    }
    assert "Found: container kodingcaravan-purchase-worker." in file.read_text()
    assert "The database's password (container kodingcaravan-purchase-worker) is not in it" in " ".join(ran.out.split())
    assert "kcfix config check" in ran.out
    assert WORD not in ran.out + ran.err + file.read_text()


def test_what_is_there_is_not_overwritten_without_being_told(run: Run, found: dict[str, Any], file: Path) -> None:
    file.parent.mkdir()
    file.write_text("# mine\n")
    ran = run("config", "init", **found)
    assert (ran.code, file.read_text()) == (5, "# mine\n")
    assert "--overwrite" in ran.err
    assert run("config", "init", "--overwrite", **found).code == 0
    assert "kc-backend" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_that_leads_elsewhere_is_something_that_is_there(
    run: Run, found: dict[str, Any], file: Path, tmp_path: Path
) -> None:
    file.parent.mkdir()
    file.symlink_to(tmp_path / "elsewhere")
    assert run("config", "init", **found).code == 5
    assert not (tmp_path / "elsewhere").exists()


def test_a_named_context_goes_into_the_users_own_file_and_is_told_how_to_be_tried(
    run: Run, found: dict[str, Any], tmp_path: Path
) -> None:
    ran = run("config", "init", "--user", "--as", "prod", "--password-command", "pass show 'kc prod'", **found)
    assert ran.code == 0
    path = tmp_path / "home" / ".config" / "kcfix" / "config.toml"
    table = tomllib.loads(path.read_text())["contexts"]["prod"]
    assert table["password_command"] == ["pass", "show", "kc prod"]
    assert "kcfix -C prod config check" in ran.out
    assert run("-C", "prod", "config", "show", "-o", "json", **found).code == 0


def test_to_the_screen_nothing_is_written(run: Run, found: dict[str, Any], file: Path) -> None:
    ran = run("config", "init", "--file", "-", "--password-file", "/run/word", **found)
    assert tomllib.loads(ran.out)["project"] == "kc-backend"
    assert tomllib.loads(ran.out)["password_file"] == "/run/word"  # noqa: S105
    assert not file.exists()
    document = run("config", "init", "--file", "-", "-o", "json", **found).document
    assert document["summary"]["path"] is None
    nothing = run("config", "init", "--file", "-", docker=FakeDocker())
    assert nothing.code == 1
    assert "brokers could not be found" in nothing.err
    assert tomllib.loads(nothing.out) == {}


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--user", "--file", "x.toml"), "exclude each other"),
        (("--password-command", "pass show x"), "runs no program"),
        (("--user", "--password-command", "pass 'x"), "a quote is not closed"),
        (("--as", "default"), "that name is taken"),
        (("--as", "drill:x"), "that name is taken"),
    ],
)
def test_options_that_can_not_be_are_refused(
    run: Run, found: dict[str, Any], file: Path, argv: tuple[str, ...], says: str
) -> None:
    ran = run("config", "init", *argv, **found)
    assert ran.code == 2
    assert says in ran.err
    assert not file.exists()


def test_a_file_that_is_not_read_by_itself_is_said_to_be_none(run: Run, found: dict[str, Any], tmp_path: Path) -> None:
    ran = run("config", "init", "--file", "other.toml", "-o", "json", **found)
    assert ran.document["summary"]["path"] == str(tmp_path / "work" / "other.toml")
    assert "is not read by itself" in ran.document["warnings"][0]


def test_where_nothing_is_found_the_file_is_a_form_to_be_filled_in(run: Run, file: Path) -> None:
    ran = run("config", "init", "-o", "json")
    assert ran.code == 4
    assert tomllib.loads(file.read_text()) == {}
    assert ran.document["errors"][0]["kind"] == "unreachable"
    file.unlink()
    empty = run("config", "init", docker=FakeDocker())
    assert (empty.code, file.exists()) == (1, True)


def test_a_kafka_that_does_not_answer_stops_nothing(run: Run, found: dict[str, Any], file: Path) -> None:
    found["kafka"].reach = lambda: (_ for _ in ()).throw(Unreachable("gone", system="kafka"))
    assert run("config", "init", **found).code == 0
    assert tomllib.loads(file.read_text())["brokers"] == ["kafka:9092"]

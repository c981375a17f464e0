"""Passwords that settings point to: which pointer counts, and to which address a password may go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kcfix.errors import UsageError
from kcfix.settings import Settings, load
from kcfix.settings.passwords import Secret, pointer, withheld

DSN = 'dsn = "postgresql://kcfix@db.example/kc"\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".config" / "kcfix").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    return tmp_path / "home"


def settings(
    home: Path,
    user: str = "",
    *,
    project: str = "",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    (home / ".config" / "kcfix" / "config.toml").write_text(user)
    (home.parent / "work" / "kcfix.toml").write_text(project)
    return load(flags or {}, {"HOME": str(home), **(environ or {})}, home.parent / "work")


@pytest.mark.parametrize(
    ("user", "environ", "expected"),
    [
        ('password_file = "/run/a"\npassword_command = "pass b"', {}, "password_file"),
        ('password_command = "pass b"', {}, "password_command"),
        ('password_command = "pass b"', {"KCFIX_PASSWORD_FILE": "/run/a"}, "password_file"),
        ('password_file = "/run/a"', {"KCFIX_PASSWORD_COMMAND": "pass b"}, "password_command"),
        ('password_file = "/run/a"', {"KCFIX_PASSWORD": "made-up", "KCFIX_PASSWORD_FILE": "/run/b"}, "password"),
        ("", {}, None),
    ],
)
def test_a_variable_goes_before_a_file_and_the_nearest_to_the_password_first(
    home: Path, user: str, environ: dict[str, str], expected: str | None
) -> None:
    found = pointer(settings(home, user, environ=environ), Secret.DATABASE)
    assert (found.setting if found else None) == expected


def test_the_words_of_a_command_are_those_of_a_shell_but_no_shell_runs(home: Path) -> None:
    one = settings(home, "password_command = \"pass show 'kc prod' $(x)\"")
    assert one.password_command == ("pass", "show", "kc prod", "$(x)")
    assert settings(home, 'password_command = ["pass", "kc prod"]').password_command == ("pass", "kc prod")
    for wrong in ('""', "[]", "3", '"pass \'a"'):
        with pytest.raises(UsageError, match="password_command"):
            settings(home, f"password_command = {wrong}")


@pytest.mark.parametrize("name", ["password_command", "payments_password_command", "kafka_password_command"])
def test_a_file_in_the_working_folder_runs_no_program(home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="runs no program"):
        settings(home, project=f'{name} = "evil"')
    with pytest.raises(UsageError, match="runs no program"):
        settings(home, project=f'[contexts.prod]\n{name} = "evil"', flags={"context": "prod"})
    assert settings(home, project=f'[contexts.prod]\n{name} = "evil"').password_command == ()


@pytest.mark.parametrize(
    ("user", "project", "environ", "flags", "goes"),
    [
        (DSN + 'password_file = "/p"', "", {}, {}, True),
        (DSN + 'password_file = "/p"', "", {}, {"dsn": "postgresql://kcfix@localhost:7000/kc"}, True),
        (DSN + 'password_file = "/p"', "", {"KCFIX_DSN": "postgresql://stray/kc"}, {}, False),
        ('password_file = "/p"', 'dsn = "postgresql://evil.example/kc"', {}, {}, False),
        ('password_file = "/p"', "", {}, {}, True),
        ("", 'dsn = "postgresql://evil.example/kc"', {"KCFIX_PASSWORD": "made-up"}, {}, True),
    ],
)
def test_what_a_file_points_to_goes_to_no_address_of_a_variable_or_another_file(
    home: Path, user: str, project: str, environ: dict[str, str], flags: dict[str, str], goes: bool
) -> None:
    found = settings(home, user, project=project, environ=environ, flags=flags)
    one = pointer(found, Secret.DATABASE)
    assert one is not None
    assert (withheld(found, Secret.DATABASE, one) is None) is goes


def test_each_password_has_its_own_settings_and_address(home: Path) -> None:
    found = settings(home, 'payments_password = "one-word"\nkafka_password_file = "/k"')
    assert pointer(found, Secret.DATABASE) is None
    payments, kafka = pointer(found, Secret.PAYMENTS), pointer(found, Secret.KAFKA)
    assert payments is not None
    assert kafka is not None
    assert (payments.value, kafka.value) == ("one-word", Path("/k"))
    assert "one-word" not in repr(found) + repr(payments)

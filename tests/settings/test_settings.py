"""Where each setting comes from, and what goes before what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from kcfix.errors import NotFound, UsageError
from kcfix.settings import SETTINGS, Settings, Source, load
from kcfix.settings.fields import Settings as SettingsClass


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".config" / "kcfix").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    return tmp_path / "home"


def settings(
    home: Path,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    project: str | None = None,
    user: str | None = None,
) -> Settings:
    folder = home.parent / "work"
    if project is not None:
        (folder / "kcfix.toml").write_text(project)
    if user is not None:
        (home / ".config" / "kcfix" / "config.toml").write_text(user)
    return load(flags or {}, {"HOME": str(home), **(environ or {})}, folder)


def test_every_setting_is_a_field_and_has_an_origin(home: Path) -> None:
    found = settings(home)
    assert {s.name for s in SETTINGS} <= set(SettingsClass.__dataclass_fields__)
    assert {found.origin(s.name).source for s in SETTINGS} == {Source.DEFAULT}


def test_a_flag_goes_before_a_variable_before_a_file_before_a_generic_name(home: Path) -> None:
    environ = {"KCFIX_BROKERS": "variable:1", "KAFKA_BROKERS": "generic:1"}
    layers = [
        ({"brokers": "flag:1"}, environ, 'brokers = "project:1"', 'brokers = "user:1"', "flag:1", Source.FLAG),
        ({}, environ, 'brokers = "project:1"', 'brokers = "user:1"', "variable:1", Source.ENVIRONMENT),
        ({}, {"KAFKA_BROKERS": "generic:1"}, 'brokers = "project:1"', None, "project:1", Source.FILE),
        ({}, {"KAFKA_BROKERS": "generic:1"}, "", None, "user:1", Source.FILE),
        ({}, {"KAFKA_BROKERS": "generic:1"}, "", "", "generic:1", Source.DISCOVERED),
    ]
    for flags, variables, project, user, expected, source in layers:
        found = settings(home, flags, variables, project=project, user=user)
        assert (found.brokers, found.origin("brokers").source) == ((expected,), source)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"KAFKA_BROKERS": "a:1", "KAFKA_BROKER": "b:1"}, "a:1"),
        ({"KAFKA_BROKER": "b:1"}, "b:1"),
    ],
)
def test_generic_names_are_read_in_their_order(home: Path, environ: dict[str, str], expected: str) -> None:
    assert settings(home, environ=environ).brokers == (expected,)


def test_a_named_context_ignores_generic_names(home: Path) -> None:
    environ = {"KAFKA_BROKERS": "stray:1", "DATABASE_URL": "postgresql://stray/db", "DOCKER_HOST": "tcp://stray:1"}
    found = settings(home, {"context": "prod"}, environ, project='[contexts.prod]\nproject = "kc"')
    assert (found.brokers, found.dsn, found.docker_host, found.project) == ((), None, None, "kc")
    assert (found.context, found.named) == ("prod", True)


def test_a_named_context_takes_nothing_from_the_top(home: Path) -> None:
    text = 'brokers = "top:1"\ndsn = "postgresql://top/db"\n[contexts.prod]\nbrokers = "prod:1"'
    found = settings(home, {"context": "prod"}, project=text)
    assert (found.brokers, found.dsn) == (("prod:1",), None)


def test_default_context_is_chosen_by_the_file_and_overruled_by_variable_and_flag(home: Path) -> None:
    tables = "".join(f'[contexts.{name}]\nproject = "p{name}"\n' for name in "abc")
    text = f'default_context = "a"\n{tables}'
    assert settings(home, project=text).project == "pa"
    assert settings(home, environ={"KCFIX_CONTEXT": "b"}).project == "pb"
    assert settings(home, {"context": "c"}, {"KCFIX_CONTEXT": "b"}).project == "pc"


def test_an_unknown_context_is_not_found_and_a_near_one_is_named(home: Path) -> None:
    with pytest.raises(NotFound) as caught:
        settings(home, {"context": "prd"}, project="[contexts.prod]")
    assert caught.value.hint is not None
    assert "did you mean 'prod'" in caught.value.hint


@pytest.mark.parametrize(("wish", "name"), [("drill", "drill"), ("drill:other", "other")])
def test_a_drill_is_a_context_of_its_own(home: Path, wish: str, name: str) -> None:
    folder = home / ".local" / "state" / "kcfix" / "drill" / name
    folder.mkdir(parents=True)
    (folder / "context.toml").write_text(
        'brokers = ["kafka:9092"]\naddress_map = { "kafka:9092" = "127.0.0.1:29092" }\n'
        'dsn = "postgresql://u:made-up@127.0.0.1:25432/kc_app"\nproject = "kcfix-drill"\nprobe = true\n'
    )
    found = settings(home, {"context": wish}, {"KAFKA_BROKERS": "stray:1"})
    assert found.brokers == ("kafka:9092",)
    assert found.address_map == {"kafka:9092": "127.0.0.1:29092"}
    assert (found.project, found.probe, found.warnings) == ("kcfix-drill", True, ())


@pytest.mark.parametrize("wish", ["drill", "drill:other", "drill:../etc", "drill:.."])
def test_a_missing_drill_says_how_to_get_one(home: Path, wish: str) -> None:
    with pytest.raises(NotFound) as caught:
        settings(home, {"context": wish})
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("kcfix drill up")


def test_unknown_keys_and_variables_warn_with_the_nearest_name(home: Path) -> None:
    found = settings(home, environ={"KCFIX_BROKER": "a:1"}, project='broker = "a:1"\n')
    assert any("unknown key 'broker' (did you mean 'brokers'?)" in w for w in found.warnings)
    assert any("unknown variable KCFIX_BROKER (did you mean 'KCFIX_BROKERS'?)" in w for w in found.warnings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("brokers = [", "no valid TOML"),
        ("brokers = 9092", "brokers (file: "),
        ('brokers = "kafka:http"', "not of the form host:port"),
        ('timeout = "soon"', "'soon' is no duration"),
        ("timeout = 0", "longer than zero"),
        ("timeout = inf", "timeout"),
        ("protected = 3", "true or false"),
        ('names = { purchase_grp = "x" }', "unknown name 'purchase_grp'"),
        ('kafka = { bootstrap_servers = "x" }', "no security option"),
        ('kafka = { ssl_cafil = "x" }', "did you mean 'ssl_cafile'?"),
        ("kafka = { ssl_cafile = 3 }", "ssl_cafile must be a text"),
        ('kafka = { ssl_check_hostname = "perhaps" }', "true or false"),
        ("default_context = 3", "must be a name"),
        ("contexts = 3", "must be tables"),
    ],
)
def test_a_value_that_can_not_be_understood_is_a_usage_error_that_names_it(home: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings(home, project=text)
    assert message in caught.value.message


def test_security_options_are_taken_as_they_are(home: Path) -> None:
    text = 'kafka = { sasl_plain_password = " blank ", ssl_check_hostname = "no" }'
    assert settings(home, project=text).kafka == {"sasl_plain_password": " blank ", "ssl_check_hostname": False}


def test_names_of_the_flow_can_differ(home: Path) -> None:
    text = 'names = { purchase_group = "other", tables = { payments = "pay.payments" } }'
    found = settings(home, project=text)
    assert (found.flow.purchase_group, found.flow.tables.payments) == ("other", "pay.payments")
    variable = settings(home, environ={"KCFIX_NAMES": '{ purchase_group = "third" }'})
    assert variable.flow.purchase_group == "third"


def test_durations_take_numbers_and_words_and_connecting_never_takes_longer_than_an_answer(home: Path) -> None:
    found = settings(home, {"timeout": "2s"}, project="overdue = 90")
    assert (found.timeout, found.connect_timeout, found.overdue) == (
        timedelta(seconds=2),
        timedelta(seconds=2),
        timedelta(seconds=90),
    )


def test_own_files_follow_xdg(home: Path) -> None:
    assert settings(home).journal == home / ".local" / "state" / "kcfix" / "journal"
    found = settings(home, environ={"XDG_STATE_HOME": "/var/state"})
    assert found.journal == Path("/var/state/kcfix/journal")
    assert settings(home, environ={"XDG_STATE_HOME": "relative"}).state_dir == home / ".local" / "state" / "kcfix"


def test_a_database_url_of_the_environment_is_made_fit_for_libpq(home: Path) -> None:
    found = settings(home, environ={"POSTGRES_URL": "postgres://u:p@h/d?ssl=true", "POSTGRES_SSL": "true"})
    assert found.dsn == "postgres://u:p@h/d?sslmode=require"


def test_address_map_takes_items_and_bare_hosts(home: Path) -> None:
    found = settings(home, {"address_map": ["kafka:9092=127.0.0.1:29092", "db=10.0.0.1"]})
    assert found.address_map == {"kafka:9092": "127.0.0.1:29092", "db": "10.0.0.1"}


@pytest.mark.parametrize(
    ("environ", "project", "user", "expected"),
    [
        ({"KCFIX_PROTECTED": "false"}, "protected = true", "", True),
        ({"KCFIX_PROTECTED": "true"}, "protected = false", "", True),
        ({}, "protected = false", "protected = true", True),
        ({}, "protected = false", "", False),
    ],
)
def test_protection_is_added_and_never_taken_away(
    home: Path, environ: dict[str, str], project: str, user: str, expected: bool
) -> None:
    top = "[contexts.prod]\n"
    found = settings(home, {"context": "prod"}, environ, project=top + project, user=top + user)
    assert found.protected is expected


@pytest.mark.parametrize(
    ("environ", "flags", "expected"),
    [
        ({"KCFIX_DSN": "postgresql://stray/db"}, {}, ("KCFIX_DSN",)),
        ({"KCFIX_DSN": "postgresql://prod/db"}, {}, ()),
        ({"KCFIX_DSN": "postgresql://stray/db"}, {"dsn": "postgresql://meant/db"}, ()),
        ({"KCFIX_BROKERS": "a:1", "KCFIX_PROJECT": "other"}, {}, ("KCFIX_BROKERS",)),
        ({"KCFIX_TIMEOUT": "1s"}, {}, ()),
    ],
)
def test_a_variable_that_leads_a_named_context_elsewhere_is_told(
    home: Path, environ: dict[str, str], flags: dict[str, str], expected: tuple[str, ...]
) -> None:
    text = '[contexts.prod]\ndsn = "postgresql://prod/db"\nbrokers = "prod:1"\n'
    found = settings(home, {"context": "prod", **flags}, environ, project=text)
    assert found.redirected == expected
    assert [w for w in found.warnings if "goes before" in w] == [
        f"{variable} goes before what the file of context prod says" for variable in expected
    ]
    assert settings(home, flags, environ, project=text).redirected == ()

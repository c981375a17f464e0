"""Which Docker engines are meant: hosts, contexts of the docker command, or none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kcfix.adapters.docker_context import Endpoint
from kcfix.errors import NotFound, Obstacle, Unreachable, UsageError
from kcfix.services.engines import endpoints, is_local, is_none, open_engines
from kcfix.settings import load


def context(home: Path, name: str, host: str, *, certificates: bool = False, unchecked: bool = False) -> Path:
    """A context as `docker context create` writes it; gives the folder of its certificates."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = home / ".docker" / "contexts" / "meta" / digest
    meta.mkdir(parents=True)
    told = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": unchecked}}}
    (meta / "meta.json").write_text(json.dumps(told))
    tls = home / ".docker" / "contexts" / "tls" / digest / "docker"
    if certificates:
        tls.mkdir(parents=True)
        for file in ("ca.pem", "cert.pem", "key.pem"):
            (tls / file).write_text("made up")
    return tls


def found(home: Path, toml: str = "", **variables: str) -> tuple[Endpoint, ...]:
    (home / "kcfix.toml").write_text(toml)
    environ = {"HOME": str(home), **variables}
    return endpoints(load({}, environ, home), environ)


def urls(home: Path, toml: str = "", **variables: str) -> list[str | None]:
    return [one.url for one in found(home, toml, **variables)]


def test_the_local_socket_by_itself(tmp_path: Path) -> None:
    assert urls(tmp_path) == [None]


def test_a_host_or_several(tmp_path: Path) -> None:
    assert urls(tmp_path, 'docker_host = "ssh://op@a"') == ["ssh://op@a"]
    assert urls(tmp_path, 'docker_host = ["ssh://op@a", "tcp://b:2375"]') == ["ssh://op@a", "tcp://b:2375"]
    assert urls(tmp_path, KCFIX_DOCKER_HOST="ssh://a,ssh://b") == ["ssh://a", "ssh://b"]


def test_a_context_of_the_docker_command_has_its_host_and_its_certificates(tmp_path: Path) -> None:
    tls = context(tmp_path, "prod", "tcp://docker.example:2376", certificates=True)
    (one,) = found(tmp_path, 'docker_context = "prod"')
    assert one.url == "tcp://docker.example:2376"
    assert one.tls is not None
    assert (one.tls.ca, one.tls.certificate, one.tls.key) == (tls / "ca.pem", tls / "cert.pem", tls / "key.pem")
    assert one.tls.verify


def test_a_context_that_checks_no_certificate_is_taken_at_its_word(tmp_path: Path) -> None:
    context(tmp_path, "lax", "tcp://docker.example:2376", unchecked=True)
    (one,) = found(tmp_path, DOCKER_CONTEXT="lax")
    assert one.tls is not None
    assert (one.tls.verify, one.tls.ca, one.tls.certificate) == (False, None, None)


def test_several_contexts(tmp_path: Path) -> None:
    context(tmp_path, "a", "ssh://a")
    context(tmp_path, "b", "ssh://b")
    assert urls(tmp_path, 'docker_context = ["a", "b", "default"]') == ["ssh://a", "ssh://b", None]


def test_the_current_context_counts_where_nothing_else_is_said(tmp_path: Path) -> None:
    context(tmp_path, "here", "ssh://here")
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "here"}')
    assert urls(tmp_path) == ["ssh://here"]
    assert urls(tmp_path, DOCKER_HOST="ssh://there") == ["ssh://there"]
    assert urls(tmp_path, 'docker_host = "ssh://filed"') == ["ssh://filed"]
    assert urls(tmp_path, DOCKER_CONTEXT="default") == [None]


def test_a_host_goes_before_a_context_that_is_given_as_strongly(tmp_path: Path) -> None:
    context(tmp_path, "prod", "ssh://prod")
    assert urls(tmp_path, DOCKER_HOST="ssh://host", DOCKER_CONTEXT="prod") == ["ssh://host"]
    assert urls(tmp_path, 'docker_context = "prod"', DOCKER_HOST="ssh://stray") == ["ssh://prod"]
    assert urls(tmp_path, 'docker_host = "ssh://filed"', KCFIX_DOCKER_CONTEXT="prod") == ["ssh://prod"]


def test_no_stray_file_or_variable_leads_a_named_context_elsewhere(tmp_path: Path) -> None:
    context(tmp_path, "stray", "ssh://stray")
    context(tmp_path, "prod", "ssh://prod")
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "stray"}')
    toml = '[contexts.bare]\n[contexts.prod]\ndocker_context = "prod"\n'
    stray = {"DOCKER_CONTEXT": "stray", "DOCKER_HOST": "ssh://stray", "DOCKER_CONFIG": "/nowhere"}
    assert urls(tmp_path, toml, KCFIX_CONTEXT="bare", **stray) == [None]
    assert urls(tmp_path, toml, KCFIX_CONTEXT="prod", **stray) == ["ssh://prod"]


def test_a_context_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    context(tmp_path, "prod", "ssh://prod")
    with pytest.raises(NotFound, match="no context 'prd'") as caught:
        found(tmp_path, 'docker_context = "prd"')
    assert "default, prod" in str(caught.value.hint)


def test_a_file_that_is_no_json_is_said(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config\.json"):
        found(tmp_path)


def test_none_is_no_host(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "KCFIX_DOCKER_HOST": "none"}
    settings = load({}, environ, tmp_path)
    assert is_none(settings)
    assert not is_local(settings, environ)
    with pytest.raises(Unreachable, match="there is none here") as caught:
        open_engines(settings, environ)
    assert caught.value.obstacle is Obstacle.ABSENT
    with pytest.raises(UsageError, match="and not both"):
        load({}, {**environ, "KCFIX_DOCKER_HOST": "none,ssh://a"}, tmp_path)

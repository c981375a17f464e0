"""A Docker Engine on TCP with TLS, by the environment and by a context of the docker command; several engines; none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kcfix.adapters.docker import open_docker
from kcfix.adapters.docker_context import Tls
from kcfix.drill.engine import Engine
from kcfix.drill.image import host
from kcfix.drill.state import Drill
from kcfix.errors import KcfixError
from tests.contract.test_docker import DockerContract, World
from tests.contract.test_docker_engine import IDLE, EngineWorld
from tests.real.certificates import Authority
from tests.real.conftest import Kcfix
from tests.real.docker_daemon import WANTED, WHY_NOT, Daemon, daemon
from tests.settings.test_engines import context


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    if not WANTED:
        pytest.skip(WHY_NOT)
    with daemon(tmp_path_factory.mktemp("dockerd")) as running:
        yield running


def tls_of(second: Daemon) -> Tls:
    return Tls(second.authority.certificate, second.client.certificate, second.client.key)


class TlsWorld(EngineWorld):
    """The second engine, reached by TCP with TLS."""

    def __init__(self, engine: Engine, second: Daemon) -> None:
        super().__init__(engine, host(engine))
        self.docker.close()
        self.docker = open_docker(second.url, 20, tls=tls_of(second))


class TestOverTls(DockerContract):
    """The contract of the port holds over TCP with TLS."""

    @pytest.fixture
    def world(self, second: Daemon) -> Iterator[World]:
        with second.engine() as engine:
            made = TlsWorld(engine, second)
            yield made
            made.close()


def certificates(second: Daemon, folder: Path) -> Path:
    """The certificates as the docker command wants them in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for source, name in (
        (second.authority.certificate, "ca.pem"),
        (second.client.certificate, "cert.pem"),
        (second.client.key, "key.pem"),
    ):
        shutil.copyfile(source, folder / name)
    return folder


@pytest.fixture
def worker(second: Daemon) -> Iterator[str]:
    """A container of the second engine that is labelled as the session-worker of a Compose project."""
    with second.engine() as engine:
        ground = host(engine)
        made = engine.client.containers.run(
            ground.image,
            ["/bin/sh", "-c", f"echo hello from the other host; {IDLE}"],
            name="kodingcaravan-session-worker",
            labels={"com.docker.compose.project": "kc", "com.docker.compose.service": "session-worker"},
            volumes=[f"{bind.source}:{bind.target}:ro" for bind in ground.binds],
            network_mode="none",
            detach=True,
        )
        yield str(made.name)
        made.remove(force=True)


def test_by_the_variables_of_the_docker_command(second: Daemon, worker: str, tmp_path: Path) -> None:
    folder = certificates(second, tmp_path / "certs")
    environ = {"DOCKER_HOST": second.url, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}
    ran = Kcfix(tmp_path)("logs", "session-worker", environ=environ)
    assert ran.code == 0, ran.err
    assert "hello from the other host" in ran.out


def test_by_a_context_of_the_docker_command(second: Daemon, worker: str, tmp_path: Path) -> None:
    certificates(second, context(tmp_path, "far", second.url, certificates=True))
    (tmp_path / "kcfix.toml").write_text('docker_context = "far"\n')
    ran = Kcfix(tmp_path, environ={"HOME": str(tmp_path)})("logs", "session-worker")
    assert ran.code == 0, ran.err
    assert "hello from the other host" in ran.out
    checked = Kcfix(tmp_path, environ={"HOME": str(tmp_path)})("config", "check")
    assert second.url in checked.out


def refusal(second: Daemon, tls: Tls | None, *, environment: dict[str, str] | None = None) -> KcfixError:
    with pytest.raises(KcfixError) as caught:
        open_docker(second.url, 5, environment, tls=tls)
    return caught.value


def test_what_is_wrong_with_tls_is_said(second: Daemon, tmp_path: Path) -> None:
    good = tls_of(second)
    stranger = Authority(tmp_path / "stranger")
    untrusted = refusal(second, Tls(stranger.certificate, good.certificate, good.key))
    assert "certificate" in untrusted.message
    assert untrusted.code == 4
    without = refusal(second, Tls(good.ca, None, None))
    assert "certificate" in without.message.lower()
    plain = refusal(second, None)
    assert "TLS" in f"{plain.message} {plain.hint}"


def test_several_hosts_and_one_of_them_dead(second: Daemon, worker: str, drill: Drill, tmp_path: Path) -> None:
    """The drill's workers on this host's engine, and one more container on the other engine."""
    certificates(second, context(tmp_path, "far", second.url, certificates=True))
    context(tmp_path, "dead", "tcp://127.0.0.1:1")
    settings = (drill.context_file).read_text()
    (tmp_path / "kcfix.toml").write_text(
        '[contexts.both]\ndocker_context = ["default", "far"]\n'
        + settings
        + '\n[contexts.half]\ndocker_context = ["default", "dead"]\n'
        + settings
        + '\n[contexts.lone]\ndocker_context = ["far", "dead"]\n'
        + settings.replace(f'project = "{drill.project}"\n', 'project = "kc"\n')
    )
    here = Kcfix(tmp_path, environ={"HOME": str(tmp_path)})
    both = here("-C", "both", "status", "-o", "json")
    (row,) = [r for r in both.rows if r["section"] == "worker" and r["worker"] == "purchase-worker"]
    assert [c["host"] for c in row["containers"]] == ["unix:///var/run/docker.sock"]
    assert _docker(both)["silent_hosts"] == []
    half = here("-C", "half", "status", "-o", "json")
    assert half.code == 1
    assert "127.0.0.1" in _docker(half)["silent_hosts"][0]
    (row,) = [r for r in half.rows if r["section"] == "worker" and r["worker"] == "purchase-worker"]
    assert row["containers"]
    lone = here("-C", "lone", "status", "-o", "json")
    by_worker = {r["worker"]: r for r in lone.rows if r["section"] == "worker"}
    assert [c["host"] for c in by_worker["session-worker"]["containers"]] == ["localhost"]
    assert by_worker["purchase-worker"]["containers"] is None
    assert by_worker["purchase-worker"]["missing"] is None
    logs = here("-C", "lone", "logs")
    assert "hello from the other host" in logs.out
    assert "127.0.0.1" in logs.err
    planned = here("-C", "lone", "restart", "purchase-worker", "--dry-run")
    assert "127.0.0.1" in planned.out + planned.err


def _docker(ran: Any) -> dict[str, Any]:
    (row,) = [r for r in ran.rows if r["section"] == "docker"]
    found: dict[str, Any] = row
    return found


# none at all


@pytest.fixture
def without(drill: Drill, tmp_path: Path) -> Kcfix:
    settings = drill.context_file.read_text()
    (tmp_path / "kcfix.toml").write_text(f'docker_host = "none"\n{settings}')
    return Kcfix(tmp_path)


def test_without_docker_the_groups_alone_tell(without: Kcfix) -> None:
    lag = without("lag", "--all")
    assert lag.code == 0, lag.err
    status = without("status")
    assert status.code == 1
    assert "there is none here" in status.out + status.err
    assert "purchase-creation-workers" in status.out
    doctor = without("doctor")
    assert doctor.code in (0, 1, 4)
    assert "there is none here" in doctor.out + doctor.err


def test_without_docker_logs_say_where_to_look(without: Kcfix) -> None:
    logs = without("logs", "purchase-worker")
    assert logs.code == 4
    assert "there is none here" in logs.err
    assert "docker compose logs" in logs.err


def test_without_docker_restart_prints_the_lines_for_the_hand(without: Kcfix) -> None:
    planned = without("restart", "purchase-worker", "--dry-run")
    assert planned.code == 4, planned.err
    assert "docker compose restart purchase-worker" in planned.out or "docker compose up -d" in planned.out
    assert "there is none here" in planned.out + planned.err
    ran = without("restart", "purchase-worker", "--yes")
    # Partitions of a new drill have no offset: they could be pinned, if its member were not there.
    assert ran.code == 5, ran.out
    assert "stop that worker where it runs" in ran.out + ran.err


def test_without_docker_config_check_is_content(without: Kcfix) -> None:
    checked = without("config", "check", "-o", "json")
    assert checked.code == 0, checked.err
    (engine,) = [r for r in checked.rows if r["system"] == "docker"]
    assert engine["status"] == "CAUTION"

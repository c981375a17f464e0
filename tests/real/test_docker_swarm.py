"""Services of a swarm of one node, on a Docker Engine of the tests' own: replicas, logs, restart, stop and start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta

import docker.errors
import pytest
from docker.types import RestartPolicy, ServiceMode

from kcfix.adapters.docker import open_docker
from kcfix.core.ports.docker import DockerPort
from kcfix.core.setup.discovery import workers_of
from kcfix.core.workers import ContainerState
from kcfix.drill.image import host
from kcfix.drill.network import free_ports
from kcfix.errors import NotFound
from kcfix.flow import Flow
from tests.contract.test_docker_engine import IDLE
from tests.real.conftest import eventually
from tests.real.docker_daemon import WANTED, WHY_NOT, Daemon, daemon
from tests.real.test_docker_hosts import tls_of

pytestmark = [
    pytest.mark.skipif(not WANTED, reason=WHY_NOT),
    pytest.mark.timeout(300),
]
NAME = "kc_session-worker"
REPLICAS = 2


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A swarm of one node with the service of a worker."""
    with daemon(tmp_path_factory.mktemp("dockerd")) as running, closing(running.connect()) as client:
        (port,) = free_ports(1)
        try:
            client.swarm.init(advertise_addr=f"127.0.0.1:{port}", listen_addr=f"127.0.0.1:{port}")
        except docker.errors.APIError as error:
            pytest.skip(f"no swarm can be made here: {error.explanation}")
        with running.engine() as engine:
            ground = host(engine)
        client.services.create(  # type: ignore[no-untyped-call]
            ground.image,
            ["/bin/sh", "-c", f"echo hello; {IDLE}"],
            name=NAME,
            labels={"com.docker.stack.namespace": "kc"},
            container_labels={"com.docker.stack.namespace": "kc"},
            env=["KAFKA_BROKERS=kafka:9092"],
            mounts=[f"{bind.source}:{bind.target}:ro" for bind in ground.binds],
            networks=["host"],
            mode=ServiceMode("replicated", replicas=REPLICAS),
            restart_policy=RestartPolicy("any"),
        )
        try:
            yield running
        finally:
            with suppress(docker.errors.APIError):
                client.services.get(NAME).remove()  # type: ignore[no-untyped-call]
                client.swarm.leave(force=True)


@pytest.fixture
def port(manager: Daemon) -> Iterator[DockerPort]:
    opened = open_docker(manager.url, 20, tls=tls_of(manager))
    assert eventually(lambda: len([c for c in opened.containers() if c.running]) == REPLICAS, seconds=60)
    yield opened
    opened.close()


def test_replicas_are_containers_of_the_worker_under_names_that_last(port: DockerPort) -> None:
    found = workers_of(Flow(), port.containers())["session-worker"]
    assert [c.name for c in found] == [f"{NAME}.1", f"{NAME}.2"]
    assert {(c.id == c.name, c.project, c.service, c.swarm_service) for c in found} == {
        (True, "kc", "session-worker", NAME)
    }
    assert found[0].environment["KAFKA_BROKERS"] == "kafka:9092"
    one = port.inspect(found[0].id)
    assert (one.id, one.name, one.running, one.started_at) == (found[0].id, found[0].name, True, found[0].started_at)
    assert port.silent() == {}


def test_their_logs_are_read_under_that_name(port: DockerPort) -> None:
    (line,) = port.logs(f"{NAME}.2")
    assert (line.container, line.text) == (f"{NAME}.2", "hello")


def test_a_replica_that_there_is_not_is_not_found(port: DockerPort) -> None:
    for name in (f"{NAME}.9", "no-such-service.1"):
        with pytest.raises(NotFound):
            port.inspect(name)


def test_a_restart_makes_every_task_anew_and_leaves_nothing_of_the_old_ones(port: DockerPort) -> None:
    before = {c.name: c.started_at for c in port.containers()}
    since = port.now()
    for name in before:
        port.restart(name, grace=timedelta(seconds=10))
    after = {c.name: c for c in port.containers()}
    assert set(after) == set(before)
    assert all(c.running and c.started_at is not None and c.started_at > since for c in after.values())
    told = [e for e in port.events(since) if e.action == "start"]
    assert {e.container for e in told} == set(before)
    assert len(told) == REPLICAS  # the second call was for what the first had done


def test_a_stop_is_of_the_whole_service_and_a_start_brings_back_as_many(port: DockerPort, manager: Daemon) -> None:
    for slot in (1, 2):
        port.stop(f"{NAME}.{slot}", grace=timedelta(seconds=10))
    stopped = port.containers()
    assert [(c.name, c.state) for c in stopped] == [(f"{NAME}.{n}", ContainerState.EXITED) for n in (1, 2)]
    assert port.inspect(f"{NAME}.1").state is ContainerState.EXITED
    # Another run finds it as it was left.
    with closing(open_docker(manager.url, 20, tls=tls_of(manager))) as other:
        assert [c.state for c in other.containers()] == [ContainerState.EXITED] * 2
        for slot in (1, 2):
            other.start(f"{NAME}.{slot}")
    assert [(c.name, c.running) for c in port.containers()] == [(f"{NAME}.{n}", True) for n in (1, 2)]
    with closing(manager.connect()) as client:
        spec = client.services.get(NAME).attrs["Spec"]  # type: ignore[no-untyped-call]
    assert spec["Mode"]["Replicated"]["Replicas"] == REPLICAS
    assert "io.kcfix.replicas" not in spec["Labels"]
    assert spec["TaskTemplate"]["ContainerSpec"]["Env"] == ["KAFKA_BROKERS=kafka:9092"]

"""Kafka of any release, in KRaft or ZooKeeper mode: Java on this host, without Docker, on ports of loopback.

It advertises `kafka:9092` as the real one does, so that a drill and this are the same to a test of the adapter.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from kcfix.drill.cache import broker_jars
from kcfix.drill.network import free_ports, kafka_answers, mapped_settings
from kcfix.flow import Flow

_CLUSTER = "kcfix-tests-0000000000"
_START_SECONDS = 60
_JAVA = ("java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True, slots=True)
class Release:
    """A release of Kafka, and where it keeps what it knows of the cluster."""

    version: str
    zookeeper: bool = False

    def __str__(self) -> str:
        return f"{self.version} {'ZooKeeper' if self.zookeeper else 'KRaft'}"

    @property
    def newer_groups(self) -> bool:
        """Whether groups of the newer protocol (KIP-848) are there without a setting that turns them on."""
        return int(self.version.partition(".")[0]) >= 4


@dataclass(frozen=True, slots=True)
class Cluster:
    """One running broker."""

    release: Release
    kafka_port: int

    @property
    def brokers(self) -> tuple[str, ...]:
        return ("kafka:9092",)

    @property
    def address_map(self) -> dict[str, str]:
        return {"kafka:9092": f"127.0.0.1:{self.kafka_port}"}


@contextmanager
def cluster(release: Release) -> Iterator[Cluster]:
    """One broker of that release with the topics of the flow. Everything is gone afterwards."""
    jars = f"{broker_jars(release.version, print)}/*"
    folder = Path(tempfile.mkdtemp(prefix="kcfix-kafka-"))
    port, inner, other = free_ports(3)
    properties = folder / "server.properties"
    properties.write_text(_properties(release, folder, port, inner, other), encoding="utf-8")
    running: list[subprocess.Popen[bytes]] = []
    with (folder / "log.txt").open("wb") as log:

        def start(*words: str) -> None:
            # It ends with the test run, however that ends.
            bound = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
            running.append(subprocess.Popen((*bound, *words), stdout=log, stderr=log, cwd=folder))

        try:
            if release.zookeeper:
                alone = ("-Dzookeeper.admin.enableServer=false", "-cp", jars)
                data = folder / "zookeeper"
                data.mkdir()
                main = "org.apache.zookeeper.server.ZooKeeperServerMain"
                start(*_JAVA, *alone, main, str(other), str(data))
            else:
                words = ("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(properties))
                subprocess.run(
                    (*_JAVA, "-cp", jars, *words), stdout=log, stderr=log, timeout=_START_SECONDS, check=True
                )
            start(*_JAVA, "-cp", jars, "kafka.Kafka", str(properties))
            made = Cluster(release, port)
            _wait(made, running, folder)
            yield made
        finally:
            for process in reversed(running):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
                process.wait(20)
            shutil.rmtree(folder, ignore_errors=True)


def _properties(release: Release, folder: Path, port: int, inner: int, other: int) -> str:
    lines = {
        "listeners": f"CLIENTS://127.0.0.1:{port},INNER://127.0.0.1:{inner}",
        # What it tells itself has to lead somewhere: transactions are ended by way of it.
        "advertised.listeners": f"CLIENTS://kafka:9092,INNER://127.0.0.1:{inner}",
        "listener.security.protocol.map": "CLIENTS:PLAINTEXT,INNER:PLAINTEXT",
        "inter.broker.listener.name": "INNER",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
    if release.zookeeper:
        lines |= {"broker.id": "1", "zookeeper.connect": f"127.0.0.1:{other}"}
    else:
        lines |= {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{other}",
            "controller.listener.names": "CONTROLLER",
        }
        lines["listeners"] += f",CONTROLLER://127.0.0.1:{other}"
        lines["listener.security.protocol.map"] += ",CONTROLLER:PLAINTEXT"
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _wait(made: Cluster, running: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Return once the topics of the flow are there."""
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            if kafka_answers(made.kafka_port):
                with closing(KafkaAdminClient(**mapped_settings(made.address_map))) as admin:
                    admin.create_topics([NewTopic(name, 3, 1) for name in Flow().topics])
                return
        except KafkaError:
            pass
        if any(process.poll() is not None for process in running) or time.monotonic() > end:
            told = (folder / "log.txt").read_text(errors="replace")[-3000:]
            raise RuntimeError(f"Kafka {made.release} did not start:\n{told}")
        time.sleep(0.3)

"""A broker of the tests' own with TLS, logins and ACLs: Java on this host, without Docker, on ports of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from kcfix.adapters.kafka import open_kafka
from kcfix.core.ports.kafka import KafkaPort
from kcfix.drill.cache import broker_jars
from kcfix.drill.network import free_ports
from kcfix.flow import Flow
from tests.real.certificates import Authority, Pair

ADMIN, ADMIN_PASSWORD = "admin", "admin-pass-word"
_CLUSTER = "kcfix-tests-0000000000"
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Listener:
    """One way in."""

    name: str
    protocol: str
    port: int
    options: Mapping[str, str] = field(default_factory=dict)
    """Broker settings of this listener."""

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


@dataclass(frozen=True)
class Broker:
    """A running broker and its authority."""

    authority: Authority
    listeners: Mapping[str, Listener]
    log: Path

    def open(self, listener: str, **security: str | bool | None) -> KafkaPort:
        """Kafka through one of the listeners, with the security options that are given."""
        way = self.listeners[listener]
        options = {"security_protocol": way.protocol, **security}
        return open_kafka([way.address], security={k: v for k, v in options.items() if v is not None})

    def admin(self) -> KafkaAdminClient:
        """The library's admin client, as a user who may do everything."""
        return KafkaAdminClient(**self.settings())

    def settings(self) -> dict[str, Any]:
        """Settings for clients of kafka-python, as a user who may do everything."""
        return {
            "bootstrap_servers": self.listeners["password"].address,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": ADMIN,
            "sasl_plain_password": ADMIN_PASSWORD,
        }


def server_certificates(authority: Authority) -> dict[str, Pair]:
    """For a server on loopback: a good one, one of another name, one that has expired."""
    here = ("DNS:localhost", "IP:127.0.0.1")
    return {
        "good": authority.issue("server", *here),
        "other": authority.issue("other", "DNS:kafka.example.com"),
        "expired": authority.issue("expired", *here, expired=True),
    }


def keystore(pair: Pair) -> dict[str, str]:
    """Broker settings by which a listener shows this certificate."""
    return {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(pair.together())}


def plain_users(users: Mapping[str, str]) -> dict[str, str]:
    """Broker settings by which a listener lets these users in by SASL PLAIN."""
    words = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    return {"plain.sasl.jaas.config": f"org.apache.kafka.common.security.plain.PlainLoginModule required {words};"}


@contextmanager
def broker(
    authority: Authority,
    listeners: tuple[tuple[str, str, Mapping[str, str]], ...],
    *,
    users: Mapping[str, str],
    settings: Mapping[str, str] | None = None,
    scram: tuple[str, ...] = (),
    version: str = "3.5.2",
    options: tuple[str, ...] = (),
) -> Iterator[Broker]:
    """A broker with the flow's topics and these listeners (name, protocol, settings), besides one called `password`.

    `password` is SASL_PLAINTEXT with PLAIN for the admin and the `users`. Everything is gone afterwards.
    """
    folder = Path(tempfile.mkdtemp(prefix="kcfix-broker-"))
    jars = broker_jars(version, lambda _: None)
    everybody = {ADMIN: ADMIN_PASSWORD, **users}
    wanted = (
        ("password", "SASL_PLAINTEXT", {"sasl.enabled.mechanisms": "PLAIN", **plain_users(everybody)}),
        *listeners,
    )
    ports = free_ports(len(wanted) + 1)
    ways = {n: Listener(n, p, port, o) for (n, p, o), port in zip(wanted, ports[1:], strict=True)}
    properties = folder / "server.properties"
    properties.write_text(_properties(folder, ports[0], ways, settings or {}), encoding="utf-8")
    java = ("java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", *options)
    log = (folder / "log.txt").open("wb")
    process = None
    try:
        added = [word for one in scram for word in ("--add-scram", one)]
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(properties), *added],
            stdout=log,
            stderr=log,
            timeout=_START_SECONDS,
            check=True,
        )
        process = subprocess.Popen(
            # The broker ends with the test run, however that ends.
            (
                *(("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()),
                *java,
                "kafka.Kafka",
                str(properties),
            ),
            stdout=log,
            stderr=log,
            cwd=folder,
        )
        made = Broker(authority, ways, folder / "log.txt")
        _wait(made, process, folder)
        yield made
    finally:
        if process is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait(20)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _properties(folder: Path, controller: int, ways: Mapping[str, Listener], more: Mapping[str, str]) -> str:
    names = {name: name.upper() for name in ways}
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@localhost:{controller}",
        "listeners": ",".join(
            [*(f"{names[n]}://localhost:{w.port}" for n, w in ways.items()), f"CONTROLLER://localhost:{controller}"]
        ),
        "advertised.listeners": ",".join(f"{names[n]}://localhost:{w.port}" for n, w in ways.items()),
        "listener.security.protocol.map": ",".join(
            [*(f"{names[n]}:{w.protocol}" for n, w in ways.items()), "CONTROLLER:PLAINTEXT"]
        ),
        "inter.broker.listener.name": "PASSWORD",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.password.plain.sasl.jaas.config": "",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        **{f"listener.name.{n}.{key}": value for n, w in ways.items() for key, value in w.options.items()},
        **more,
    }
    # The broker itself comes in as the admin.
    login = f'username="{ADMIN}" password="{ADMIN_PASSWORD}"'
    jaas = lines["listener.name.password.plain.sasl.jaas.config"]
    lines["listener.name.password.plain.sasl.jaas.config"] = jaas.replace("required ", f"required {login} ")
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _wait(made: Broker, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Return once the topics of the flow are there."""
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with socket.create_connection(("localhost", made.listeners["password"].port), timeout=1):
                pass
            with closing(made.admin()) as admin:
                admin.create_topics([NewTopic(name, 3, 1) for name in Flow().topics])
        except (OSError, KafkaError) as error:
            if process.poll() is not None or time.monotonic() > end:
                told = (folder / "log.txt").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"the broker did not start ({error}):\n{told}") from error
            time.sleep(0.3)
        else:
            return

"""A second Docker Engine for tests: in folders of its own, on loopback with TLS, with a bridge of its own.

With `--bridge none` a dockerd removes `docker0`, which belongs to the first one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import requests
from docker.tls import TLSConfig

from kcfix.drill.engine import Engine
from kcfix.drill.network import free_ports
from tests.real.certificates import Authority, Pair

_START_SECONDS = 40
WANTED = os.environ.get("KCFIX_SECOND_ENGINE") == "1" and os.geteuid() == 0
WHY_NOT = "a second dockerd touches the networks of this host: only root, and with KCFIX_SECOND_ENGINE=1"


@dataclass(frozen=True)
class Daemon:
    """A running engine."""

    port: int
    authority: Authority
    client: Pair
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"tcp://localhost:{self.port}"

    def connect(self) -> docker.DockerClient:
        """The library's client."""
        pair = (str(self.client.certificate), str(self.client.key))
        tls = TLSConfig(client_cert=pair, ca_cert=str(self.authority.certificate), verify=True)
        made = docker.DockerClient(base_url=f"https://localhost:{self.port}", tls=tls, timeout=20, version="1.41")
        made.api.trust_env = False
        return made

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The same as drills know it."""
        with closing(self.connect()) as client:
            yield Engine(client)


@contextmanager
def daemon(folder: Path) -> Iterator[Daemon]:
    """An engine that takes only clients with a certificate of its authority; gone afterwards, with all it held.

    Raises:
        FileNotFoundError: there is no dockerd on this machine. PermissionError: this user may not start one.
    """
    program = shutil.which("dockerd")
    if program is None or shutil.which("ip") is None:
        raise FileNotFoundError("no dockerd or no ip on this machine")
    if os.geteuid() != 0:
        raise PermissionError("only root can start a dockerd")
    authority = Authority(folder / "ca")
    server = authority.issue("docker-server", "DNS:localhost", "IP:127.0.0.1")
    client = authority.issue("docker-client")
    (port,) = free_ports(1)
    root = Path(tempfile.mkdtemp(prefix="kcfix-dockerd-"))  # short: its sockets have long names
    with _bridge(port) as bridge, (root / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                *("--data-root", str(root / "data"), "--exec-root", str(root / "run"), "-p", str(root / "pid")),
                *("-H", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", str(authority.certificate)),
                *("--tlscert", str(server.certificate), "--tlskey", str(server.key)),
                *("--bridge", bridge, "--iptables=false", "--ip-forward=false", "--ip-masq=false"),
            ],
            stdout=log,
            stderr=log,
            cwd=root,
        )
        made = Daemon(port, authority, client, process)
        try:
            _wait(made, root)
            yield made
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            for mounted in _mounts(root):
                subprocess.run(["umount", "-l", mounted], check=False, capture_output=True)
            shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _bridge(number: int) -> Iterator[str]:
    """A network bridge, gone afterwards."""
    name, before = f"kcfix{number}", _interfaces()
    for words in (
        ("link", "add", name, "type", "bridge"),
        ("addr", "add", f"10.213.{number % 250}.1/24", "dev", name),
        ("link", "set", name, "up"),
    ):
        subprocess.run(["ip", *words], check=True, capture_output=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)
        # A swarm leaves the bridge that it made behind.
        if "docker_gwbridge" in _interfaces() - before:
            subprocess.run(["ip", "link", "delete", "docker_gwbridge"], check=False, capture_output=True)
        if "docker0" in before - _interfaces():
            raise RuntimeError("the bridge of this host's own engine is gone: docker0")


def _interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def _wait(made: Daemon, root: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with closing(made.connect()) as client:
                client.ping()
        except (docker.errors.DockerException, requests.RequestException) as error:
            if made.process.poll() is not None or time.monotonic() > end:
                told = (root / "log.txt").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"dockerd did not start ({error}):\n{told}") from error
            time.sleep(0.2)
        else:
            return


def _mounts(root: Path) -> list[str]:
    lines = Path("/proc/mounts").read_text().splitlines()
    return [line.split()[1] for line in reversed(lines) if line.split()[1].startswith(str(root))]

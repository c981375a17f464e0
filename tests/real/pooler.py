"""PgBouncer in front of the tests' PostgreSQL, in transaction mode and as unkind as it can be set up."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from kcfix.drill.network import free_ports
from tests.fakes_database import FakeDatabase
from tests.real.certificates import Pair
from tests.real.postgres_server import PASSWORD, SUPERUSER, Server, as_normal_user, handed_over
from tests.real.postgres_world import PostgresWorld

POOL = 4

_INI = """[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = scram-sha-256
auth_file = {folder}/users.txt
pool_mode = transaction
; Each transaction goes to another connection of the pool, so that whatever a session keeps is not there the next time.
server_round_robin = 1
default_pool_size = {pool}
min_pool_size = 2
max_client_conn = 30
query_wait_timeout = 5
unix_socket_dir =
logfile = {folder}/pooler.log
{more}
"""


@dataclass(frozen=True, slots=True)
class Pooler:
    """A running pooler."""

    port: int
    server: Server

    def dsn(self, database: str, *, more: str = "") -> str:
        """How to reach a database of the server through it."""
        return f"postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{self.port}/{database}{more}"


class PooledWorld(PostgresWorld):
    """A database of its own for one test that kcfix reaches through the pooler."""

    def __init__(self, pooler: Pooler, timeout: float = 3) -> None:
        super().__init__(pooler.server, timeout)
        self._pooler = pooler

    def dsn(self) -> str:
        return self._pooler.dsn(self.name)

    def fill(self, seed: FakeDatabase) -> None:
        super().fill(seed)
        with ExitStack() as stack:
            # While all of them are in a transaction each has a connection of the pool's for itself.
            for _ in range(POOL):
                stack.enter_context(psycopg.connect(self.dsn(), connect_timeout=5)).execute("SELECT 1")


@contextmanager
def pooler(server: Server, folder: Path, tls: Pair | None = None) -> Iterator[Pooler]:
    """PgBouncer before that server, with TLS for its clients where a certificate is given."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        raise FileNotFoundError("no PgBouncer on this machine (Debian: pgbouncer)")
    [port] = free_ports(1)
    shown = {}
    if tls is not None:
        shown = {"cert": handed_over(tls.certificate, server.folder), "key": handed_over(tls.key, server.folder)}
    more = "".join(f"client_tls_{name}_file = {path}\n" for name, path in shown.items())
    files = {
        "pooler.ini": _INI.format(
            server=server.port,
            port=port,
            folder=server.folder,
            pool=POOL,
            more=more + ("client_tls_sslmode = require\n" if tls else ""),
        ),
        "users.txt": f'"{SUPERUSER}" "{PASSWORD}"\n',
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    ini, _ = (handed_over(folder / name, server.folder) for name in files)
    process = subprocess.Popen(
        (*(("setpriv", "--pdeathsig", "INT") if shutil.which("setpriv") else ()), program, "-q", str(ini)),
        cwd=server.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_normal_user(),
    )
    try:
        made = Pooler(port, server)
        _wait(made, process)
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _wait(made: Pooler, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(made.dsn("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return

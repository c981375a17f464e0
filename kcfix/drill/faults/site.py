"""What the faults do to a drill in common: stop and start workers, ask the database, send again what was lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
from docker.models.containers import Container

from kcfix.drill import groups, wire, workers
from kcfix.drill.buy import buy
from kcfix.drill.checkout import PARTITIONS
from kcfix.drill.engine import Engine, Spec, connected, translated
from kcfix.drill.faults.lost import announce, emit, unannounced, unsettled
from kcfix.drill.state import POSTGRES, WORKERS, Drill
from kcfix.errors import NotFound, Unreachable
from kcfix.flow import Flow

FLOW = Flow()
WORKER = FLOW.purchase_worker
GROUP = FLOW.purchase_group
TOPIC = FLOW.purchase_confirmed
COURSE = "00000000-0000-4000-9000-000000000001"
"""The first course of seed.sql."""
State = dict[str, Any]
"""What the undo needs to know of the making, as JSON has it. May be incomplete where the making broke off."""


@dataclass(frozen=True, slots=True)
class Site:
    """A drill under the hands of a fault, with its Docker Engine open."""

    drill: Drill
    engine: Engine
    remember: Callable[[State], object] = lambda _: None
    """Writes what is known so far, so that a making that breaks off can be undone."""
    report: Callable[[str], None] = field(default=lambda _: None)

    def container(self, service: str) -> Container:
        """The container of a service as it is now."""
        return self.engine.container(self.drill, service)

    def stop_worker(self, worker: str = WORKER, *, grace_seconds: int = 10) -> None:
        """Stops a worker as `docker stop` does and returns once its member is out of the group; none there is well."""
        self.report(f"stopping {worker}")
        with contextlib.suppress(NotFound):
            self.engine.stop(self.drill, worker, grace_seconds=grace_seconds)
        groups.dismiss(self.drill, group_of(worker), worker)

    def start_worker(self, worker: str = WORKER, *, join: bool = True) -> None:
        """Starts a worker as `docker start` does and waits until it has joined; one that runs is left running."""
        self.report(f"starting {worker}")
        running = self.container(worker).status == "running"
        since = 0.0 if running else time.time()
        self.engine.start(self.drill, worker)
        if join:
            groups.wait_joined(self.drill, group_of(worker), since=since)

    def restart_worker(self, worker: str = WORKER) -> None:
        """Stops and starts a worker, unless it stood still already: then it is not this fault's to start."""
        if self.container(worker).status in ("running", "restarting"):
            self.stop_worker(worker)
            self.start_worker(worker)

    def make_worker(
        self, worker: str = WORKER, environment: Mapping[str, str | None] | None = None, **limits: Any
    ) -> None:
        """Makes a worker's container anew, in the place of the one that is there, and does not wait for it to join."""
        self.stop_worker(worker)  # else its member lingers for half a minute and keeps the new one out
        workers.create(self.engine, self.drill, worker, environment, **limits)

    def renew_worker(self, worker: str = WORKER) -> None:
        """Makes a worker's container anew as it should be and waits until it has joined."""
        since = time.time()
        self.make_worker(worker)
        groups.wait_joined(self.drill, group_of(worker), since=since)

    def restart_workers(self) -> None:
        """Restarts all running workers at once: quicker than waiting until each has found a broker that is back."""
        self.report("restarting the workers")
        running = [w for w in WORKERS if self._runs(w)]
        with ThreadPoolExecutor(max_workers=len(WORKERS)) as pool:
            list(pool.map(self._stop, running))
        for worker in running:
            groups.dismiss(self.drill, group_of(worker), worker)
        since = time.time()
        for worker in running:
            self.engine.start(self.drill, worker)
        for worker in running:
            groups.wait_joined(self.drill, group_of(worker), since=since)

    def _runs(self, worker: str) -> bool:
        try:
            return self.container(worker).status == "running"
        except NotFound:
            return False

    def _stop(self, worker: str) -> None:
        with connected() as engine:
            engine.stop(self.drill, worker, grace_seconds=2)

    def wait_crashed(self, worker: str = WORKER, times: int = 2, seconds: float = 60) -> None:
        """Returns once Docker has started the worker's container again so many times.

        Raises:
            Unreachable: it has not in that time.
        """
        self.report("waiting for its first crashes")
        self.wait(lambda: int(self.container(worker).attrs.get("RestartCount", 0)) >= times, "no crash", seconds)

    def wait_said(self, worker: str, words: str, seconds: float = 60) -> None:
        """Returns once the log of the worker's container holds these words.

        Raises:
            Unreachable: it does not in that time.
        """
        self.wait(lambda: words.encode() in self.container(worker).logs(), f"{worker} does not say {words!r}", seconds)

    def wait_rows(self, query: str, payments: Sequence[str], seconds: float = 60) -> None:
        """Returns once the query, which joins the table payments, gives a row for one of these payments.

        Raises:
            Unreachable: it does not in that time.
        """
        word = "AND" if "WHERE" in query else "WHERE"
        asked = f"{query} {word} payments.id = ANY(%s::uuid[])".encode()
        with self.database() as connection:
            self.wait(lambda: connection.execute(asked, (list(payments),)).fetchone(), "no row appears", seconds)

    def pay_each(self, count: int = 1) -> list[str]:
        """So many payments succeed on each of the three partitions; their ids."""
        return [payment for n in range(PARTITIONS) for payment in buy(self.drill, count, partition=n)]

    def start_stranger(self, name: str, program: str, environment: Mapping[str, str]) -> None:
        """Starts a container beside the system that runs one of the programs in worker/strangers."""
        ground = workers.ground(self.engine, lambda _: None)
        usual = workers.spec(self.drill, WORKER, ground)
        spec = Spec(
            service=name,
            image=usual.image,
            command=(usual.command[0], f"/app/worker/strangers/{program}.js"),
            user=usual.user,
            environment={"HOME": "/tmp", **environment},  # noqa: S108 - inside the container
            binds=usual.binds,
            working_dir="/app",
        )
        self.engine.remove(self.drill, name)
        self.engine.create(self.drill, spec)

    def protect(self, group: str = GROUP, topic: str = TOPIC) -> None:
        """Commits the log end where no offset is committed; the group must be empty.

        What is sent then waits for the worker and is not skipped by its start.
        """
        there = groups.committed(self.drill, group, topic)
        bare = {p: end for p, (_, end) in wire.ends(self.drill, topic).items() if p not in there}
        if bare:
            groups.commit(self.drill, group, topic, bare)

    def stop_protected(self) -> None:
        """Stops purchase-worker so that whatever comes now is still there for it when it starts."""
        self.stop_worker()
        self.protect()

    def protect_running(self) -> None:
        """The same under a worker that runs: it is restarted where a partition is without an offset."""
        if len(groups.committed(self.drill, GROUP, TOPIC)) < PARTITIONS:
            self.stop_protected()
            self.start_worker()

    def recover(self, payments: Iterable[str]) -> None:
        """Restarts purchase-worker, and sends again what still has no purchase under its eyes."""
        self.restart_worker()
        self.send_again(self.without_purchase(list(payments)))

    @contextlib.contextmanager
    def database(self, options: str = "") -> Iterator[psycopg.Connection]:
        """A connection to the drill's database that commits each statement.

        Raises:
            Unreachable: the database did not answer, or not well.
        """
        try:
            with psycopg.connect(
                self.drill.dsn, connect_timeout=5, autocommit=True, options=options or None
            ) as connection:
                yield connection
        except psycopg.Error as error:
            raise Unreachable(f"the drill's database: {error}", system="database") from error

    def run(self, *statements: str) -> None:
        """Runs the statements, each in a transaction of its own."""
        with self.database() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def as_superuser(self, statement: str) -> None:
        """Runs a statement through the database's own socket, which asks for no password.

        Raises:
            Unreachable: it was not run, or not well.
        """
        psql = '"$PROGRAMS"/psql -qX -v ON_ERROR_STOP=1 -h /tmp -U "$DB_USER" -d "$DB_NAME" -c "$0"'
        with translated("running psql in the database's container"):
            done: Any = self.container(POSTGRES).exec_run(["/bin/sh", "-c", psql, statement])
        if done.exit_code:
            raise Unreachable(f"the drill's database: {done.output.decode(errors='replace')}", system="database")

    def drop_sessions(self, connection: psycopg.Connection) -> None:
        """Ends the workers' sessions, as a fail-over does; they come again."""
        connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name LIKE 'koding-caravan-%' AND datname = current_database()"""
        )

    def without_purchase(self, payments: Sequence[str]) -> list[str]:
        """Those of the payments that succeeded and whose student has no active purchase of their course, in order."""
        with self.database() as connection:
            return unsettled(connection, payments)

    def wait_purchased(self, payments: Sequence[str], seconds: float = 60) -> None:
        """Returns once each of the payments has its purchase.

        Raises:
            Unreachable: one has not in that time.
        """
        self.wait(lambda: not self.without_purchase(payments), "a payment has no purchase", seconds)

    def send_again(self, payments: Sequence[str]) -> None:
        """Sends the events of these payments once more, as payment-service should have done.

        Raises:
            Unreachable: the broker did not take them all.
        """
        if payments:
            with self.database() as connection:
                emit(self.drill, connection, payments)

    def announce_again(self, payments: Sequence[str]) -> None:
        """Sends a PURCHASE_CREATED for the purchase of each of these payments that has no trainer."""
        with self.database() as connection:
            announce(self.drill, unannounced(connection, payments))

    def wait(self, holds: Callable[[], object], otherwise: str, seconds: float = 20) -> None:
        """Returns once it holds.

        Raises:
            Unreachable: it does not in that time.
        """
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise Unreachable(f"{otherwise} after {seconds:.0f} s", system="drill")
            time.sleep(0.2)


def group_of(worker: str) -> str:
    """The consumer group of a worker of the flow."""
    stage = FLOW.stage_of_worker(worker)
    assert stage is not None, worker  # noqa: S101 - the table of faults names workers of the flow only
    return stage.group

"""One connection to PostgreSQL that never makes its caller wait beyond the deadline.

libpq's own time-outs are not enough: connect_timeout is at least 2 s and does not cover name resolution, and
statement_timeout is kept by the server, which may be the very thing that hangs. So connecting happens in a thread that
can be left behind, and a watchdog shuts the socket of a connection that is waited for too long.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import psycopg
from psycopg.types.json import set_json_loads

from kcfix.adapters.postgres_address import ELSEWHERE, Address
from kcfix.adapters.postgres_errors import NOT_VERIFIED, connect_error, statement_error, timed_out
from kcfix.adapters.postgres_json import loads
from kcfix.adapters.postgres_tls import distrust

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]
Parameters = Sequence[Any] | Mapping[str, Any]

_READ = """BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL statement_timeout = {milliseconds}; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'"""


class Link:
    """A connection, opened when first needed and again when it was lost. One caller at a time; others wait."""

    def __init__(self, address: Address, timeout_seconds: float, connect_timeout_seconds: float | None = None) -> None:
        self.address = address
        self.timeout_seconds = timeout_seconds
        self._connect_seconds = min(timeout_seconds, connect_timeout_seconds or timeout_seconds)
        self._connection: Connection | None = None
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def reading(self, doing: str) -> Iterator[Cursor]:
        """A cursor in one read-only snapshot; all that happens inside has the deadline together.

        Raises:
            Unreachable: no answer, or not in time; nothing was changed.
        """
        deadline = time.monotonic() + self.timeout_seconds
        with self._lock:
            connection = self._begin_reading(deadline, doing)
            with self.watched(connection, deadline - time.monotonic()) as watchdog:
                try:
                    with connection.cursor() as cursor:
                        yield cursor
                    connection.execute("COMMIT")
                except psycopg.Error as error:
                    self.drop()
                    if watchdog.bitten:
                        raise timed_out(self.address, doing, self.timeout_seconds) from error
                    raise statement_error(error, self.address, doing, self.timeout_seconds) from error
                except BaseException:
                    self.drop()
                    raise

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """The connection itself, checked to be alive, for a transaction of the caller's own.

        Raises:
            Unreachable: no connection; nothing was changed.
        """
        with self._lock:
            deadline = time.monotonic() + self.timeout_seconds
            connection = self._begin_reading(deadline, "connecting")
            try:
                with self.watched(connection, deadline - time.monotonic()):
                    connection.execute("ROLLBACK")
            except psycopg.Error as error:
                self.drop()
                raise statement_error(error, self.address, "connecting", self.timeout_seconds) from error
            yield connection

    @contextlib.contextmanager
    def watched(self, connection: Connection, seconds: float) -> Iterator[Watchdog]:
        """Until the block ends, a watchdog shuts the connection's socket after so many seconds."""
        watchdog = Watchdog(connection, max(seconds, 0.0))
        try:
            yield watchdog
        finally:
            watchdog.stop()
            if watchdog.bitten:
                self.drop()

    def drop(self) -> None:
        """Close the connection, if there is one; the next call opens another. An open transaction is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self.drop()

    def _begin_reading(self, deadline: float, doing: str) -> Connection:
        """A connection in a fresh reading transaction. One that the server closed while idle is opened anew."""
        used = self._connection
        if used is not None and not used.closed:
            try:
                return self._begin(used, deadline, doing)
            except psycopg.Error:
                self.drop()
        self._connection = connect(self.address, min(self._connect_seconds, deadline - time.monotonic()))
        try:
            return self._begin(self._connection, deadline, doing)
        except psycopg.Error as error:
            self.drop()
            raise statement_error(error, self.address, doing, self.timeout_seconds) from error

    def _begin(self, connection: Connection, deadline: float, doing: str) -> Connection:
        left = deadline - time.monotonic()
        with self.watched(connection, left) as watchdog:
            try:
                # A little less than the watchdog's, so that a live server says itself what it gave up.
                connection.execute(_READ.format(milliseconds=max(1, int(left * 900))).encode())
            except psycopg.Error as error:
                if watchdog.bitten:
                    raise timed_out(self.address, doing, self.timeout_seconds) from error
                raise
        return connection


class Watchdog:
    """Shuts a connection's socket after some seconds, which wakes whoever waits for an answer on it."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.bitten = False
        self._over = False
        self._guard = threading.Lock()
        # A descriptor of its own: the connection may be closed, and its number used again, before the time is up.
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True
        self._timer.start()

    def _bite(self) -> None:
        with self._guard:
            if not self._over:
                self.bitten = True
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Let the connection be."""
        with self._guard:
            self._over = True
        self._timer.cancel()
        self._socket.close()


def connect(address: Address, timeout_seconds: float) -> Connection:
    """A new connection in autocommit, without prepared statements, so that it works through PgBouncer.

    Raises:
        Unreachable: no connection in so many seconds.
    """
    outcome = _in_thread(lambda: _connect(address))
    try:
        return outcome.result(timeout=max(0.0, timeout_seconds))
    except FutureTimeoutError:
        outcome.add_done_callback(_close_late)
        raise timed_out(address, "connecting", timeout_seconds) from None
    except psycopg.Error as error:
        raise connect_error(error, address, timeout_seconds) from error


def _connect(address: Address) -> Connection:
    parameters = dict(address.parameters)
    elsewhere = parameters.pop(ELSEWHERE, None)
    if elsewhere is not None:
        parameters["hostaddr"] = _resolved(elsewhere)
    # libpq's own words go into the message only after `connect_error` has sorted them.
    try:
        connection = psycopg.connect("", autocommit=True, prepare_threshold=None, **parameters)  # type: ignore[arg-type]
    except psycopg.OperationalError as error:
        if NOT_VERIFIED not in str(error):
            raise
        raise psycopg.OperationalError(f"{NOT_VERIFIED}: {distrust(parameters)}") from error
    set_json_loads(loads, connection)
    return connection


def _resolved(host: str) -> str:
    """The first address of a host."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise psycopg.OperationalError(f'could not translate host name "{host}"') from error
    return str(found[0][4][0])


def _in_thread(call: Callable[[], Connection]) -> Future[Connection]:
    """The call's outcome. A daemon thread, not a pool's: a pool is waited for when the program ends."""
    outcome: Future[Connection] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised again where the outcome is asked for
            outcome.set_exception(error)

    threading.Thread(target=run, name="kcfix-connect", daemon=True).start()
    return outcome


def _close_late(outcome: Future[Connection]) -> None:
    if outcome.exception() is None:
        outcome.result().close()

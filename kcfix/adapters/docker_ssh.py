"""A Docker Engine on another host: its socket, forwarded by the operator's own ssh for as long as kcfix runs.

The SDK's way over ssh wants a library that keeps keys and known hosts in its own manner. `ssh` itself knows the
operator's configuration, agent and jump hosts.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from kcfix.errors import AccessDenied, KcfixError, Obstacle, Unreachable, UsageError

_SOCKET = "/var/run/docker.sock"
_PAUSE = 0.02
_REFUSALS = ("Permission denied", "Host key verification failed", "Too many authentication failures")


class Tunnel:
    """A forwarded socket. The far end goes away with this process, however that ends."""

    def __init__(self, host: str, timeout: float) -> None:
        """Open it; returns when the socket is there.

        Raises:
            Unreachable, AccessDenied: ssh could not come to that host, in its own words.
            UsageError: no such URL, or there is no ssh here.
        """
        self._host = host
        self._folder = Path(tempfile.mkdtemp(prefix="kcfix-docker-"))
        self._socket = self._folder / "docker.sock"
        try:
            # What ssh runs there ends when its input does, and its input ends with this process.
            self._ssh = subprocess.Popen(  # noqa: S603 - no shell, and a host that begins with a dash is refused
                [*_command(host, self._socket, timeout), "cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # Ctrl-C is for kcfix, which still has to ask what became of a change.
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        try:
            self._wait(timeout)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Where the engine is reached on this host."""
        return f"unix://{self._socket}"

    def close(self) -> None:
        """Let go of it."""
        for pipe in (self._ssh.stdin, self._ssh.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._ssh.terminate()
        try:
            self._ssh.wait(2)
        except subprocess.TimeoutExpired:
            self._ssh.kill()
            self._ssh.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while not self._socket.exists():
            if self._ssh.poll() is not None:
                raise self._error()
            if time.monotonic() > end:
                raise Unreachable(
                    f"ssh to {self._host} did not come through within {timeout:g} s",
                    system="docker",
                    obstacle=Obstacle.TIMEOUT,
                )
            time.sleep(_PAUSE)

    def _error(self) -> KcfixError:
        told = self._ssh.stderr.read().decode(errors="replace") if self._ssh.stderr else ""
        last = next((line.strip() for line in reversed(told.splitlines()) if line.strip()), "it ended without a word")
        kind = AccessDenied if any(word in told for word in _REFUSALS) else Unreachable
        hint = f"try it by itself: {' '.join(_words(self._host))}"
        words = f"Docker at {self._host} can't be reached by ssh: {last}"
        return kind(words, system="docker", hint=hint, obstacle=_obstacle(told))


def _obstacle(told: str) -> Obstacle | None:
    """What stood in the way, by ssh's own words."""
    for word, obstacle in (
        ("Could not resolve hostname", Obstacle.NAME),
        ("Connection refused", Obstacle.REFUSED),
        ("No route to host", Obstacle.NO_ROUTE),
        ("timed out", Obstacle.TIMEOUT),
        *((word, Obstacle.AUTHENTICATION) for word in _REFUSALS),
    ):
        if word in told:
            return obstacle
    return None


def _words(host: str) -> list[str]:
    parts = urlsplit(host)
    try:
        port = parts.port
    except ValueError:
        port = 0
    # A name that begins with a dash would be an option to ssh.
    if not parts.hostname or parts.hostname.startswith("-") or port == 0 or parts.password:
        raise UsageError(f"can't use the Docker host {host!r}", hint="ssh://USER@HOST, with :PORT if it is not 22")
    to = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
    return ["ssh", *(["-p", str(port)] if port else []), to]


def _command(host: str, socket: Path, timeout: float) -> list[str]:
    program = shutil.which("ssh")
    if program is None:
        raise UsageError("there is no ssh on this host, which a Docker host of the form ssh://… needs")
    _, *words = _words(host)
    far = urlsplit(host).path.rstrip("/") or _SOCKET
    options = ("BatchMode=yes", "ExitOnForwardFailure=yes", f"ConnectTimeout={max(1, round(timeout))}")
    set_ = [word for option in options for word in ("-o", option)]
    return [program, "-T", "-x", *set_, "-L", f"{socket}:{far}", *words]

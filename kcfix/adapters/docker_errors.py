"""Failures of the Docker library, said in kcfix's words."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPException, IncompleteRead, RemoteDisconnected

import docker.errors
import requests.exceptions
import urllib3.exceptions

from kcfix.errors import AccessDenied, KcfixError, NotFound, Obstacle, OutcomeUnknown, Refused, Unreachable

LIBRARY_ERRORS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
)
"""All that the library lets out when the engine, or the way to it, fails. ValueError: an answer that is no JSON."""

_OBSTACLES: tuple[tuple[tuple[type[BaseException], ...], Obstacle], ...] = (
    ((socket.gaierror,), Obstacle.NAME),
    ((ssl.SSLError, requests.exceptions.SSLError), Obstacle.TLS),
    ((ConnectionError, RemoteDisconnected), Obstacle.CLOSED),
)
_NEVER_SENT = (FileNotFoundError, ConnectionRefusedError, PermissionError, BlockingIOError)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and the errors inside its arguments (urllib3 hides the OSError there)."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting.extend(e for e in (*one.args, one.__cause__, one.__context__) if isinstance(e, BaseException))


def _is_timeout(error: BaseException) -> bool:
    kinds = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    return any(isinstance(e, kinds) for e in _causes(error))


def _find(error: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    return next((e for e in _causes(error) if isinstance(e, kinds)), None)


def _explanation(error: docker.errors.APIError) -> str:
    text = str(error.explanation or error).strip()
    return " ".join(text.split())


def reading(error: BaseException, where: str, doing: str, seconds: float) -> KcfixError:
    """The failure of a read: nothing was changed. `where` is the engine's address, `doing` what was being tried."""
    if isinstance(error, docker.errors.NotFound):
        return NotFound(f"Docker at {where} has no such container ({doing}): {_explanation(error)}")
    if isinstance(error, docker.errors.APIError):
        if error.status_code in (401, 403):
            return _denied(where, doing, _explanation(error), hint=None)
        said = _explanation(error)
        plain = "HTTP request to an HTTPS server" in said
        return Unreachable(
            f"Docker at {where} {'wants TLS, and none is set' if plain else 'failed'} while {doing}: {said}",
            system="docker",
            hint=_TLS if plain else None,
            obstacle=Obstacle.TLS if plain else None,
        )
    if _find(error, (PermissionError,)):
        return _denied(where, doing, "permission denied")
    if _find(error, (FileNotFoundError,)):
        return Unreachable(
            f"no Docker socket at {where} ({doing})",
            system="docker",
            hint="start Docker on this machine, or name another engine with --docker-host or DOCKER_HOST",
            obstacle=Obstacle.ABSENT,
        )
    if _find(error, (ConnectionRefusedError,)):
        return Unreachable(
            f"the Docker engine at {where} does not run: connection refused ({doing})",
            system="docker",
            hint="sudo systemctl start docker" if where.startswith("unix:") else None,
            obstacle=Obstacle.REFUSED,
        )
    if _find(error, (BlockingIOError,)):
        return Unreachable(
            f"the Docker engine at {where} takes no connections: too many wait already ({doing})",
            system="docker",
            hint="a hung engine: see `sudo journalctl -u docker`",
        )
    if _is_timeout(error):
        return Unreachable(
            f"Docker at {where} did not answer within {seconds:g} s ({doing})",
            system="docker",
            hint="a hung engine: see `sudo journalctl -u docker`; --timeout gives it longer",
            obstacle=Obstacle.TIMEOUT,
        )
    if told := _tls_trouble(error):
        return Unreachable(f"Docker at {where}: {told} ({doing})", system="docker", hint=_TLS, obstacle=Obstacle.TLS)
    if told := _no_answer_of_dockers(error):
        obstacle = next((of for kinds, of in _OBSTACLES if _find(error, kinds)), None)
        return Unreachable(f"Docker at {where}: {told} ({doing})", system="docker", obstacle=obstacle)
    cause = next((e for e in _causes(error) if isinstance(e, OSError) and e.errno in errno.errorcode), error)
    obstacle = next((of for kinds, of in _OBSTACLES if _find(error, kinds)), None)
    told = f"Docker at {where} can't be reached ({doing}): {_line(cause)}"
    return Unreachable(told, system="docker", obstacle=obstacle)


_TLS = "ca.pem, cert.pem and key.pem: in DOCKER_CERT_PATH with DOCKER_TLS_VERIFY=1, or in the docker context"


def _tls_trouble(error: BaseException) -> str | None:
    """What is wrong with the TLS connection; None where that is not the trouble."""
    for cause in _causes(error):
        text = str(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if "certificate required" in text.lower() or "CERTIFICATE_REQUIRED" in text:
            return "it demands a client certificate, and none is set"
        if isinstance(cause, ssl.SSLError) and "ALERT" in text and "CERTIFICATE" in text:
            return f"it refused the client certificate: {_line(cause)}"
    return None


def _no_answer_of_dockers(error: BaseException) -> str | None:
    """What is wrong with the bytes that came; None if that was not the trouble."""
    if _find(error, (ssl.SSLError, requests.exceptions.SSLError)):
        return None  # a certificate that is not right is a ValueError as well
    if _find(error, (ConnectionResetError, BrokenPipeError, RemoteDisconnected)):
        return "the connection was closed without an answer"
    if _find(error, (IncompleteRead,)):
        return "its answer broke off"
    if _find(error, (HTTPException, ValueError)):
        return "what it answers is not Docker's; does an engine listen there, and with or without TLS?"
    return None


def changing(error: BaseException, where: str, doing: str, seconds: float) -> KcfixError:
    """The failure of a change: Unreachable where it was never sent, Refused where the engine said no, else unknown."""
    if isinstance(error, docker.errors.NotFound):
        return reading(error, where, doing, seconds)
    if isinstance(error, docker.errors.APIError) and error.status_code is not None:
        if error.status_code in (401, 403):
            return _denied(where, doing, _explanation(error), hint=None)
        return Refused(f"Docker would not do it ({doing}): {_explanation(error)}")
    if _find(error, _NEVER_SENT) or isinstance(error, requests.exceptions.ConnectTimeout):
        return reading(error, where, doing, seconds)
    why = f"no answer within {seconds:g} s" if _is_timeout(error) else _line(error)
    return OutcomeUnknown(
        f"{doing} was sent to Docker at {where} and not answered ({why}): it may or may not have happened",
        hint="kcfix status",
    )


_JOIN = "run it with sudo, or join the group docker and log in anew: sudo usermod -aG docker $USER"


def _denied(where: str, doing: str, why: str, *, hint: str | None = _JOIN) -> AccessDenied:
    return AccessDenied(
        f"no right to use Docker at {where} ({doing}): {why}", system="docker", obstacle=Obstacle.RIGHT, hint=hint
    )


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__

"""A client of Docker's library for one engine: its options, its API version, and the first word with the engine."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

import docker.errors
import docker.utils
import requests
from docker import APIClient
from docker.constants import DEFAULT_DOCKER_API_VERSION
from docker.tls import TLSConfig

from kcfix.adapters.docker_context import Tls
from kcfix.adapters.docker_deadline import within
from kcfix.adapters.docker_errors import LIBRARY_ERRORS, reading
from kcfix.errors import UsageError

AT_ONCE = 8
"""Connections that are kept open at most."""
_FIRST_VERSION = "1.41"
"""Of the API, for the very first request, which has no version in it; then the engine's own."""
_PIN = "DOCKER_API_VERSION"


def connected(
    url: str, reached: str, timeout: float, environment: Mapping[str, str], tls: Tls | None
) -> tuple[APIClient, Mapping[str, Any]]:
    """A client that has talked to the engine, and the options by which more of them are made.

    `url` is the engine as errors name it, `reached` where it is reached: a tunnel leads elsewhere.

    Raises:
        UsageError: the host can't be understood.
        Unreachable, AccessDenied: as `open_docker`.
    """
    wish = pinned(environment).get(_PIN)
    try:
        # Without a version the library would ask for it by /version, for which the engine runs two other programs.
        options: dict[str, Any] = {
            **docker.utils.kwargs_from_env({**({} if tls else environment), "DOCKER_HOST": reached}),
            **({"tls": _config(tls)} if tls is not None else {}),
            "version": wish or _FIRST_VERSION,
            "timeout": timeout,
            "max_pool_size": AT_ONCE,
        }
        client = client_of(options)
    except (docker.errors.DockerException, ValueError, AttributeError) as error:  # The last: npipe, off Windows.
        raise UsageError(
            f"can't use the Docker host {url!r}: {error}",
            hint="unix:///var/run/docker.sock, tcp://HOST:PORT or ssh://USER@HOST",
        ) from error
    try:
        knock(reached, timeout)
        told = within(timeout, partial(_version, client, timeout))
        version = wish or _both_know(told)
        if version != options["version"]:
            client.close()
            options["version"] = version
            client = client_of(options)
    except LIBRARY_ERRORS as error:
        client.close()
        raise reading(error, url, "connecting", timeout) from error
    return client, options


def client_of(options: Mapping[str, Any]) -> APIClient:
    """A client of the library with these options; nothing is sent yet."""
    client = APIClient(**options)
    if options.get("tls"):
        # Of the environment requests would also take whom to trust (CURL_CA_BUNDLE), over the engine's own authority.
        client.proxies.update(requests.utils.get_environ_proxies(client.base_url))
        client.trust_env = False
    return client


def pinned(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The version of the API that the environment insists on, under its variable; empty where it does not."""
    return {_PIN: environment[_PIN]} if environment.get(_PIN) else {}


def _both_know(told: str) -> str:
    """The newest API of an engine that the library knows as well: what comes later may mean something else."""
    return min(told, DEFAULT_DOCKER_API_VERSION, key=_numbers)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".") if number.isdecimal())


def _config(tls: Tls) -> TLSConfig:
    """As the library wants it. It raises where a file is missing or the certificate has no key."""
    pair = (str(tls.certificate), str(tls.key)) if tls.certificate and tls.key else None
    return TLSConfig(client_cert=pair, ca_cert=str(tls.ca) if tls.ca else None, verify=tls.verify)


def _version(client: APIClient, timeout: float) -> str:
    answer = client.get(f"{client.base_url}/_ping", timeout=timeout)
    raise_for_status(answer)
    return str(answer.headers.get("Api-Version", _FIRST_VERSION))


def raise_for_status(response: requests.Response) -> None:
    """As the library does for its own requests: what the engine says, in place of the mere number."""
    try:
        response.raise_for_status()
    except requests.HTTPError as error:
        raise docker.errors.create_api_error_from_http_exception(error) from error


def knock(url: str, timeout: float) -> None:
    """Connects to a local socket and leaves: where the library fails at that it forgets to close its end."""
    if url.startswith("unix:"):
        path = "/" + url.removeprefix("unix:").lstrip("/")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout)
            probe.connect(path)

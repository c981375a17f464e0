"""Which Docker engines are meant, and the opening of them: one, several, or none at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kcfix.errors import Obstacle, Unreachable
from kcfix.services.loading import ONE_LOADS
from kcfix.settings import Settings, Source
from kcfix.settings.files import home_folder
from kcfix.settings.parse import NONE

if TYPE_CHECKING:
    from kcfix.adapters.docker_context import Endpoint
    from kcfix.core.ports.docker import DockerPort

_STRENGTH = (Source.FLAG, Source.ENVIRONMENT, Source.FILE, Source.DISCOVERED, Source.DEFAULT)
_FROM_ENVIRONMENT = ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION")


def is_none(settings: Settings) -> bool:
    """Whether it is said that there is no Docker."""
    return settings.docker_host == NONE and not _by_context(settings)


def is_local(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether the engine is one on this host, so that addresses of its containers are reached from here.

    Raises:
        NotFound, UsageError: the Docker context can't be found or read.
    """
    if is_none(settings):
        return False
    return all(one.url is None or one.url.startswith("unix://") for one in endpoints(settings, environ))


def open_engines(settings: Settings, environ: Mapping[str, str]) -> DockerPort:
    """The engine that is meant, or several of them as one.

    Raises:
        Unreachable: it does not answer, or it is said that there is none. NotFound: there is no such Docker context.
    """
    if is_none(settings):
        from kcfix.core.workers import NO_DOCKER

        raise Unreachable(
            f'{NO_DOCKER} (docker_host = "none"), and workers are judged by their groups alone',
            system="docker",
            obstacle=Obstacle.ABSENT,
            hint="look and act where the workers run: docker compose logs --tail 50 WORKER",
        )
    with ONE_LOADS:
        from kcfix.adapters.docker import open_docker
        from kcfix.adapters.docker_fleet import Fleet

    timeout = settings.timeout.total_seconds()
    told = {name: environ[name] for name in _FROM_ENVIRONMENT if name in environ}
    found = endpoints(settings, environ)
    if len(found) == 1:
        return open_docker(found[0].url, timeout, told, tls=found[0].tls)
    return Fleet(
        [
            (label, partial(open_docker, one.url, timeout, told, tls=one.tls))
            for label, one in zip(_labels(found), found, strict=True)
        ]
    )


def endpoints(settings: Settings, environ: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Where the engines are: at least one.

    Raises:
        NotFound, UsageError: the Docker context can't be found or read.
    """
    from kcfix.adapters.docker_context import Endpoint, current_context, endpoint, folder_of

    # A variable may not lead a context that was chosen by name to other files.
    folder = folder_of({} if settings.named else environ, home_folder(environ))
    if _by_context(settings):
        return tuple(endpoint(name, folder) for name in (settings.docker_context or "").split(","))
    if settings.docker_host is not None:
        return tuple(Endpoint(url) for url in settings.docker_host.split(","))
    chosen = None if settings.named else current_context(folder)
    return (endpoint(chosen, folder) if chosen else Endpoint(None),)


def _by_context(settings: Settings) -> bool:
    """Whether the context of the `docker` command counts: unless a host is given, as strongly or more so."""
    if settings.docker_context is None:
        return False
    host, context = (settings.origin(name).source for name in ("docker_host", "docker_context"))
    return settings.docker_host is None or _STRENGTH.index(context) < _STRENGTH.index(host)


def _labels(found: tuple[Endpoint, ...]) -> list[str]:
    """What the hosts are called: by their name where it tells them apart, else by their whole address."""
    urls = [one.url or "unix:///var/run/docker.sock" for one in found]
    names = [urlsplit(url).hostname or url for url in urls]
    often = Counter(names)
    return [name if often[name] == 1 else url for name, url in zip(names, urls, strict=True)]

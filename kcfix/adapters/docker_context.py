"""The contexts of the `docker` command: names for engines, with their certificates, in files that it keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kcfix.errors import NotFound, UsageError

DEFAULT = "default"
"""The context that stands in no file: the local socket."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a TLS connection."""

    ca: Path | None
    certificate: Path | None
    key: Path | None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine is, and how it is reached."""

    url: str | None
    """None: the local socket."""
    tls: Tls | None = None
    """None: no TLS but what the environment says."""


def folder_of(environ: Mapping[str, str], home: Path) -> Path:
    """Where the `docker` command keeps its files."""
    return Path(environ["DOCKER_CONFIG"]) if environ.get("DOCKER_CONFIG") else home / ".docker"


def current_context(folder: Path) -> str | None:
    """The context that `docker context use` chose; None for the default one.

    Raises:
        UsageError: the file can't be read.
    """
    name = _json(folder / "config.json").get("currentContext")
    return str(name) if name and name != DEFAULT else None


def endpoint(name: str, folder: Path) -> Endpoint:
    """The engine of a context.

    Raises:
        NotFound: there is no such context.
        UsageError: its file can't be read, or names no Docker engine.
    """
    if name == DEFAULT:
        return Endpoint(None)
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts" / "meta" / digest / "meta.json"
    if not meta.is_file():
        known = ", ".join((DEFAULT, *_names(folder)))
        raise NotFound(f"Docker: there is no context {name!r} in {folder}", hint=f"known: {known}; docker context ls")
    told = _mapping(_mapping(_json(meta).get("Endpoints")).get("docker"))
    host = told.get("Host")
    if not isinstance(host, str) or not host:
        raise UsageError(f"the Docker context {name!r} names no engine ({meta})")
    files = folder / "contexts" / "tls" / digest / "docker"
    ca, certificate, key = (_there(files / file) for file in ("ca.pem", "cert.pem", "key.pem"))
    unchecked = bool(told.get("SkipTLSVerify"))
    if ca is None and certificate is None and not unchecked:
        return Endpoint(host)
    return Endpoint(host, Tls(ca, certificate, key, verify=not unchecked))


def _names(folder: Path) -> list[str]:
    found = (_json(path).get("Name") for path in (folder / "contexts" / "meta").glob("*/meta.json"))
    return sorted(str(name) for name in found if name)


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"can't read the `docker` command's file {path}: {error}") from error

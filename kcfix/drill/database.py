"""The drill's database: the host's own PostgreSQL server programs in a container, or an image."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from kcfix.drill import image
from kcfix.drill.engine import Bind, Engine, Spec
from kcfix.drill.image import Ground
from kcfix.drill.state import DATABASE, DATABASE_USER, POSTGRES, Drill
from kcfix.errors import NotFound, Unreachable

IMAGES = ("postgres:15-alpine",)
START_TIMEOUT_SECONDS = 60
_FOLDER = "/opt/drill-database"

_START = """set -e
PATH="$PROGRAMS:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export PATH
unset PGDATA
if [ ! -f "$DATA"/whole/PG_VERSION ]; then
  rm -rf "$DATA"/new
  initdb -D "$DATA"/new -U "$DB_USER" --pwfile=/opt/drill-database/password --auth-host=scram-sha-256 \
    --auth-local=trust --encoding=UTF8 --locale=C --no-sync >/dev/null
  echo "host all all all scram-sha-256" >> "$DATA"/new/pg_hba.conf
  echo "CREATE DATABASE $DB_NAME" | postgres --single -D "$DATA"/new postgres >/dev/null
  mv "$DATA"/new "$DATA"/whole
fi
exec postgres -D "$DATA"/whole -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off \
  -c log_timezone=UTC -c timezone=UTC -c max_connections=200
"""


def programs() -> Path | None:
    """The folder of the newest PostgreSQL server programs on the host; None if there are none."""
    found = [p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/initdb") if (p.parent / "postgres").exists()]
    found += [p.parent for p in (Path("/usr/bin/initdb"), Path("/usr/pgsql/bin/initdb")) if p.exists()]
    return max(found, key=_version, default=None)


def ground(engine: Engine, progress: Callable[[str], None]) -> Ground:
    """The host's server programs, else an image.

    Raises:
        NotFound: neither can be had.
    """
    if programs() is not None:
        return image.host(engine)
    progress("looking for an image of PostgreSQL")
    found = image.pulled(engine, *IMAGES)
    if found is None:
        raise NotFound("no PostgreSQL server programs on this machine and no image of them", hint="make setup")
    return found


def write_files(drill: Drill) -> None:
    """Put the start script and the password into the data folder."""
    at = drill.data_folder / POSTGRES
    at.mkdir(exist_ok=True)
    at.chmod(0o755)
    for name, text in (("start.sh", _START), ("password", drill.password + "\n")):
        (at / name).write_text(text, encoding="utf-8")
        (at / name).chmod(0o644)  # the server's user must read it; the data folder itself is closed to others


def spec(drill: Drill, ground: Ground) -> Spec:
    """The database's container. It carries no Compose label: the real database is none of Compose's services."""
    at = programs() if ground.borrowed else None
    data = "/data/postgres" if ground.borrowed else "/var/lib/postgresql/data"
    return Spec(
        service=POSTGRES,
        image=ground.image,
        command=("/bin/sh", f"{_FOLDER}/start.sh"),
        user="1003:1003" if ground.borrowed else "postgres",
        environment={
            "PROGRAMS": str(at or "/usr/local/bin"),
            "DB_USER": DATABASE_USER,
            "DB_NAME": DATABASE,
            "DATA": data,
        },
        binds=(*ground.binds, Bind(str(drill.data_folder / POSTGRES), _FOLDER)),
        volume=(drill.volume(POSTGRES), data),
        port=(5432, drill.postgres_port),
    )


def wait_until_ready(drill: Drill, alive: Callable[[], None], timeout_seconds: float = START_TIMEOUT_SECONDS) -> None:
    """Return once the database lets its user in.

    `alive` is called between tries and raises where the container has ended.

    Raises:
        Unreachable: it does not answer in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            psycopg.connect(drill.dsn, connect_timeout=3).close()
        except psycopg.OperationalError as error:
            alive()
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"the drill's database did not answer within {timeout_seconds:.0f} s", system="database"
                ) from error
            time.sleep(0.2)
        else:
            return


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", str(folder))) or (0,)

"""The doctor's advice and deadlines on a real system: each made by its cause, told, and gone once its line was run."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from docker.models.containers import Container
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from kcfix.drill import workers
from kcfix.drill.buy import buy
from kcfix.drill.checkout import PARTITIONS
from kcfix.drill.engine import connected
from kcfix.drill.faults.site import TOPIC, WORKER, Site
from kcfix.drill.network import kafka_settings
from kcfix.drill.state import Drill
from tests.real import repair_world
from tests.real.conftest import Kcfix, eventually
from tests.real.repair_world import purchases

system, database = repair_world.system, repair_world.database
DAY_MS = 86_400_000
Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def site(system: Drill) -> Iterator[Site]:
    with connected() as opened:
        yield Site(system, opened)


@pytest.fixture
def kcfix(system: Drill, tmp_path: Path) -> Kcfix:
    """Payments are overdue at once, so that nobody waits a minute."""
    return Kcfix(tmp_path, f"drill:{system.name}", {"KCFIX_OVERDUE": "1s"})


def finding(kcfix: Kcfix, code: str) -> Row | None:
    """The first finding of that code at one look; None if there is none."""
    return next(
        (row for row in kcfix("doctor", "-o", "json").rows if row.get("code") == code and "action" in row), None
    )


@contextmanager
def configured(drill: Drill, **config: int) -> Iterator[None]:
    """purchase-confirmed has these settings."""
    names = {name.replace("_", "."): str(value) for name, value in config.items()}

    def alter(how: str) -> None:
        wanted = ConfigResource(ConfigResourceType.TOPIC, TOPIC, configs={n: (how, v) for n, v in names.items()})
        with closing(KafkaAdminClient(**kafka_settings(drill))) as admin:
            admin.alter_configs([wanted])

    alter("SET")
    try:
        yield
    finally:
        alter("DELETE")


@contextmanager
def instances(site: Site, count: int) -> Iterator[None]:
    """So many more containers of the worker, as `docker compose up --scale` makes them."""
    usual = workers.spec(site.drill, WORKER, workers.ground(site.engine, lambda _: None))
    made: list[Container] = []

    def start(number: int) -> Container:
        return site.engine.client.containers.run(
            usual.image,
            list(usual.command),
            name=f"{site.drill.container(WORKER)}-{number}",
            user=usual.user,
            environment=dict(usual.environment),
            volumes={b.source: {"bind": b.target, "mode": "ro"} for b in usual.binds},
            labels={**site.drill.labels, **usual.labels, "com.docker.compose.container-number": str(number)},
            network=site.drill.network,
            working_dir=usual.working_dir,
            entrypoint=[],
            detach=True,
        )

    try:
        made.extend(start(number) for number in range(2, count + 2))
        yield
    finally:
        for one in made:
            one.stop(timeout=15)
            one.remove(force=True, v=True)


def test_a_crash_that_is_final_is_told_and_its_line_mends_it(site: Site, kcfix: Kcfix) -> None:
    subprocess.run(["docker", "update", "--restart", "no", str(site.container(WORKER).name)], check=True)
    found = finding(kcfix, "C007")
    assert found is not None
    assert found["severity"] == "ADVICE"
    [line] = [one for one in found["action"] if one.startswith("docker update")]
    subprocess.run(line.split(), check=True, capture_output=True)
    assert finding(kcfix, "C007") is None
    assert site.container(WORKER).attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_a_container_that_is_older_than_its_compose_file_is_told(site: Site, kcfix: Kcfix) -> None:
    file = site.drill.compose_file
    before = file.stat()
    assert finding(kcfix, "C014") is None
    os.utime(file, (time.time() + 10, time.time() + 10))
    try:
        found = finding(kcfix, "C014")
    finally:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found is not None
    assert str(file) in found["cause"]
    assert found["action"][0].startswith("docker compose")
    assert found["action"][0].endswith(f"up -d {WORKER}")


def test_more_instances_than_partitions_are_told(site: Site, kcfix: Kcfix) -> None:
    with instances(site, PARTITIONS):
        found = finding(kcfix, "C015")
    assert found is not None
    assert found["symptom"] == f"{PARTITIONS + 1} instances of {WORKER} share {PARTITIONS} partitions"
    assert found["action"] == [f"docker compose up -d --scale {WORKER}={PARTITIONS}"]


def test_messages_that_outlive_the_offsets_are_told(site: Site, kcfix: Kcfix) -> None:
    assert finding(kcfix, "G014") is None
    with configured(site.drill, retention_ms=30 * DAY_MS):
        found = finding(kcfix, "G014")
    assert found is not None
    assert found["action"][0].startswith(f"KAFKA_OFFSETS_RETENTION_MINUTES={30 * 24 * 60} ")


def test_what_waits_costs_money_has_a_deadline_and_a_time_to_catch_up(
    site: Site, kcfix: Kcfix, database: psycopg.Connection
) -> None:
    handled = buy(site.drill, 6, partition=0)  # a rate is known only of what was handled
    eventually(lambda: all(purchases(database, one) for one in handled), seconds=60)
    site.stop_protected()
    waiting = buy(site.drill, 4)
    with configured(site.drill, retention_ms=DAY_MS):
        cause, soon = eventually(lambda: (finding(kcfix, "W001"), finding(kcfix, "G013")))
    site.start_worker()
    assert cause is not None
    assert soon is not None
    row = database.execute(
        "SELECT currency, sum(amount_cents)::bigint FROM payments WHERE id = ANY(%s::uuid[]) GROUP BY 1", (waiting,)
    ).fetchone()
    assert row is not None
    impact = cause["impact"]
    assert impact["payments"] == len(waiting)
    assert impact["amounts_minor"] == {row[0]: row[1]}
    assert sorted(impact["payment_ids"]) == sorted(waiting)
    assert 0 < impact["catch_up_seconds"] < 60
    assert impact["deadline_at"] == soon["impact"]["deadline_at"]
    assert soon["explained_by"] == "W001"
    eventually(lambda: all(purchases(database, one) for one in waiting), seconds=60)

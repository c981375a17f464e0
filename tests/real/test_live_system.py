"""A system that carries no drill's label, on its host, with no configuration at all: kcfix finds it and repairs it.

It is made of a drill's own containers, made anew without the label and under another Compose project.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import psycopg
import pytest

from kcfix.drill.buy import buy
from kcfix.drill.down import down
from kcfix.drill.state import LABEL, WORKERS, Drill, Options
from kcfix.drill.up import up
from tests.real.conftest import Kcfix, eventually

PROJECT = "com.docker.compose.project"
SERVICES = ("kafka", "postgres", *WORKERS)


@pytest.fixture(scope="module")
def live(own_state: Path | None) -> Iterator[Drill]:
    """The drill that the live system was made from: its data, passwords and ports are the live system's."""
    name = f"live-{os.getpid()}"
    client = docker.from_env()
    made: list[str] = []
    network = f"{name}-network"
    try:
        drill = up(Options(name=name), lambda _: None)
        client.networks.create(network, driver="bridge")
        for service in reversed(SERVICES):
            client.containers.get(drill.container(service)).stop(timeout=10)
        for service in SERVICES:
            attrs = client.containers.get(drill.container(service)).attrs
            labels = {**attrs["Config"]["Labels"], LABEL: ""}  # the drill's image carries the label too
            if PROJECT in labels:
                labels[PROJECT] = f"{name}-live"
            config = {
                **attrs["Config"],
                "Hostname": "",
                "Labels": labels,
                "HostConfig": {**attrs["HostConfig"], "NetworkMode": network},
                "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [service]}}},
            }
            created = client.api.create_container_from_config(  # type: ignore[no-untyped-call]
                config, name=f"{name}-live-{service}"
            )
            made.append(created["Id"])
            client.api.start(created["Id"])
        yield drill
    finally:
        for container in made:
            client.containers.get(container).remove(force=True)
        for found in client.networks.list(names=[network]):
            found.remove()
        client.close()
        down(name)


@pytest.fixture
def kcfix(own_state: Path | None, tmp_path: Path) -> Kcfix:
    """Kcfix without context, settings file or variable."""
    return Kcfix(tmp_path)


def test_status_lag_and_repair_work_without_any_configuration(live: Drill, kcfix: Kcfix) -> None:
    with psycopg.connect(live.dsn, autocommit=True) as database:
        eventually(lambda: "STABLE" in kcfix("lag", "-g", "purchase-creation-workers").out, seconds=60, every=2)
        first = [buy(live, 1, partition=p)[0] for p in range(3)]
        eventually(lambda: _purchased(database, first) == 3)
        unsent = buy(live, 2, unemitted=True)
        dry = kcfix("repair", *unsent, "--older-than", "0s", "-o", "json")
        assert {r["action"] for r in dry.rows} == {"REPLAY"}, dry.out + dry.err
        done = kcfix("repair", *unsent, "--older-than", "0s", "--apply", "--yes")
        assert done.code == 0, done.out + done.err
        assert _purchased(database, unsent) == 2
    status = kcfix("status")
    assert "purchase-worker" in status.out
    assert live.password not in status.out + status.err
    assert status.code == 0, status.out + status.err


def _purchased(database: psycopg.Connection, ids: list[str]) -> int:
    row = database.execute(
        """select count(*) from payments p join student_course_purchases c on c.student_id = p.student_id
           and c.course_id::text = lower(p.metadata->>'courseId') where p.id::text = any(%s)""",
        (ids,),
    ).fetchone()
    return int(row[0]) if row else 0

"""Every payment gets its purchase once, however a worker and two repairs interleave and whoever of them is killed."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from kcfix.drill.state import Drill
from kcfix.flow import Flow
from tests.builders import uuid
from tests.conftest import TOLD
from tests.real.interleaving import KILL_STEPS, Case, Database, Played
from tests.real.interleaving_stage import Site
from tests.real.interleaving_troupe import Troupe
from tests.real.kafka_world import KafkaWorld
from tests.real.postgres_server import Server
from tests.real.postgres_world import postgres

__all__ = ["postgres"]
LEAST = 500
COUNT = max(1, int(os.environ.get("KCFIX_INTERLEAVINGS", LEAST)))
"""How many are played; at least 500 in the suite."""
ALONE = os.environ.get("KCFIX_INTERLEAVING", "")
"""The seed of the one that is to be played alone."""
COURSE = uuid(700)
_INDEX = (
    "CREATE UNIQUE INDEX unique_active_purchase ON student_course_purchases (student_id, course_id) WHERE is_active"
)


@pytest.fixture(scope="module")
def databases(postgres: Server) -> Iterator[list[Database]]:
    """One for each shape of processed_events, with and without unique_active_purchase."""
    with ExitStack() as stack:
        made = []
        for shape in "ABC":
            for index in (False, True):
                dsn = postgres.create(f"steps_{shape.lower()}_{index}".lower(), template=f"shape_{shape.lower()}")
                connection = stack.enter_context(psycopg.connect(dsn, autocommit=True))
                connection.execute("INSERT INTO courses (id, title) VALUES (%s, 'made up')", [COURSE])
                if index:
                    connection.execute(_INDEX)
                made.append(Database(dsn, shape, index, connection, COURSE))
        yield made


@pytest.mark.timeout(240 + 2 * COUNT)
def test_no_interleaving_of_worker_repairs_and_kills_loses_or_doubles_a_purchase(
    drill: Drill,
    databases: list[Database],
    postgres: Server,
    record_property: Callable[[str, object], None],
) -> None:
    world = KafkaWorld(drill)
    flow = Flow(purchase_confirmed=world.topic(), purchase_created=world.topic(), purchase_group=world.name("group"))
    played: list[Played] = []
    started = time.monotonic()
    # Those of one database come after each other, so that the actors keep their connections.
    seeds = [int(ALONE)] if ALONE else sorted(range(COUNT), key=lambda seed: seed % len(databases))
    with postgres.connect() as watch, closing(world.open()) as kafka:
        troupe = Troupe(Site(drill.brokers, drill.address_map, flow), watch)
        try:
            for seed in seeds:
                played.append(Case(seed, databases, kafka, flow, troupe).play())
                if sum(1 for p in played if p.problems) >= 5:
                    break
        finally:
            troupe.close()
            world.close()
    told = counts(played, time.monotonic() - started)
    record_property(TOLD, told)
    failed = [p for p in played if p.problems]
    assert not failed, "\n".join(map(str, failed))
    if not ALONE and COUNT >= LEAST:
        kills = Counter(step for p in played for step in p.kills)
        assert sum(kills.values()) >= 60
        assert {step: n for step in KILL_STEPS if (n := kills[step]) < 2} == {}


def counts(played: list[Played], seconds: float) -> str:
    """What is printed."""
    kills = Counter(step for p in played for step in p.kills)
    by_database = Counter(p.database for p in played)
    return "\n".join(
        [
            f"{len(played)} interleavings of {sum(p.payments for p in played)} payments in {seconds:.0f} s: "
            f"{sum(p.lost for p in played)} purchases lost, {sum(p.doubled for p in played)} doubled, "
            f"{sum(p.unannounced for p in played)} not announced",
            "  by processed_events and unique_active_purchase: "
            + ", ".join(f"{name} {n}" for name, n in sorted(by_database.items())),
            f"  {sum(kills.values())} processes killed by SIGKILL: "
            + ", ".join(f"{step} {kills[step]}" for step in KILL_STEPS),
        ]
    )

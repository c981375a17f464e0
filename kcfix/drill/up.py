"""Bring a drill up."""

from __future__ import annotations

from collections.abc import Callable

from kcfix.drill import broker, database, schema, state
from kcfix.drill.down import take_down
from kcfix.drill.engine import Engine, connected
from kcfix.drill.network import free_ports
from kcfix.drill.state import KAFKA, POSTGRES, Drill, Options
from kcfix.errors import Unreachable


def up(options: Options, progress: Callable[[str], None] = lambda _: None) -> Drill:
    """Make and start a whole drill; the one that is there, where it is ready and was made with the same options."""
    options = options.checked()
    with connected() as engine:
        there = state.find(options.name)
        if there is not None and there.ready:
            return there
        take_down(engine, options.name, progress)
        kafka_port, postgres_port = free_ports(2)
        drill = state.new(options, kafka_port=kafka_port, postgres_port=postgres_port)
        state.save(drill)
        try:
            _build(engine, drill, progress)
        except BaseException:
            take_down(engine, drill.name, progress)
            raise
        drill = state.as_ready(drill)
        state.save(drill)
        return drill


def _build(engine: Engine, drill: Drill, progress: Callable[[str], None]) -> None:
    engine.make_network(drill)
    for service in (KAFKA, POSTGRES):
        engine.make_volume(drill, service)
    broker.write_files(drill)
    database.write_files(drill)
    progress("starting Kafka")
    engine.create(drill, broker.spec(drill, broker.ground(engine, drill.kafka_version, progress), {}))
    progress("starting PostgreSQL")
    engine.create(drill, database.spec(drill, database.ground(engine, progress)))
    database.wait_until_ready(drill, lambda: _alive(engine, drill, POSTGRES))
    schema.apply(drill)
    broker.wait_until_ready(drill, lambda: _alive(engine, drill, KAFKA))


def _alive(engine: Engine, drill: Drill, service: str) -> None:
    container = engine.container(drill, service)
    if container.status != "running":
        last = container.logs(tail=5).decode(errors="replace").strip()
        raise Unreachable(f"{container.name} ended: {last}", system="docker")

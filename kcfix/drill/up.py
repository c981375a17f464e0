"""Bring a drill up: broker, database and workers, all or nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from kcfix.drill import broker, compose, context, database, schema, state, workers
from kcfix.drill.down import take_down
from kcfix.drill.engine import Engine, Spec, connected
from kcfix.drill.faults import broken
from kcfix.drill.network import free_ports
from kcfix.drill.state import POSTGRES, WORKERS, Drill, Options
from kcfix.errors import KcfixError, NotFound, Refused, Unreachable

Progress = Callable[[str], None]


def up(options: Options, progress: Progress = lambda _: None) -> Drill:
    """A whole drill, made and started; the one that is there, where it was made with the same options.

    Of the one that is there what does not run is started, unless it is broken on purpose. Nothing is left behind where
    it does not come up, or is interrupted.

    Raises:
        Refused: a whole drill of that name was made with other options, or another command is at work on it.
        Unreachable: Docker, or something that must be fetched once, did not answer.
        NotFound: a program that the drill needs is not installed.
    """
    options = options.checked()
    with connected() as engine, state.exclusive(options.name):
        there = state.find(options.name)
        if there is not None and there.ready:
            return _existing(engine, there, options, progress)
        take_down(engine, options.name, progress, keep_folder=True)
        postgres_port, kafka_port, *others = free_ports(1 + options.brokers)
        drill = state.new(options, kafka_port=kafka_port, postgres_port=postgres_port, other_kafka_ports=tuple(others))
        state.save(drill)
        try:
            _build(engine, drill, progress)
        except BaseException:
            take_down(engine, drill.name, progress)
            raise
        drill = state.as_ready(drill)
        state.save(drill)
        return drill


def _existing(engine: Engine, drill: Drill, options: Options, progress: Progress) -> Drill:
    if state.options_of(drill) != options:
        raise Refused(
            f"the drill {drill.name!r} is there with other options: Kafka {drill.kafka_version}, "
            f"{_brokers(drill)}, processed_events {drill.processed_events}, "
            f"{'with' if drill.unique_index else 'without'} unique index",
            hint=f"kcfix drill down --name {drill.name}",
        )
    faults = broken(drill)
    if faults:
        progress(f"left as it is, broken on purpose: {', '.join(f.name for f in faults)} (`kcfix drill mend`)")
        return drill
    running = {str(c.name) for c in engine.containers(drill.name) if c.status == "running"}
    if any(drill.container(service) not in running for service in drill.services):
        _start_again(engine, drill, running, progress)
    return drill


def _start_again(engine: Engine, drill: Drill, running: set[str], progress: Progress) -> None:
    """Start what does not run, as after a restart of the engine, and make what is missing; the data are kept."""
    specs = {spec.service: spec for spec in _specs(engine, drill, progress)}
    build = _Build(drill, progress)
    for services in ((*drill.kafka_ports, POSTGRES), WORKERS):
        for service in services:
            if drill.container(service) not in running:
                progress(f"starting {drill.container(service)} again")
                try:
                    engine.start(drill, service)
                except NotFound:
                    engine.create(drill, specs[service])
        if services is not WORKERS:
            broker.wait_until_ready(drill, lambda: build.alive(engine, *drill.kafka_ports))
            database.wait_until_ready(drill, lambda: build.alive(engine, POSTGRES))
    workers.wait_until_joined(drill, lambda: None, timeout_seconds=2 * workers.JOIN_TIMEOUT_SECONDS)


@dataclass(slots=True)
class _Build:
    """The making of one drill by several threads, each with its own connection to the engine."""

    drill: Drill
    progress: Progress
    broken: threading.Event = field(default_factory=threading.Event)

    def create(self, engine: Engine, spec: Spec) -> None:
        self.go_on()
        engine.create(self.drill, spec)

    def alive(self, engine: Engine, *services: str) -> None:
        """Raise where one of these has ended, or where another thread has failed."""
        self.go_on()
        for service in services:
            container = engine.container(self.drill, service)
            if container.status in ("exited", "dead", "restarting"):
                last = container.logs(tail=1).decode(errors="replace").strip()[:300]
                raise Unreachable(f"{container.name} ended: {last}", system="docker")

    def go_on(self) -> None:
        if self.broken.is_set():
            raise _BrokenOff("broken off")


class _BrokenOff(KcfixError):
    """Another thread failed first, or the operator pressed Ctrl-C; never seen outside."""


def _build(engine: Engine, drill: Drill, progress: Progress) -> None:
    build = _Build(drill, progress)
    specs = {spec.service: spec for spec in _specs(engine, drill, progress)}
    broker_specs = [specs[service] for service in drill.kafka_ports]
    worker_specs = [specs[service] for service in WORKERS]
    broker.write_files(drill)
    database.write_files(drill)
    workers.write_files(drill)
    compose.write(drill, [*broker_specs, *worker_specs])
    context.write(drill)
    engine.make_network(drill)
    for service in (*drill.kafka_ports, POSTGRES):
        engine.make_volume(drill, service)

    _together(build, lambda: _start_brokers(build, broker_specs), lambda: _start_database(build, specs[POSTGRES]))
    progress("starting the workers")
    _together(build, *(lambda spec=spec: _start_worker(build, spec) for spec in worker_specs))
    workers.wait_until_joined(drill, lambda: build.alive(engine, *WORKERS))


def _specs(engine: Engine, drill: Drill, progress: Progress) -> tuple[Spec, ...]:
    """All containers as they are to be made: brokers, database, workers.

    What they run on is fetched here, before anything runs in parallel: it may take long and must be easy to interrupt.
    """
    broker_ground = broker.ground(engine, drill.kafka_version, progress)
    database_ground = database.ground(engine, progress)
    worker_ground = workers.ground(engine, progress)
    return (
        *(broker.spec(drill, broker_ground, compose.labels(drill, name), name) for name in drill.kafka_ports),
        database.spec(drill, database_ground),
        *(workers.spec(drill, service, worker_ground) for service in WORKERS),
    )


def _start_brokers(build: _Build, specs: Sequence[Spec]) -> None:
    build.progress(f"starting Kafka {build.drill.kafka_version}, {_brokers(build.drill)}")
    with connected() as engine:
        for spec in specs:
            build.create(engine, spec)
        broker.wait_until_ready(build.drill, lambda: build.alive(engine, *build.drill.kafka_ports))
    build.progress("Kafka answers, topics made")


def _start_database(build: _Build, spec: Spec) -> None:
    build.progress("starting PostgreSQL")
    with connected() as engine:
        build.create(engine, spec)
        database.wait_until_ready(build.drill, lambda: build.alive(engine, POSTGRES))
    schema.apply(build.drill)
    build.progress("PostgreSQL answers, tables made")


def _brokers(drill: Drill) -> str:
    count = len(drill.kafka_ports)
    return f"{count} broker{'s' * (count != 1)}"


def _start_worker(build: _Build, spec: Spec) -> None:
    with connected() as engine:
        build.create(engine, spec)


def _together(build: _Build, *tasks: Callable[[], None]) -> None:
    """Run the tasks in threads; where one fails, or the operator interrupts, the others stop at their next step."""
    with ThreadPoolExecutor(max_workers=len(tasks)) as pool:
        futures: list[Future[None]] = [pool.submit(task) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if not all(f.done() and not f.exception() for f in futures):
                build.broken.set()
    errors = [e for f in futures if (e := f.exception()) is not None]
    for error in sorted(errors, key=lambda e: isinstance(e, _BrokenOff)):
        raise error

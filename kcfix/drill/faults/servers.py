"""Faults of broker and database as a whole: one is down, hangs, does not start, or is not found by its name."""

from __future__ import annotations

from kcfix.drill import broker, database
from kcfix.drill.engine import translated
from kcfix.drill.faults.fault import Area, Fault
from kcfix.drill.faults.site import Site, State
from kcfix.drill.state import KAFKA, POSTGRES


def stop_broker(site: Site) -> State:
    """The broker is stopped under running workers."""
    site.engine.stop(site.drill, KAFKA, grace_seconds=20)
    return {}


def start_broker(site: Site, _state: State) -> None:
    """The broker is started and waited for; the workers, who would take up to a minute to find it, are restarted."""
    site.engine.start(site.drill, KAFKA)
    broker.wait_until_ready(site.drill, lambda: None)
    site.restart_workers()


def pause_broker(site: Site) -> State:
    """The broker hangs: its port takes connections and nothing answers."""
    with translated("pausing the broker"):
        site.container(KAFKA).pause()
    return {}


def unpause_broker(site: Site, _state: State) -> None:
    """The broker goes on; the workers are restarted."""
    container = site.container(KAFKA)
    if container.status == "paused":
        with translated("unpausing the broker"):
            container.unpause()
    broker.wait_until_ready(site.drill, lambda: None)
    site.restart_workers()


def misconfigure_broker(site: Site) -> State:
    """The broker's configuration names another node than its data: it ends at each start, saying so."""
    right = broker.properties(site.drill)
    _write_properties(site, right.replace("node.id=1\n", "node.id=2\n").replace("voters=1@", "voters=2@"))
    site.engine.stop(site.drill, KAFKA, grace_seconds=20)
    site.engine.start(site.drill, KAFKA)
    site.wait(lambda: site.container(KAFKA).status == "exited", "the broker still runs")
    return {}


def configure_broker(site: Site, state: State) -> None:
    """The configuration is put right, then as after a stop."""
    _write_properties(site, broker.properties(site.drill))
    start_broker(site, state)


def _write_properties(site: Site, text: str) -> None:
    (site.drill.data_folder / KAFKA / "server.properties").write_text(text, encoding="utf-8")


def hide_broker(site: Site) -> State:
    """The broker comes up on the network without its name, as when its service was renamed."""
    site.engine.stop(site.drill, KAFKA, grace_seconds=20)
    _connect_broker(site, None)
    site.engine.start(site.drill, KAFKA)
    broker.wait_until_ready(site.drill, lambda: None)
    return {}


def name_broker(site: Site, _state: State) -> None:
    """The broker gets its name back; the workers are restarted."""
    _connect_broker(site, [KAFKA])
    site.engine.start(site.drill, KAFKA)
    broker.wait_until_ready(site.drill, lambda: None)
    site.restart_workers()


def _connect_broker(site: Site, aliases: list[str] | None) -> None:
    with translated("connecting the broker anew"):
        container, network = site.container(KAFKA), site.engine.client.networks.get(site.drill.network)
        if site.drill.network in container.attrs["NetworkSettings"]["Networks"]:
            network.disconnect(container)
        network.connect(container, aliases=aliases)


def stop_database(site: Site) -> State:
    """The database is stopped under running workers, without waiting for them to let go."""
    container = site.container(POSTGRES)
    if container.status == "running":
        with translated(f"stopping {container.name}"):
            container.kill(signal="SIGINT")
            container.wait(timeout=20)
    return {}


def start_database(site: Site, _state: State) -> None:
    """The database is started and waited for."""
    site.engine.start(site.drill, POSTGRES)
    database.wait_until_ready(site.drill, lambda: None)


def pause_database(site: Site) -> State:
    """The database hangs: connections stay open and nothing answers."""
    with translated("pausing the database"):
        site.container(POSTGRES).pause()
    return {}


def unpause_database(site: Site, _state: State) -> None:
    """The database goes on."""
    container = site.container(POSTGRES)
    if container.status == "paused":
        with translated("unpausing the database"):
            container.unpause()
    database.wait_until_ready(site.drill, lambda: None)


FAULTS = (
    Fault(
        "broker-down",
        Area.SERVERS,
        ("17a", "11"),
        "Kafka is stopped under running workers; payments succeed and their messages never leave",
        "broker's container exited; all workers log ECONNREFUSED or ENOTFOUND",
        stop_broker,
        start_broker,
    ),
    Fault(
        "broker-paused",
        Area.SERVERS,
        ("17a", "11"),
        "Kafka hangs: connections are taken and nothing is answered",
        "broker's container paused; workers log request timeouts",
        pause_broker,
        unpause_broker,
    ),
    Fault(
        "broker-will-not-start",
        Area.SERVERS,
        ("14",),
        "Kafka's configuration does not fit its data, so it ends at each start",
        "broker's container exited (1), the reason in its last log lines; workers log ENOTFOUND",
        misconfigure_broker,
        configure_broker,
    ),
    Fault(
        "broker-name-lost",
        Area.SERVERS,
        ("15", "11"),
        "Kafka runs, and no container can resolve the name `kafka` under which it advertises itself",
        "broker running and answering from the host; workers log ENOTFOUND kafka",
        hide_broker,
        name_broker,
    ),
    Fault(
        "database-down",
        Area.SERVERS,
        ("53",),
        "PostgreSQL is stopped under running workers",
        "connection refused; workers are joined and fail on every message",
        stop_database,
        start_database,
    ),
    Fault(
        "database-paused",
        Area.SERVERS,
        ("53",),
        "PostgreSQL hangs: connections stay open and nothing is answered",
        "time-outs where a refused connection would fail at once",
        pause_database,
        unpause_database,
    ),
)

"""What the containers on a host tell about the system: which are the workers, and what they are configured with.

Pure: from the containers, as Docker gave them, to values. Containers of drills are left out unless the project that
was asked for is that drill's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kcfix.core.setup.dsn import for_libpq
from kcfix.core.workers import Container
from kcfix.flow import Flow

T = TypeVar("T")

ONE_OFF_LABEL = "com.docker.compose.oneoff"
BROKER_VARIABLES = ("KAFKA_BROKERS", "KAFKA_BROKER")
DSN_VARIABLES = ("POSTGRES_URL", "POSTGRES_URI", "DATABASE_URL")
SSL_VARIABLE = "POSTGRES_SSL"


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A value and where it was found."""

    value: T
    where: str


@dataclass(frozen=True, slots=True)
class Configured:
    """What one container is configured with, as its environment says. None: it does not say."""

    container: str
    service: str
    brokers: tuple[str, ...] | None
    dsn: str | None = field(repr=False)
    """With its password: never print it."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """The system as its containers tell it."""

    workers: Mapping[str, tuple[Container, ...]]
    """Worker -> its containers, sorted by name; every worker of the flow is there, perhaps with none."""
    infrastructure: Mapping[str, tuple[Container, ...]]
    """The same for the broker's own containers."""
    projects: tuple[str, ...]
    """Compose projects that these containers belong to; `''` stands for containers without one."""
    alike: tuple[str, ...]
    """Projects that each have a container for the same service: which one is meant has to be said. Mostly empty."""
    brokers: Found[tuple[str, ...]] | None
    """None also where `alike` is not empty: it would be a guess."""
    dsn: Found[str] | None
    configured: tuple[Configured, ...]
    disagreements: tuple[str, ...]
    """Workers that are configured with different brokers or databases, in words without secrets."""
    addresses: Mapping[str, str]
    """`name:port` inside the workers' networks -> `host:port` published; a bare `name` -> address in the network."""
    published: frozenset[str]
    """The `host:port` that containers of the system publish."""
    drills: tuple[str, ...]
    """Drills that were seen and left out."""
    producers: tuple[Container, ...] = ()
    """Containers of payment-service, which writes the first event."""
    silent: tuple[str, ...] = ()
    """Docker hosts that did not answer beside others that did, each in words: what runs there is unknown."""

    def known(self, worker: str) -> tuple[Container, ...] | None:
        """The containers of a worker; None where none was seen and a host that may have one is silent."""
        found = self.workers.get(worker, ())
        return None if self.silent and not found else found

    @property
    def ambiguous(self) -> bool:
        """Whether several projects look alike: a change is refused until one is chosen."""
        return bool(self.alike)


def service_of(flow: Flow, container: Container) -> str | None:
    """The Compose service that this container runs for the flow: by its label, else by its name; None for others."""
    known = {stage.worker for stage in flow.stages} | set(flow.infrastructure) | {flow.payment_service}
    bare = container.service
    if bare is None:
        bare = container.name.partition("@")[0].removeprefix(flow.container_prefix)
    if bare in known:
        return bare
    # The second broker and those after it: kafka-2, kafka2.
    number = bare.removeprefix(flow.kafka_service).removeprefix("-")
    return flow.kafka_service if bare.startswith(flow.kafka_service) and number.isdecimal() else None


def of_system(containers: Iterable[Container], project: str | None) -> tuple[Container, ...]:
    """The containers that can belong to the system that is meant, sorted by name.

    With a project: its own, and those without a Compose label (their name decides). Without: all but those of drills.
    One-off containers (`docker compose run`) are never workers.
    """
    containers = tuple(containers)
    # The project of a drill brings the drill's other containers along, as if they carried no drill's label.
    drills = {None, *(c.drill for c in containers if project is not None and c.project == project)}
    chosen = []
    for container in containers:
        if container.labels.get(ONE_OFF_LABEL, "").lower() == "true":
            continue
        named = container.project is not None and container.project == project
        if named or (container.drill in drills and (project is None or container.project is None)):
            chosen.append(container)
    return tuple(sorted(chosen, key=lambda c: c.name))


def workers_of(
    flow: Flow, containers: Iterable[Container], project: str | None = None
) -> Mapping[str, tuple[Container, ...]]:
    """Worker -> its containers, sorted by name; every worker of the flow is there, perhaps with none.

    Containers of several projects that look alike are all there: `discover` says so in `alike`.
    """
    return _by_service(flow, of_system(containers, project), [stage.worker for stage in flow.stages])


def _by_service(
    flow: Flow, containers: Iterable[Container], services: Iterable[str]
) -> Mapping[str, tuple[Container, ...]]:
    found: dict[str, list[Container]] = {service: [] for service in services}
    for container in containers:
        service = service_of(flow, container)
        if service in found:
            found[service].append(container)
    return {service: tuple(those) for service, those in found.items()}


def configured_with(flow: Flow, containers: Iterable[Container]) -> tuple[Configured, ...]:
    """What each container of the flow is configured with, in the order of the flow; payment-service comes last."""
    order = [*(stage.worker for stage in flow.stages), flow.payment_service]
    found = []
    for container in containers:
        service = service_of(flow, container)
        if service in order:
            found.append(_configured(container, service))
    return tuple(sorted(found, key=lambda c: (order.index(c.service), c.container)))


def _configured(container: Container, service: str) -> Configured:
    environment = container.environment
    brokers = next((environment[name] for name in BROKER_VARIABLES if environment.get(name)), None)
    dsn = next((environment[name] for name in DSN_VARIABLES if environment.get(name)), None)
    return Configured(
        container=container.name,
        service=service,
        brokers=_listed(brokers) if brokers else None,
        dsn=for_libpq(dsn, tls=environment.get(SSL_VARIABLE) == "true") if dsn else None,
    )


def _listed(brokers: str) -> tuple[str, ...]:
    names = [name.strip() for name in brokers.split(",") if name.strip()]
    return tuple(name if ":" in name else f"{name}:9092" for name in names)


def discover(
    flow: Flow,
    containers: Iterable[Container],
    project: str | None = None,
    *,
    local: bool = True,
    silent: tuple[str, ...] = (),
) -> Discovery:
    """All that the containers tell. `local`: the engine runs on this host, so that containers' addresses are reachable.

    Where no worker is left, the broker's containers and payment-service still tell.
    """
    everything = tuple(containers)
    candidates = of_system(everything, project)
    workers = _by_service(flow, candidates, [stage.worker for stage in flow.stages])
    services = _by_service(flow, candidates, [*flow.infrastructure, flow.payment_service])
    homes = {c.project or "" for those in workers.values() for c in those}
    if homes:
        # A broker of some other application on this host is none of ours.
        services = {name: tuple(c for c in those if (c.project or "") in homes) for name, those in services.items()}
    ours = [c for those in (*workers.values(), *services.values()) for c in those]
    alike = _alike((*workers.values(), *services.values()))
    configured = configured_with(flow, ours)
    brokers, broker_conflict = _agreed([(c, c.brokers) for c in configured], "brokers")
    dsn, dsn_conflict = _agreed([(c, c.dsn) for c in configured], "database")
    addresses = {} if alike else _addresses(_neighbours(ours, candidates), local=local)
    return Discovery(
        workers=workers,
        infrastructure={name: services[name] for name in flow.infrastructure},
        projects=tuple(sorted({c.project or "" for c in ours})),
        alike=alike,
        brokers=None if alike else brokers,
        dsn=None if alike else dsn,
        configured=configured,
        disagreements=() if alike else (*broker_conflict, *dsn_conflict),
        addresses=addresses,
        published=frozenset(address for c in ours for address in c.published.values()),
        drills=tuple(sorted({c.drill for c in everything if c.drill is not None and c.project != project})),
        producers=services[flow.payment_service],
        silent=silent,
    )


def _alike(groups: Iterable[tuple[Container, ...]]) -> tuple[str, ...]:
    alike: set[str] = set()
    for those in groups:
        projects = {c.project or "" for c in those}
        if len(projects) > 1:
            alike |= projects
    return tuple(sorted(alike))


def _agreed(values: list[tuple[Configured, T | None]], what: str) -> tuple[Found[T] | None, tuple[str, ...]]:
    """The first value that is given, and in words who is configured differently."""
    given = [(c, value) for c, value in values if value is not None]
    if not given:
        return None, ()
    first, chosen = given[0]
    others = sorted({c.container for c, value in given if value != chosen})
    conflict = (f"{', '.join(others)}: configured with other {what} than {first.container}",) if others else ()
    return Found(chosen, f"container {first.container}"), conflict


def _neighbours(ours: Iterable[Container], candidates: Iterable[Container]) -> tuple[Container, ...]:
    """Ours, and those that share a network with them and are no other system's: a database without labels, say."""
    ours = tuple(ours)
    networks = {network for c in ours for network in c.networks}
    return tuple(c for c in candidates if c in ours or networks & set(c.networks))


def _addresses(containers: Iterable[Container], *, local: bool) -> Mapping[str, str]:
    found: dict[str, str] = {}
    # A running one goes before a stopped namesake.
    for container in sorted(containers, key=lambda c: (not c.running, c.name)):
        inside = next((address for address in container.networks.values() if address), None)
        for alias in container.aliases:
            for port, address in container.published.items():
                found.setdefault(f"{alias}:{port}", address)
            if local and inside:
                found.setdefault(alias, inside)
    return found

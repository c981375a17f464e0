"""Which containers' logs are meant, and which of their lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kcfix.core.logs.entry import LogEntry
from kcfix.core.logs.parse import is_error, mentions
from kcfix.core.payments import PaymentId
from kcfix.core.setup.discovery import of_system, workers_of
from kcfix.core.workers import Container
from kcfix.errors import NotFound
from kcfix.flow import Flow, Stage


@dataclass(frozen=True, slots=True)
class Source:
    """A container whose log is meant."""

    container: Container
    label: str
    """The worker's name; the container's where several have the same."""
    stage: Stage | None
    """None: no worker of the flow."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines are wanted: those that pass all that is set."""

    since: datetime | None = None
    until: datetime | None = None
    pattern: re.Pattern[str] | None = None
    """Searched in the message and in the whole line."""
    errors: bool = False
    payment: PaymentId | None = None
    """Anywhere in the line."""

    @property
    def selects(self) -> bool:
        """Whether it looks at what a line says: then the newest lines need not be the wanted ones."""
        return self.pattern is not None or self.errors or self.payment is not None

    def wants(self, entry: LogEntry) -> bool:
        """Whether the entry passes. Its time is not looked at: Docker was asked for it."""
        if self.errors and not is_error(entry):
            return False
        if self.payment is not None and not mentions(entry, self.payment):
            return False
        return self.pattern is None or bool(self.pattern.search(entry.message) or self.pattern.search(entry.raw))


def sources(
    flow: Flow, containers: Iterable[Container], project: str | None, names: Sequence[str]
) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """The containers that are meant, in the order of the flow, and the workers of the flow that have none.

    A name is a worker (`purchase-worker`, `purchase`), another Compose service, or a container. Without names: all
    workers of the flow.

    Raises:
        NotFound: nothing is called so, or that worker has no container.
    """
    ours = of_system(containers, project)
    workers = workers_of(flow, ours, project)
    chosen: dict[str, tuple[Container, Stage | None]] = {}
    missing = []
    if names:
        for name in names:
            for container, stage in _named(flow, ours, workers, name):
                chosen.setdefault(container.id, (container, stage))
    else:
        for stage in flow.stages:
            for container in workers[stage.worker]:
                chosen[container.id] = (container, stage)
            if not workers[stage.worker] and stage.required:
                missing.append(stage.worker)
    services = [_service(container, stage) for container, stage in chosen.values()]
    found = tuple(
        Source(c, service if services.count(service) == 1 else c.name, stage)
        for (c, stage), service in zip(chosen.values(), services, strict=True)
    )
    return found, tuple(missing)


def _service(container: Container, stage: Stage | None) -> str:
    return stage.worker if stage else container.service or container.name


def _named(
    flow: Flow, ours: Sequence[Container], by_worker: Mapping[str, tuple[Container, ...]], name: str
) -> list[tuple[Container, Stage | None]]:
    stage = flow.stage_of_worker(name)
    if stage is not None and by_worker[stage.worker]:
        exact = [c for c in by_worker[stage.worker] if c.name == name]
        return [(c, stage) for c in exact or by_worker[stage.worker]]
    found = [c for c in ours if name in (c.name, c.service, c.name.removeprefix(flow.container_prefix))]
    if found:
        return [(c, next((s for s in flow.stages if c in by_worker[s.worker]), None)) for c in found]
    if stage is not None:
        raise NotFound(f"{stage.worker} has no container on this Docker engine", hint=f"kcfix restart {stage.worker}")
    known = [s.worker for s in flow.stages] + [c.service or c.name for c in ours]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(dict.fromkeys(known))}"
    raise NotFound(f"no worker or container is called {name!r}", hint=hint)

"""Services of a swarm, through its manager: which task is the one that counts, and changes of the service as a whole.

A task is never stopped or started: the swarm would make another in its place, and a restart makes a new container. So
each replica is known under a name that lasts, `SERVICE.SLOT`, whatever container stands behind it at the moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import docker.errors
from docker import APIClient
from docker.types import ServiceMode

from kcfix.core.workers import STACK_LABEL, SWARM_LABEL, Container, ContainerState
from kcfix.errors import NotFound, Unreachable

TASK_LABEL = "com.docker.swarm.task.id"
REPLICAS_LABEL = "io.kcfix.replicas"
"""On a service that kcfix has scaled down: how many replicas it had. So a run that was killed can be finished."""
POLL_SECONDS = 0.2


class Swarm:
    """The services of the swarm that this engine manages; nothing where it does not."""

    def __init__(self, client: APIClient) -> None:
        self._client = client
        self._manages: bool | None = None
        self._forced: set[str] = set()
        """Services that were restarted: it was for all their replicas."""

    def resolved(self, containers: Iterable[Container]) -> tuple[Container, ...]:
        """The containers with those of tasks under their lasting names, without what is left of earlier tasks.

        A service that is scaled down by kcfix has its replicas as containers that have ended.
        """
        found = tuple(containers)
        tasks = self._tasks()
        if tasks is None:
            return found
        plain = [c for c in found if TASK_LABEL not in c.labels]
        by_task = {c.labels[TASK_LABEL]: c for c in found if TASK_LABEL in c.labels}
        services = {str(s["ID"]): s for s in self._services()}
        current = [
            renamed(by_task[str(task["ID"])], services[str(task["ServiceID"])], task)
            for task in tasks
            if str(task["ID"]) in by_task and str(task["ServiceID"]) in services
        ]
        return (*plain, *current, *(c for service in services.values() for c in parked(service, found)))

    def elsewhere(self) -> Mapping[str, str]:
        """Other nodes that have tasks, by name, each in words: their containers are not seen from here."""
        tasks = self._tasks()
        if not tasks:
            return {}
        info = self._client.info().get("Swarm") or {}
        nodes = {str(n["ID"]): str(n["Description"]["Hostname"]) for n in self._client.nodes()}
        services = {str(s["ID"]): str(s["Spec"]["Name"]) for s in self._services()}
        found: dict[str, set[str]] = {}
        for task in tasks:
            node = str(task.get("NodeID") or "")
            if node and node != info.get("NodeID"):
                found.setdefault(nodes.get(node, node), set()).add(services.get(str(task["ServiceID"]), "?"))
        return {
            node: f"node {node} of the swarm runs {', '.join(sorted(names))}, and is not among the Docker hosts"
            for node, names in sorted(found.items())
        }

    def container_of(self, name: str) -> str | None:
        """The id of the container behind a lasting name, None where it is no such name or there is none now."""
        service, _, slot = name.rpartition(".")
        if not is_replica(name) or (tasks := self._tasks()) is None:
            return None
        ids = {str(s["ID"]) for s in self._services(filters={"name": service}) if s["Spec"]["Name"] == service}
        for task in tasks:
            if str(task["ServiceID"]) in ids and str(task.get("Slot", "")) == slot:
                status = (task.get("Status") or {}).get("ContainerStatus") or {}
                return str(status.get("ContainerID") or "") or None
        return None

    def parked_replica(self, name: str) -> Container | None:
        """What stands for a replica of a service that kcfix has scaled down; None where it has not."""
        service = self.service_of(name)
        return None if service is None else next((c for c in parked(service, ()) if c.name == name), None)

    def service_of(self, name: str) -> Mapping[str, Any] | None:
        """The service that a lasting name belongs to."""
        bare = name.rpartition(".")[0]
        if not is_replica(name) or self._tasks() is None:
            return None
        found: Iterable[Mapping[str, Any]] = self._services(filters={"name": bare})
        return next((s for s in found if s["Spec"]["Name"] == bare), None)

    # changes: each is of the whole service

    def force(self, name: str, client: APIClient, left: Callable[[], float]) -> None:
        """`docker service update --force`, waited for until every task is a new one that runs."""
        before = {str(t["ID"]) for t in self._of(name)}
        spec = self._spec(name)
        if spec["Name"] in self._forced:
            return
        template = dict(spec["TaskTemplate"])
        template["ForceUpdate"] = int(template.get("ForceUpdate") or 0) + 1
        self._update(name, client, template=template)
        wanted = _replicas(spec)
        self._until(name, left, lambda tasks: _running(tasks, wanted) and not before & {str(t["ID"]) for t in tasks})
        self._forced.add(spec["Name"])

    def scale_down(self, name: str, client: APIClient, left: Callable[[], float]) -> None:
        """No replica any more; how many there were stays written on the service."""
        spec = self._spec(name)
        replicas = _replicas(spec)
        if replicas:
            labels = {**(spec.get("Labels") or {}), REPLICAS_LABEL: str(replicas)}
            self._update(name, client, mode=ServiceMode("replicated", replicas=0), labels=labels)
        service = self.service_of(name)
        ids = (str(service["ID"]),) if service else ()
        while left() > 0:
            # Also those that are to be shut down: their process may yet be at work.
            alive = [t for t in self._all_tasks() if t["ServiceID"] in ids and t["Status"]["State"] == "running"]
            if not alive:
                return
            time.sleep(POLL_SECONDS)
        raise TimeoutError(f"tasks of {name} still run")

    def scale_up(self, name: str, client: APIClient, left: Callable[[], float]) -> None:
        """As many replicas as there were."""
        spec = self._spec(name)
        labels = dict(spec.get("Labels") or {})
        wanted = int(labels.pop(REPLICAS_LABEL, "0"))
        if wanted:
            self._update(name, client, mode=ServiceMode("replicated", replicas=wanted), labels=labels)
        self._until(name, left, lambda tasks: _running(tasks, wanted or _replicas(spec)))

    def _update(self, name: str, client: APIClient, **changed: Any) -> None:
        service = self.service_of(name)
        if service is None:
            raise NotFound(f"the swarm has no service of {name}")
        spec = service["Spec"]
        asked: dict[str, Any] = {
            "task_template": changed.get("template", spec["TaskTemplate"]),
            "name": spec["Name"],
            "labels": changed.get("labels", spec.get("Labels") or {}),
            "mode": changed.get("mode", spec["Mode"]),
            "update_config": spec.get("UpdateConfig"),
            "rollback_config": spec.get("RollbackConfig"),
            "networks": spec.get("Networks"),
            "endpoint_spec": spec.get("EndpointSpec"),
        }
        client.update_service(service["ID"], service["Version"]["Index"], **asked)

    def _spec(self, name: str) -> Mapping[str, Any]:
        service = self.service_of(name)
        if service is None:
            raise NotFound(f"the swarm has no service of {name}")
        spec: Mapping[str, Any] = service["Spec"]
        return spec

    def _of(self, name: str) -> list[Mapping[str, Any]]:
        service = self.service_of(name)
        return [t for t in self._tasks() or () if service is not None and t["ServiceID"] == service["ID"]]

    def _until(self, name: str, left: Callable[[], float], done: Callable[[list[Mapping[str, Any]]], bool]) -> None:
        while not done(self._of(name)):
            if left() <= 0:
                raise TimeoutError(f"the tasks of {name} are not as they are to be yet")
            time.sleep(POLL_SECONDS)

    def _services(self, **chosen: Any) -> list[Mapping[str, Any]]:
        return cast("list[Mapping[str, Any]]", self._client.services(**chosen))  # type: ignore[no-untyped-call]

    def _all_tasks(self, **chosen: Any) -> list[Mapping[str, Any]]:
        return cast("list[Mapping[str, Any]]", self._client.tasks(**chosen))  # type: ignore[no-untyped-call]

    def _tasks(self) -> list[Mapping[str, Any]] | None:
        """The tasks that are to run; None where this engine manages no swarm."""
        if self._manages is False:
            return None
        try:
            found: list[Mapping[str, Any]] = self._all_tasks(filters={"desired-state": "running"})
        except docker.errors.APIError as error:
            if error.status_code not in (401, 403, 404, 406, 503):
                raise
            self._manages = False
            return None
        self._manages = True
        return found


def is_replica(name: str) -> bool:
    """Whether this can be the lasting name of a replica: `SERVICE.SLOT`."""
    service, _, slot = name.rpartition(".")
    return bool(service) and slot.isdecimal()


def renamed(container: Container, service: Mapping[str, Any], task: Mapping[str, Any]) -> Container:
    """The container of a task under the name that lasts."""
    name = f"{service['Spec']['Name']}.{task.get('Slot') or 1}"
    policy = ((task.get("Spec") or {}).get("RestartPolicy") or {}).get("Condition") or "any"
    labels = {**container.labels, **_labels(service)}
    return replace(container, id=name, name=name, labels=labels, restart_policy=f"swarm {policy}")


def parked(service: Mapping[str, Any], _: Iterable[Container]) -> tuple[Container, ...]:
    """What stands for the replicas of a service that kcfix has scaled down: containers that have ended."""
    spec = service["Spec"]
    count = (spec.get("Labels") or {}).get(REPLICAS_LABEL, "")
    if not count.isdecimal() or _replicas(spec):
        return ()
    template = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    environment = dict(entry.partition("=")[::2] for entry in template.get("Env") or ())
    names = [f"{spec['Name']}.{slot}" for slot in range(1, int(count) + 1)]
    return tuple(
        Container(
            id=name,
            name=name,
            image=str(template.get("Image") or "").partition("@")[0],
            state=ContainerState.EXITED,
            exit_code=0,
            labels=_labels(service),
            environment=environment,
            restart_policy="swarm any",
        )
        for name in names
    )


def _labels(service: Mapping[str, Any]) -> dict[str, str]:
    spec = service["Spec"]
    stack = (spec.get("Labels") or {}).get(STACK_LABEL)
    return {SWARM_LABEL: str(spec["Name"]), **({STACK_LABEL: str(stack)} if stack else {})}


def _replicas(spec: Mapping[str, Any]) -> int:
    mode = spec.get("Mode") or {}
    if "Replicated" not in mode:
        raise Unreachable(
            f"service {spec.get('Name')} is not a replicated one: kcfix can't restart it", system="docker"
        )
    return int(mode["Replicated"].get("Replicas") or 0)


def _running(tasks: list[Mapping[str, Any]], wanted: int) -> bool:
    return len(tasks) == wanted and all(t["Status"]["State"] == "running" for t in tasks)

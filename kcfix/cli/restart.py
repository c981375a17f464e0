"""`kcfix restart`: workers brought back without losing a message."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from kcfix.cli.completing import complete_worker
from kcfix.cli.context import services_of
from kcfix.cli.restart_view import plan_view
from kcfix.core.judging.snapshot import Reading
from kcfix.core.restart.plan import Plan, Way, plan_restart
from kcfix.core.restart.read import situation
from kcfix.core.restart.report import Report, exit_code
from kcfix.core.times import parse_duration
from kcfix.core.workers import Container
from kcfix.errors import NotFound, Refused, Unreachable, UsageError
from kcfix.flow import Stage
from kcfix.render.view import View
from kcfix.services import Services


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix restart` was asked."""

    workers: tuple[str, ...]
    every: bool = False
    apply: bool = False
    dry_run: bool = False
    yes: bool = False
    accept_skip: bool = False
    wait: timedelta = timedelta(seconds=60)
    reason: str = ""


def command(
    ctx: typer.Context,
    workers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORKER]...",
            help="Compose service, container name or short name (`purchase`).",
            autocompletion=complete_worker,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All workers of the flow, in its order.")] = False,
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Where there is no container to restart: commit the offsets all the same."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask; needed without a terminal.")] = False,
    accept_skip: Annotated[
        bool,
        typer.Option("--accept-skip", help="Go on where messages would be skipped for good; the plan names them."),
    ] = False,
    wait: Annotated[str, typer.Option(help="How long to watch until a worker is seen to work.")] = "60s",
    reason: Annotated[str, typer.Option(help="Why, for the journal.")] = "",
) -> View:
    """It shows what it will do, asks, and does it.

    A worker that starts skips for good whatever waits on a partition without a committed offset. So where there is
    such a partition the worker is stopped, and once its group is empty each of them gets an offset: its first message
    that is not settled yet, else its end. Then the worker is started and watched until it is seen to work. Killed half
    way, the same command finishes the work.

    Examples:
        kcfix restart purchase-worker
        kcfix restart purchase-worker --dry-run
        kcfix restart --all --yes --reason "after the broker was replaced"
    """
    if every == bool(workers):
        raise UsageError("name the workers to restart, or --all", hint="kcfix restart purchase-worker")
    if dry_run and (apply or yes):
        raise UsageError("--dry-run excludes --apply and --yes")
    try:
        duration = parse_duration(wait)
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from error
    options = Options(tuple(workers or ()), every, apply, dry_run, yes, accept_skip, duration, reason)
    return run(options, services_of(ctx))


def run(options: Options, services: Services) -> View:
    """Plan, ask, do, show."""
    services.progress("reading containers, groups, offsets and the messages that no offset protects")
    plans = read_plans(options, services)
    reports = tuple(Report(plan) for plan in plans)
    if options.dry_run:
        # A dry run ends with 0, or as the run itself would where a system keeps it from saying anything.
        silent = all(plan.view is None or plan.way is Way.ELSEWHERE for plan in plans)
        return plan_view(reports, services, Unreachable.code if silent else 0)
    if not any(wanted(plan, options) for plan in plans):
        return plan_view(reports, services, exit_code(reports))
    from kcfix.cli.restart_change import change

    return change(reports, options, services)


def wanted(plan: Plan, options: Options) -> bool:
    """Whether anything is to be done about this worker: where there is no container, only with --apply or --yes."""
    return plan.changes and (bool(plan.containers) or options.apply or options.yes)


def read_plans(options: Options, services: Services) -> tuple[Plan, ...]:
    """A plan for each worker that is meant, in the order of the flow, from what is the case now.

    Raises:
        NotFound: no such worker. Refused: several Compose projects look alike.
    """
    by_worker, siblings, error = _containers(services)
    stages = _stages(options, services, by_worker)
    silent = () if error else services.discovery.silent
    plans = []
    for stage in stages:
        boxes: Reading[tuple[Container, ...]] = Reading.unknown(error) if error else Reading(by_worker[stage.worker])
        if silent and not by_worker[stage.worker]:
            boxes = Reading.unknown("; ".join(silent))
        found = situation(stage, boxes, siblings, lambda: services.kafka, lambda: services.database)
        plans.append(plan_restart(found, accept_skip=options.accept_skip))
    return tuple(plans)


def _containers(services: Services) -> tuple[dict[str, tuple[Container, ...]], tuple[Container, ...], str]:
    """Containers of each worker as they are now, those of the whole system, and why Docker gave no answer."""
    try:
        discovery = services.discovery
        if discovery.ambiguous:
            raise Refused(
                f"several Compose projects look alike: {', '.join(discovery.alike)}",
                hint="choose one with --project",
            )
        workers = {worker: tuple(_there(services, boxes)) for worker, boxes in discovery.workers.items()}
    except Unreachable as error:
        return {}, (), error.message
    siblings = [c for boxes in (*workers.values(), *discovery.infrastructure.values()) for c in boxes]
    return workers, tuple(siblings), ""


def _there(services: Services, boxes: tuple[Container, ...]) -> Iterator[Container]:
    """Those that still exist, as they are now."""
    for box in boxes:
        with suppress(NotFound):
            yield services.docker.inspect(box.id)


def _stages(options: Options, services: Services, by_worker: dict[str, tuple[Container, ...]]) -> Sequence[Stage]:
    flow = services.flow
    if options.every:
        return [s for s in flow.stages if s.required or by_worker.get(s.worker)]
    named: set[str] = set()
    for word in options.workers:
        stage = flow.stage_of_worker(word)
        if stage is None:
            owner = next((w for w, boxes in by_worker.items() if word in {c.name for c in boxes}), None)
            stage = flow.stage_of_worker(owner) if owner else None
        if stage is None:
            known = [s.worker for s in flow.stages]
            near = difflib.get_close_matches(
                word,
                [*known, *(s.name for s in flow.stages), *(c.name for boxes in by_worker.values() for c in boxes)],
                1,
            )
            hint = f"did you mean {near[0]}?" if near else f"the workers are {', '.join(known)}"
            raise NotFound(f"no worker is called {word!r}", hint=hint)
        named.add(stage.worker)
    return [s for s in flow.stages if s.worker in named]

"""How a drill is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kcfix.render.view import Cell, Column, Table, Text, Tone, View

if TYPE_CHECKING:
    from kcfix.drill.state import Drill
    from kcfix.drill.status import Status


def drill_option(name: str) -> str:
    """The option by which a command of kcfix is told of this drill."""
    return "-C drill" if name == "drill" else f"-C drill:{name}"


def status_view(found: Status) -> View:
    """The parts of a drill, where they are reached and what is broken."""
    from kcfix.drill.faults import broken

    made = found.drill
    faults_now = [b.name for b in broken(made)]
    rows = tuple(
        (
            part.service,
            part.container,
            Cell(part.state, Tone.GOOD if part.running else Tone.BAD),
            f"127.0.0.1:{part.port}" if part.port else None,
            part.restarts,
            part.exit_code,
        )
        for part in found.parts
    )
    columns = (
        Column("SERVICE"),
        Column("CONTAINER"),
        Column("STATE"),
        Column("PUBLISHED"),
        Column("RESTARTS", right=True, priority=1),
        Column("EXIT", right=True, priority=1),
    )
    return View(
        schema="drill-status",
        sections=(Text(_facts(made, faults_now)), Table(columns, rows)),
        data=[
            {
                "name": made.name,
                "project": made.project,
                "network": made.network,
                "kafka_version": made.kafka_version,
                "processed_events": made.processed_events,
                "unique_index": made.unique_index,
                "brokers": made.brokers,
                "address_map": made.address_map,
                "dsn": made.shown_dsn,
                "data_folder": made.data_folder,
                "context_file": made.context_file,
                "faults": faults_now,
                "containers": [
                    {
                        "service": part.service,
                        "container": part.container,
                        "state": part.state,
                        "exit_code": part.exit_code,
                        "restart_count": part.restarts,
                        "port": part.port,
                    }
                    for part in found.parts
                ],
                "ports": {part.service: part.port for part in found.parts if part.port},
            }
        ],
        next=(f"kcfix {drill_option(made.name)} status",),
        ids=tuple(part.container for part in found.parts),
    )


def _facts(made: Drill, faults_now: list[str]) -> tuple[str | Cell, ...]:
    index = "with" if made.unique_index else "without"
    facts: list[str | Cell] = [
        Cell(
            f"drill {made.name}: Kafka {made.kafka_version}, processed_events {made.processed_events}, {index} unique "
            "index",
            Tone.STRONG,
        ),
        *(f"brokers   {advertised} (reached at {where})" for advertised, where in made.address_map.items()),
        f"database  {made.shown_dsn}",
        f"folder    {made.data_folder}",
    ]
    if faults_now:
        facts.append(Cell(f"broken    {', '.join(faults_now)}", Tone.WARN))
    return tuple(facts)

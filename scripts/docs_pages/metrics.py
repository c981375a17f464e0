"""docs/monitoring/metrics.md: what `kcfix monitor` serves."""

from __future__ import annotations

from datetime import timedelta

from docs_pages import NOTE


def metrics() -> str:
    """docs/monitoring/metrics.md, from a look at a system in which there is nothing."""
    from datetime import UTC, datetime

    from kcfix.core.judging.snapshot import Reading
    from kcfix.core.lag import LagReport
    from kcfix.core.missing import Span
    from kcfix.core.watching.history import History
    from kcfix.core.watching.metrics import Counters, families, look_age
    from kcfix.core.watching.observation import Observation, PaymentsSeen
    from kcfix.flow import Flow

    now, nothing = datetime(2026, 1, 1, tzinfo=UTC), timedelta(0)
    payments = PaymentsSeen(Span(now, now, now, nothing), 0, (), (), 0, 0)
    history = History()
    history.add(
        Observation(
            flow=Flow(),
            taken_at=now,
            took=nothing,
            docker=Reading(()),
            kafka=Reading(LagReport(now, ())),
            database=Reading(now),
            payments=Reading(payments),
            workers=(),
            logs={},
        )
    )
    found = [*families(history, Counters(0, 0, 0, {}), "", 0), look_age(0)]
    rows = [
        f"| `{f.name}` | {f.kind} | {', '.join(f'`{label}`' for label in f.labels)} | {f.help} |"
        for f in sorted(found, key=lambda f: f.name)
    ]
    return NOTE + METRICS_INTRO + "\n".join(rows) + "\n"


METRICS_INTRO = """# Metrics

What `kcfix monitor` serves at `/metrics`; [README.md](README.md) says how to read it. What is unknown has no series.
Beside these stand the memory, the time and the open files of the process itself (`process_…`).

| Metric | Kind | Labels | What |
|---|---|---|---|
"""

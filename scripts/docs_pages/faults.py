"""docs/faults.md: what the drill can break."""

from __future__ import annotations

import warnings

from docs_pages import NOTE


def faults() -> str:
    """docs/faults.md."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python warns while it is imported
        from kcfix.drill.faults import faults as catalogue
        from kcfix.drill.faults import pairs
        from kcfix.drill.healthy import HEALTHY

    parts = [NOTE, FAULTS]
    for area in dict.fromkeys(f.area for f in catalogue()):
        parts.append(
            f"## {area.value.capitalize()}\n\n| Fault | Modes | What is broken | What is seen |\n|---|---|---|---|"
        )
        parts += [
            f"| `{f.name}` | {', '.join(f.modes) or '-'} | {f.what} | {f.seen} |" for f in catalogue() if f.area is area
        ]
        parts.append("")
    parts.append("## Pairs\n\nMade in this order, mended the other way round.\n")
    parts.append("| First | Second | Why they occur together |\n|---|---|---|")
    parts += [f"| `{p.first}` | `{p.second}` | {p.why} |" for p in pairs()]
    parts.append(
        "\n## Nothing wrong\n\nStates in which a drill is well (`kcfix/drill/healthy.py`), against false alarms.\n"
    )
    parts.append("| State | What happens |\n|---|---|")
    parts += [f"| {h.name} | {h.what} |" for h in HEALTHY]
    return "\n".join(parts) + "\n"


FAULTS = """# Faults of the drill

`kcfix drill break FAULT…` makes them, `kcfix drill mend` undoes them, `kcfix drill faults` lists them. Each is made by
its real cause, never by a mark that says what is wrong, and mending it leaves a system in which a new payment gets its
purchase on every partition. Modes are those of [system.md](system.md) 6; `-` where that list has none.
`make faults` makes, looks at and mends them all.
"""

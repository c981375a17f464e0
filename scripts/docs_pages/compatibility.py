"""docs/compatibility.md: the releases that kcfix was tried with."""

from __future__ import annotations

import json
import re
from pathlib import Path

from docs_pages import NOTE


def compatibility(seen: Path) -> str:
    """docs/compatibility.md, from what `make versions` has seen."""
    rows = json.loads(seen.read_text(encoding="utf-8"))
    parts = [NOTE.replace("from the code: change the code, then run `make docs`", "from what `make versions` saw")]
    parts.append(COMPATIBILITY)
    for system in dict.fromkeys(row["system"] for row in rows):
        parts.append(f"## {system}\n\n| Version | What was tried | Tests passed | Last run |\n|---|---|--:|---|")
        for row in sorted(
            (r for r in rows if r["system"] == system), key=lambda r: (_numbers(r["version"]), r["what"])
        ):
            failed = f", **{row['failed']} failed**" if row["failed"] else ""
            parts.append(f"| {row['version']} | {row['what']} | {row['passed']}{failed} | {row['seen']} |")
        parts.append("")
    return "\n".join([*parts, NOT_TRIED])


def _numbers(version: str) -> tuple[tuple[int, ...], str]:
    return tuple(int(n) for n in re.findall(r"\d+", version)), version


COMPATIBILITY = """# Compatibility: what kcfix was tried with

`make versions` runs these tests on each release that can be had, and writes down what came of it and when. A row says
no more than that. The whole suite (`make test`) runs on Kafka 3.5.2, as production does, in KRaft mode, partly on Kafka
4.4.0, on the PostgreSQL and the Docker Engine of the machine, and on the Python of its environment.
"""


NOT_TRIED = """## Not tried

- Kafka before 3.5, and every release that is not named above; Kafka as a service of a cloud; Redpanda and others that
  speak the same protocol. More than three brokers. Members of groups of the newer protocol (KIP-848) are never listed:
  the library speaks no request for it. Such a group is said to be active with unknown members, and is not changed.
- PostgreSQL before 13, and forks of it. Of 13, 14, 16 and 17 the server alone was tried, not a whole system on it; a
  standby only of the release that is named.
- Docker Engine before 20.10 (API 1.41). Newer ones are spoken to by the API that they and the library both know.
- Any system but Linux; PyPy.
"""

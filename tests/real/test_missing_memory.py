"""The memory of `kcfix missing` on a real PostgreSQL does not grow with the payments that it looks at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes_database import FakeDatabase, course_id
from tests.real.postgres_server import Server
from tests.real.postgres_world import PostgresWorld, server_with_shapes

FEW, MANY = 10_000, 60_000
GROWTH_KB = 10 * 1024
"""What 50,000 payments more may take. Measured: below 1 MB, and 42 MB where the pass read them all at once."""

_SETTLED = f"""
INSERT INTO courses (id, title) VALUES ('{course_id(1)}', 'made up') ON CONFLICT DO NOTHING;
INSERT INTO payments (id, student_id, amount_cents, status, provider_payment_id, metadata, confirmed_at)
SELECT md5('payment ' || n)::uuid, md5('student ' || n)::uuid, 360000, 'succeeded', 'pay_' || n,
       '{{"courseId": "{course_id(1)}", "sessionCount": 20}}', now() - interval '2 days' + n * interval '1 second'
FROM generate_series(%(first)s::int, %(last)s::int) AS n;
INSERT INTO student_course_purchases (id, student_id, course_id, purchase_tier, is_active)
SELECT overlay(md5('purchase ' || n) PLACING '4' FROM 13)::uuid, md5('student ' || n)::uuid, '{course_id(1)}', 20, false
FROM generate_series(%(first)s::int, %(last)s::int) AS n;
ANALYZE"""  # noqa: S608 - made-up ids

# Not the child's ru_maxrss: that counts the copy of the test runner before `exec`, too. VmHWM begins at exec.
MEASURED = """
import re, sys
from pathlib import Path
from kcfix.main import main
code = main(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)
sys.stdout.flush()
print(f"peak {peak}", file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with server_with_shapes() as started:
        yield started


@pytest.fixture(scope="module")
def world(postgres: Server) -> Iterator[PostgresWorld]:
    made = PostgresWorld(postgres)
    made.fill(FakeDatabase())
    yield made
    made.close()


def _run(dsn: str, folder: Path, *words: str) -> tuple[int, str, int]:
    """Exit code, output, and the peak of resident memory in kB."""
    silent = ("--brokers", "127.0.0.1:1", "--docker-host", f"unix://{folder}/none.sock")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "missing", "--since", "3d", "--timeout", "20s", *words, *silent],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder), "KCFIX_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "peak " in done.stderr, done.stderr
    return done.returncode, done.stdout, int(done.stderr.rsplit("peak ", 1)[1])


def test_memory_does_not_grow_with_the_payments(world: PostgresWorld, tmp_path: Path) -> None:
    peaks: dict[str, list[int]] = {"missing": [], "certificate": []}
    made = 0
    for many in (FEW, MANY):
        world.execute(_SETTLED.replace("%(first)s", str(made + 1)).replace("%(last)s", str(many)))
        made = many
        code, out, peak = _run(world.dsn(), tmp_path, "-q")
        assert (code, out) == (0, "")
        peaks["missing"].append(peak)
        code, out, peak = _run(world.dsn(), tmp_path, "--certify", "-o", "json")
        [row] = json.loads(out)["data"]
        assert (code, row["payments"], row["with_one_purchase"]) == (0, many, many)
        peaks["certificate"].append(peak)
    assert {name: few + GROWTH_KB > more for name, (few, more) in peaks.items()} == dict.fromkeys(peaks, True), peaks

"""What is imported when: `--help` must not pay for libraries that it does not use, nor `lag` for Docker's."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"docker", "kafka", "psycopg", "rich", "tabulate", "requests", "urllib3", "prometheus_client", "pydantic"}


def imported_by(*argv: str) -> set[str]:
    """The top-level modules that are there when this command line has run."""
    code = (
        "import sys\n"
        "from kcfix.main import main\n"
        f"main({list(argv)!r})\n"
        "print('modules:', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(ran.stdout.rpartition("modules:")[2].split())


@pytest.mark.parametrize(
    "argv",
    [
        ("--help",),
        ("--version",),
        ("lag", "--help"),
        ("repair", "--help"),
        ("trace", "--help"),
        ("monitor", "--help"),
        ("nonsense",),
    ],
)
def test_help_and_usage_errors_import_no_library_of_the_outside_world(argv: tuple[str, ...]) -> None:
    assert not imported_by(*argv) & HEAVY


def test_lag_with_brokers_given_imports_neither_docker_nor_psycopg_nor_rich() -> None:
    seen = imported_by("lag", "--brokers", "127.0.0.1:1", "--timeout", "1s")
    assert "kafka" in seen
    assert not seen & {"docker", "psycopg", "pydantic", "rich", "tabulate"}


def test_config_show_with_all_given_imports_no_adapter() -> None:
    assert not imported_by("config", "show", "--brokers", "a:1", "--dsn", "postgresql://h/d") & HEAVY

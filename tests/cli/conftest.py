"""Fixtures of the tests of commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.night import Night
from tests.cli.probe import command
from tests.conftest import Ran, Run

__all__ = ["command"]


@pytest.fixture
def night() -> Night:
    """The worker is down."""
    return Night()


@pytest.fixture
def repair(run: Run, night: Night) -> Callable[..., Ran]:
    """Run `kcfix repair` on that night."""

    def call(*words: str, **more: Any) -> Ran:
        systems = {"kafka": night.kafka, "database": night.database, "docker": night.docker}
        return run("repair", *words, **{**systems, **more})

    return call

"""Fixtures of the tests of commands."""

from __future__ import annotations

from tests.cli.probe import command

__all__ = ["command"]

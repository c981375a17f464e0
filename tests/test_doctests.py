"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest
import importlib
import warnings
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "kcfix"
WITH_EXAMPLES = sorted(
    ".".join(("kcfix", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_hold(name: str) -> None:
    with warnings.catch_warnings():
        # kafka-python warns while it is imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        module = importlib.import_module(name)
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed

"""The bar of a long run: what is being done, how far it is, how fast it goes, and how long it will take."""

from __future__ import annotations

import io
import re
import time

import pytest

from kcfix.render.progress import Bar


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> str:
    """All that was written to a terminal of 80 columns until the bar was taken away."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    with Bar(out, 1000, color=False) as bar:
        bar.say("inserting\x1b]0;owned\x07")
        for _ in range(5):
            time.sleep(0.01)  # the rate is of what has passed
            bar.advance(20)
    return out.getvalue()


def test_it_tells_what_is_done_how_far_it_is_the_rate_and_the_time_left(drawn: str) -> None:
    assert "inserting" in drawn
    assert "100/1000" in drawn
    assert re.search(r"\d[\d,]*\.\d/s", drawn)
    assert re.search(r"\b\d:\d\d:\d\d\b", drawn)


def test_what_comes_from_outside_does_not_command_the_terminal(drawn: str) -> None:
    assert "\x1b]0" not in drawn
    assert "\x07" not in drawn


def test_it_is_gone_when_the_run_is_over(drawn: str) -> None:
    assert drawn.endswith("\x1b[2K")

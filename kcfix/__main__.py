"""`python -m kcfix` and the `kcfix` script."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress


def run() -> None:
    """Run kcfix on the process's command line and leave with its exit code."""
    try:
        _make_streams_safe()
        if not sys.warnoptions:
            # What libraries have to say to programmers is nothing to an operator.
            warnings.simplefilter("ignore")
        from kcfix.main import main

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        # Before main was there, or after it had ended.
        code = 130
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # Not sys.exit: it would wait for threads that hang in a library on a system that does not answer.
    os._exit(code)


def _make_streams_safe() -> None:
    """Streams that are closed become empty ones, and text that can't be encoded or decoded is no reason to stop."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for the process's life
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


if __name__ == "__main__":
    run()

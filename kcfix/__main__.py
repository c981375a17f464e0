"""`python -m kcfix` and the `kcfix` script."""

from __future__ import annotations

import sys


def run() -> None:
    """Run kcfix on the process's command line and leave with its exit code."""
    from kcfix.main import main

    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()

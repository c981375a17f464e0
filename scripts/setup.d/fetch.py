"""Fetch once what drills with these versions of Kafka need: jars and modules, or images where they can be had."""

from __future__ import annotations

import sys

from kcfix.drill import broker, image, workers
from kcfix.drill.engine import connected
from kcfix.errors import KcfixError


def main(versions: list[str]) -> int:
    """Fetch, and return the exit code."""

    def progress(text: str) -> None:
        print(f"setup: {text}", file=sys.stderr)

    try:
        with connected() as engine:
            for version in versions:
                broker.ground(engine, version, progress)
            workers.ground(engine, progress)
            image.remove_unused(engine)
    except KcfixError as error:
        progress(error.message)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

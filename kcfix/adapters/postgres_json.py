"""Reading the JSON of a column, whatever a hand or a program has put there."""

from __future__ import annotations

import json


def loads(data: str | bytes) -> object:
    """What the JSON says; its text where Python can't read it (too deep, too long a number): then it is no mapping.

    One odd row must not keep an operator from reading all the others.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode(errors="replace") if isinstance(data, bytes) else data

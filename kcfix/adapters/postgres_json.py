"""The JSON of a column: read, whatever a hand or a program has put there; written, so that the server takes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_NOT_STORED = re.compile("[\x00\ud800-\udfff]")
_QUICK = json.JSONEncoder(default=dict)


def loads(data: str | bytes) -> object:
    """What the JSON says; its text where Python can't read it (too deep, too long a number): then it is no mapping.

    One odd row must not keep an operator from reading all the others.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode(errors="replace") if isinstance(data, bytes) else data


def storable(text: str) -> str:
    """The text with U+FFFD for what PostgreSQL stores in no text: NUL, and half a surrogate pair (of a cut emoji)."""
    return _NOT_STORED.sub("\ufffd", text)


def dumps(value: object) -> str:
    """JSON that a jsonb column takes, whatever texts a message has brought."""
    text = _QUICK.encode(value)
    # Whatever can't be stored is written as an escape; most texts hold none, and are not walked.
    return json.dumps(_storable(value)) if "\\u" in text else text


def _storable(value: object) -> object:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value

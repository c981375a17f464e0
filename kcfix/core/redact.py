"""Secrets taken out of text: DSN passwords, values of keys that sound secret, and secrets known by value."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

MASK = "***"
SHORTEST = 4
"""Letters of a secret that is masked: a shorter one would mask ordinary words and still be guessed from the pattern."""

# Every repetition has a bound: a log line may be a megabyte of anything, and must not be walked again and again.
# The last @ before a blank ends the password: an unescaped one may hold an @ or a / itself.
_URL = re.compile(
    r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s:/@'\"]{0,200}):(?P<secret>[^\s'\"]{0,1000})@(?=[^\s@])"
)
_WORD = r"(?:password|passwd|pwd|secret|token|api_?key|credential)"
_PAIR = re.compile(
    rf"(?P<head>{_WORD}[\w-]{{0,64}}[\"']?\s{{0,4}}[=:]\s{{0,4}})"
    r"(?P<secret>\"[^\"]{0,2000}\"|'(?:[^'\\]|\\.){0,2000}'|[^\s,;&\"']+)",
    re.IGNORECASE,
)
_SECRET_KEY = re.compile(_WORD, re.IGNORECASE)
_SECRET_PARTS = ("passw", "pwd", "secret", "token", "api", "credential")
"""Each text that `_WORD` finds something in has one of these."""


def is_secret(key: str) -> bool:
    """Whether a setting or variable of this name holds a secret.

    The path of a file with a secret is none, nor is the command that prints one.

    >>> is_secret("KCFIX_SASL_PLAIN_PASSWORD"), is_secret("brokers"), is_secret("ssl_password_file")
    (True, False, False)
    """
    return _SECRET_KEY.search(key) is not None and not key.lower().endswith(("_file", "_command"))


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """The text without passwords in URLs, without the values of secret-sounding keys, without the `secrets` named.

    >>> redact("postgresql://u:p@ss@db:5432/kc?sslmode=require")
    'postgresql://u:***@db:5432/kc?sslmode=require'
    >>> redact("host=db password='a b' user=u")
    'host=db password=*** user=u'
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    if "://" in text and "@" in text:
        text = _URL.sub(lambda m: f"{m['head']}:{MASK}@", text)
    return _PAIR.sub(lambda m: f"{m['head']}{MASK}", text)


def may_hold_secret(json_text: str, secrets: Collection[str] = ()) -> bool:
    """Whether anything in this JSON could be masked by `redact` or `redact_value`: a quick look at thousands of lines.

    >>> may_hold_secret('{"payment_id": "7"}', ["open sesame"]), may_hold_secret('{"token": "7"}')
    (False, True)
    """
    # A hundred times as fast as the expression, which has no letter to look out for. Not true of all that is not ASCII.
    small = json_text.lower() if json_text.isascii() else None
    suspect = small is None or any(part in small for part in _SECRET_PARTS)
    if (suspect and _SECRET_KEY.search(json_text)) or ("://" in json_text and "@" in json_text):
        return True
    return any(form in json_text for secret in secrets if len(secret) >= SHORTEST for form in _in_json(secret))


@lru_cache(maxsize=32)
def _in_json(secret: str) -> tuple[str, str]:
    """The secret as JSON writes it, with and without escapes for what is not ASCII."""
    return json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]


def redact_value(key: str, value: object) -> object:
    """The value of a setting, fit to be shown; tables and lists are walked."""
    if isinstance(value, Mapping):
        return {str(k): redact_value(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(key, item) for item in value]
    if isinstance(value, str):
        return MASK if is_secret(key) else redact(value)
    return value


def redact_arguments(argv: Sequence[str]) -> tuple[str, ...]:
    """A command line, fit to be written down."""
    shown: list[str] = []
    hide = False
    for argument in argv:
        shown.append(MASK if hide else redact(argument))
        hide = argument.startswith("--") and "=" not in argument and is_secret(argument.removeprefix("--"))
    return tuple(shown)


@lru_cache(maxsize=32)  # asked for every cell that is shown
def secrets_of(dsn: str | None) -> frozenset[str]:
    """The password in a DSN, as written and as decoded; empty if it has none."""
    from urllib.parse import unquote

    if not dsn:
        return frozenset()
    found = {m["secret"] for m in _URL.finditer(dsn)}
    found |= {m["secret"].strip("'\"") for m in _PAIR.finditer(dsn)}
    return frozenset(found | {unquote(s) for s in found})

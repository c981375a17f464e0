"""What may come from outside: strategies, and what must be true of whatever kcfix writes.

`KCFIX_FUZZ=2000 pytest tests/fuzz` tries so many examples of each; by itself the suite tries a few.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.conftest import Ran

Test = TypeVar("Test", bound=Callable[..., Any])

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys, or what turns the order of what a person reads. Line feeds and tabs are kcfix's own."""
CODES = {0, 1, 2, 3, 4, 5, 6}
"""Exit codes that are no bug."""


def fuzzed(few: int) -> Callable[[Test], Test]:
    """Settings of a test: so many examples, or as many as the environment asks for; no clock."""
    wanted = int(os.environ.get("KCFIX_FUZZ") or 0)
    return settings(
        max_examples=wanted or few,
        deadline=None,
        derandomize=not wanted,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


attacks = st.sampled_from(
    [
        "\x1b[2J\x1b[H",
        "\x1b]0;title\x07",
        "\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\",
        "\x1bP+q\x1b\\",
        "\x9b31mred\x9b0m",
        "\x90q\x9c",
        "\x85next",
        "over\rwritten",
        "gone\b\b\b\b",
        "\u202egnp.exe",
        "\u2066isolated\u2069",
        "\u061carabic",
        "a\u2028b\u2029c",
        "[bold red]rich[/bold red]",
        "[/nothing]",
        "[link=file:///etc/passwd]x[/link]",
        "\ud800half",
        "\x00nul",
        "| markdown | <b> `x`",
        "=HYPERLINK(1)",
        "%s %(x)s {0} {x}",
        "1e999",
        "9" * 400,
        "../../../etc/passwd",
        "-o",
        "--apply",
    ]
)
"""Texts made to be obeyed by somebody."""
texts = st.one_of(attacks, st.text(max_size=20), st.builds("{}{}{}".format, st.text(max_size=5), attacks, attacks))
numbers = st.one_of(
    st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 10**400]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-5, 5),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
"""Anything that JSON, or TOML, can say."""


@st.composite
def altered(draw: st.DrawFn, whole: Any, replacements: st.SearchStrategy[Any] = values) -> Any:
    """The document with something else, or nothing, at one to three places."""
    made = whole
    for _ in range(draw(st.integers(1, 3))):
        made = _altered(draw, made, replacements)
    return made


def _altered(draw: st.DrawFn, whole: Any, replacements: st.SearchStrategy[Any]) -> Any:
    if isinstance(whole, dict) and whole and draw(st.integers(0, 9)):
        at = draw(st.sampled_from(sorted(whole, key=str)))
        if not draw(st.integers(0, 9)):
            return {key: value for key, value in whole.items() if key != at}
        return {**whole, at: _altered(draw, whole[at], replacements)}
    if isinstance(whole, list) and whole and draw(st.integers(0, 9)):
        at = draw(st.integers(0, len(whole) - 1))
        return [*whole[:at], _altered(draw, whole[at], replacements), *whole[at + 1 :]]
    return draw(replacements)


@st.composite
def mangled(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with some of them changed, cut off or doubled."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.integers(0, 3)):
            case 0:
                data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1]))
            case 1:
                data[at : at + 4] = draw(st.sampled_from([b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0"]))
            case 2:
                del data[at:]
            case _:
                data[at:at] = data[at : at + draw(st.integers(1, 30))]
    return bytes(data)


def is_safe(ran: Ran) -> None:
    """It ended with a code that is no bug, and nothing that it wrote moves a cursor."""
    assert ran.code in CODES, (ran.code, ran.err)
    assert "Traceback" not in ran.err
    for text in (ran.out, ran.err):
        found = UNSAFE.search(text)
        assert found is None, (found, text)

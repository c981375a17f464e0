"""Text of the outside world made fit to be shown: no terminal escapes, no control characters, one line.

A log line, a database value or an error of a server may hold anything; printed raw it could move the cursor, change
the title or hide what stands before it.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # OSC and other strings: titles, links
    r"|\x9b[0-?]*[ -/]*[@-~]"  # CSI in one byte
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
# Besides C0 and C1: line and paragraph separators, marks that turn the writing direction, lone surrogates.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BREAK = re.compile(r"[\r\n\t\x0b\x0c\x85\u2028\u2029]+")
_SUSPECT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    r"""The text on one line, without escapes and control characters; line breaks and tabs become one space.

    >>> clean("\x1b[31mred\x1b[0m\nand [bold]more[/bold]")
    'red and [bold]more[/bold]'
    """
    if not _SUSPECT.search(text):
        return text
    return _CONTROL.sub("", _BREAK.sub(" ", _ESCAPE.sub("", text)))

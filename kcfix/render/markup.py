"""HTML put together from parts that can't be forgotten to be escaped: only a `Html` goes in as it is."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from kcfix.clean import clean


class Html(str):
    """Text that is markup already. Everything else is cleaned and escaped where it is put in."""

    __slots__ = ()


Part = str | None
"""A child of an element: `Html` as it is, other text escaped, None left out."""

_EMPTY = frozenset({"meta", "path", "rect", "line", "circle"})


class Markup:
    """Makes elements. `scrub` takes secrets out of every text before it is escaped."""

    def __init__(self, scrub: Callable[[str], str] = str) -> None:
        self._scrub = scrub

    def text(self, text: str) -> Html:
        """The text without control characters and secrets, escaped, so that it is text wherever it stands."""
        return Html(escape(self._scrub(clean(text)), quote=True))

    def join(self, *parts: Part) -> Html:
        """The parts one after the other."""
        return Html("".join(p if isinstance(p, Html) else self.text(p) for p in parts if p is not None))

    def __call__(self, tag: str, *parts: Part, **attributes: str) -> Html:
        """An element: `class_` is its class, and `_` in a name of an attribute is `-`."""
        given = "".join(
            f' {name.rstrip("_").replace("_", "-")}="{self.text(value)}"' for name, value in attributes.items()
        )
        if tag in _EMPTY:
            return Html(f"<{tag}{given}/>" if tag != "meta" else f"<{tag}{given}>")
        return Html(f"<{tag}{given}>{self.join(*parts)}</{tag}>")

"""docs/kcfix.1, which is installed as `man kcfix`."""

from __future__ import annotations

import re
from pathlib import Path

from docs_pages.errors import exit_codes
from docs_pages.man_page import man_page


def manual(changelog: Path) -> str:
    """docs/kcfix.1, with the date of the newest release in this changelog."""
    from kcfix import __version__
    from kcfix.settings import SETTINGS

    newest = re.search(r"^## \[\S+\] - (\S+)", changelog.read_text(encoding="utf-8"), re.MULTILINE)
    meanings: dict[int, list[str]] = {}
    for code, _, meaning in exit_codes():
        meanings.setdefault(code, []).append(" ".join(meaning.split()))
    variables = [(s.variable, plainly(s.help)) for s in SETTINGS]
    variables.append(("KCFIX_CONTEXT", "The context, where -C chooses none."))
    return man_page(
        version=__version__,
        date=newest.group(1) if newest else "",
        exit_codes=[(str(code), " ".join(texts)) for code, texts in meanings.items()],
        variables=variables,
    )


def plainly(markdown: str) -> str:
    """The text without the marks of code."""
    return markdown.replace("`", "")

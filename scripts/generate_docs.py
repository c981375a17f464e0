"""Write the generated pages of docs/: commands, errors, settings, rules and the JSON Schemas. `--check` only compares.

Nothing about commands, settings, errors or documents is typed twice: it comes from the code, and a test fails when a
page is not what the code says.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from docs_pages.commands import commands  # noqa: E402 - the scripts are no package
from docs_pages.compatibility import compatibility  # noqa: E402
from docs_pages.errors import errors  # noqa: E402
from docs_pages.faults import faults  # noqa: E402
from docs_pages.manual import manual  # noqa: E402
from docs_pages.metrics import metrics  # noqa: E402
from docs_pages.permissions import permissions  # noqa: E402
from docs_pages.rules import rules  # noqa: E402
from docs_pages.settings import settings  # noqa: E402

DOCS = ROOT / "docs"
CHANGELOG = ROOT / "CHANGELOG.md"
SEEN = DOCS / "compatibility.json"


def pages() -> dict[Path, str]:
    """All generated files with their content."""
    from kcfix.cli.documents import DOCUMENTS
    from kcfix.cli.shapes import json_schema

    found = {
        DOCS / "commands.md": commands(),
        DOCS / "compatibility.md": compatibility(SEEN),
        DOCS / "errors.md": errors(),
        DOCS / "faults.md": faults(),
        DOCS / "kcfix.1": manual(CHANGELOG),
        DOCS / "settings.md": settings(),
        DOCS / "permissions.md": permissions(),
        DOCS / "monitoring" / "metrics.md": metrics(),
        DOCS / "rules.md": rules(),
    }
    for name, document in DOCUMENTS.items():
        text = json.dumps(json_schema(name, document), indent=2) + "\n"
        found[DOCS / "schemas" / f"{name}.json"] = text
    return found


def stale() -> list[str]:
    """Names of generated files that are not what the code says, and of schemas that belong to no command."""
    wanted = pages()
    wrong = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    wrong += [path for path in (DOCS / "schemas").glob("*.json") if path not in wanted]
    return sorted(str(path.relative_to(ROOT)) for path in wrong)


def main(argv: list[str]) -> int:
    """Write the pages, or with `--check` say which are stale."""
    os.environ.pop("COLUMNS", None)
    if "--check" in argv:
        wrong = stale()
        for name in wrong:
            print(f"{name} is not what the code says: run `make docs`", file=sys.stderr)
        return 1 if wrong else 0
    wanted = pages()
    for path in (DOCS / "schemas").glob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The arrow of the design: who may import whom. Held over the syntax trees, so that lazy imports count as well."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kcfix"

LEAVES = {"errors", "flow", "clean", "jsonable", "parallel", ""}
"""Imported by all, and by themselves import only each other. `''` is the package: its version."""

MAY_IMPORT = {
    **dict.fromkeys(LEAVES, LEAVES),
    "core": LEAVES | {"core"},
    "render": LEAVES | {"render"},
    "adapters": LEAVES | {"core", "adapters"},
    "settings": LEAVES | {"core", "settings"},
    "services": LEAVES | {"core", "settings", "adapters", "render", "services"},
    "drill": LEAVES | {"core", "adapters", "drill"},
    "cli": LEAVES | {"core", "render", "settings", "services", "drill", "cli"},
    "main": LEAVES | {"core", "render", "settings", "services", "cli"},
    "__main__": {"main"},
}

LIBRARIES = {
    "typer": {"cli", "main"},
    "rich": {"render"},
    "tabulate": {"render"},
    "docker": {"adapters", "drill"},
    "kafka": {"adapters", "drill"},
    "psycopg": {"adapters", "drill"},
}

NO_IO = {"os", "sys", "socket", "subprocess", "time", "random", "pathlib", "io", "shutil", "tempfile"}
"""Modules of the standard library by which the core would touch the world."""


def room_of(path: Path) -> str:
    """The room that a file lies in: the first part under the package, without `.py`; '' for the package itself."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every module that the file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            module = node.module or ""
            if module == "kcfix":
                yield from ((node.lineno, f"kcfix.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


FILES = sorted(PACKAGE.rglob("*.py"))


def room_imported(name: str) -> str | None:
    """The room of kcfix that an imported module lies in; None for other modules."""
    parts = name.split(".")
    if parts[0] != "kcfix":
        return None
    if len(parts) == 1 or parts[1].startswith("__version"):
        return ""
    return parts[1]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_along_the_arrow(path: Path) -> None:
    allowed = MAY_IMPORT[room_of(path)]
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imports(path)
        if (room := room_imported(name)) is not None and room not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imports(path)
        if room_of(path) not in LIBRARIES.get(name.partition(".")[0], {room_of(path)})
    ]
    assert wrong == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda p: p.name)
def test_the_core_touches_nothing(path: Path) -> None:
    wrong = [f"{path.name}:{line} imports {name}" for line, name in imports(path) if name.partition(".")[0] in NO_IO]
    calls = [
        f"{path.name}:{node.lineno} asks the clock or the terminal"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today") and _is_datetime(node.value))
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("open", "print", "input")
        )
    ]
    assert wrong + calls == []


def _is_datetime(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("datetime", "date")


def test_every_room_is_known() -> None:
    assert {room_of(path) for path in FILES} <= set(MAY_IMPORT)

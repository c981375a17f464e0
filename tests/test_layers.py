"""The arrow of the design: who may import whom. Held over the syntax trees, so that lazy imports count as well."""

from __future__ import annotations

import ast
from functools import cache
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
    "prometheus_client": {"adapters"},
}

NO_IO = {"os", "sys", "socket", "subprocess", "time", "random", "pathlib", "io", "shutil", "tempfile"}
"""Modules of the standard library by which the core would touch the world."""


def room_of(path: Path) -> str:
    """The room that a file lies in: the first part under the package, without `.py`; '' for the package itself."""
    first = path.relative_to(PACKAGE).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and full name of every module that the file imports, anywhere in it."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            module = node.module or ""
            if module == "kcfix":
                found += [(node.lineno, f"kcfix.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, module))
    return tuple(found)


FILES = sorted(PACKAGE.rglob("*.py"))


def room_imported(name: str) -> str | None:
    """The room of kcfix that an imported module lies in; None for other modules."""
    parts = name.split(".")
    if parts[0] != "kcfix":
        return None
    if len(parts) == 1 or parts[1].startswith("__version"):
        return ""
    return parts[1]


def where(path: Path, line: int) -> str:
    """The place, as a person would look it up."""
    return f"{path.relative_to(ROOT)}:{line}"


def test_imports_go_along_the_arrow() -> None:
    wrong = [
        f"{where(path, line)} imports {name}"
        for path in FILES
        for line, name in imports(path)
        if (room := room_imported(name)) is not None and room not in MAY_IMPORT[room_of(path)]
    ]
    assert wrong == []


def test_libraries_stay_in_their_rooms() -> None:
    wrong = [
        f"{where(path, line)} imports {name}"
        for path in FILES
        for line, name in imports(path)
        if room_of(path) not in LIBRARIES.get(name.partition(".")[0], {room_of(path)})
    ]
    assert wrong == []


def test_the_core_touches_nothing() -> None:
    core = [path for path in FILES if room_of(path) == "core"]
    wrong = [
        f"{where(path, line)} imports {name}"
        for path in core
        for line, name in imports(path)
        if name.partition(".")[0] in NO_IO
    ]
    wrong += [
        f"{where(path, node.lineno)} asks the clock or the terminal"
        for path in core
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute | ast.Call) and _asks_the_world(node)
    ]
    assert wrong == []


def _asks_the_world(node: ast.Attribute | ast.Call) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("open", "print", "input")
    return node.attr in ("now", "utcnow", "today") and _is_datetime(node.value)


@pytest.mark.parametrize(
    ("room", "source", "broken"),
    [
        ("core", "import kcfix.adapters.kafka", True),
        ("core", "def f():\n    from kcfix.render import view", True),
        ("render", "from kcfix import services", True),
        ("render", "from kcfix import clean", False),
        ("cli", "from kcfix.services import Services", False),
    ],
)
def test_the_test_sees_a_wrong_import(tmp_path: Path, room: str, source: str, broken: bool) -> None:
    path = tmp_path / "probe.py"
    path.write_text(source)
    rooms = [room_imported(name) for _, name in imports(path)]
    assert any(r is not None and r not in MAY_IMPORT[room] for r in rooms) is broken


def _is_datetime(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("datetime", "date")


def test_every_room_is_known() -> None:
    assert {room_of(path) for path in FILES} <= set(MAY_IMPORT)

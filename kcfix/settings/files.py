"""The settings files and the contexts in them.

`./kcfix.toml` (the project's) goes before `kcfix/config.toml` in `$XDG_CONFIG_HOME` or `~/.config` (the user's). Keys
at the top belong to the default context; `[contexts.NAME]` tables are named ones. A named context takes nothing from
the top. `drill` and `drill:NAME` are the contexts of drills, written by `kcfix drill up`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kcfix.errors import NotFound, UsageError

DEFAULT = "default"
DRILL = "drill"
PROJECT_FILE = "kcfix.toml"
_TOP = ("contexts", "default_context")


@dataclass(frozen=True, slots=True)
class Layer:
    """A table of settings and where it stands, to be shown as the origin of its values."""

    where: str
    values: Mapping[str, object]
    users: bool = True
    """Whether it is the user's own file: one that lies in a folder may be anybody's, and is not to run programs."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The context that was chosen, with its tables, the strongest first."""

    name: str
    named: bool
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...]


def home_folder(environ: Mapping[str, str]) -> Path:
    """The user's home folder."""
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def xdg(environ: Mapping[str, str], variable: str, *fallback: str) -> Path:
    """A base folder by the XDG rules: a relative path in the variable is ignored."""
    value = environ.get(variable, "")
    return Path(value) if value.startswith("/") else home_folder(environ).joinpath(*fallback)


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where kcfix keeps its own files unless told otherwise."""
    return xdg(environ, "XDG_STATE_HOME", ".local", "state") / "kcfix"


def file_paths(environ: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """The settings files that are read if they are there, the strongest first."""
    return (folder / PROJECT_FILE, xdg(environ, "XDG_CONFIG_HOME", ".config") / "kcfix" / "config.toml")


def read(path: Path) -> Mapping[str, object] | None:
    """The file's tables; None if there is no such file.

    Raises:
        UsageError: the file can't be read or is no TOML. Nothing was asked.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"can't read the settings in {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the settings in {path} are no valid TOML: {error}") from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean …?)` where a known word is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def choose(wish: str | None, environ: Mapping[str, str], folder: Path, known: Iterable[str]) -> Chosen:
    """The context of that name, or the default one, from the files that are there.

    `wish` is what flag or environment say. `known` are the names of all settings: other keys give a warning.

    Raises:
        NotFound: there is no such context (or drill).
        UsageError: a file can't be understood.
    """
    files = [(path, content) for path in file_paths(environ, folder) if (content := read(path)) is not None]
    if wish is None:
        wish = next((_text(path, c["default_context"]) for path, c in files if "default_context" in c), None)
    known = tuple(known)
    warnings: list[str] = []
    for path, content in files:
        warnings += _unknown(content, (*known, *_TOP), str(path))
        _tables(path, content)
    if wish is None or (wish == DEFAULT and not _contexts(files, DEFAULT)):
        layers = [
            Layer(str(path), {k: v for k, v in c.items() if k not in _TOP}, _is_users(path, folder))
            for path, c in files
        ]
        return Chosen(DEFAULT, False, tuple(layer for layer in layers if layer.values), tuple(warnings))
    named = tuple(replace(layer, users=_is_users(path, folder)) for path, layer in _contexts(files, wish))
    if not named and (wish == DRILL or wish.startswith(f"{DRILL}:")):
        named = (_drill(wish, environ),)
    if not named:
        raise NotFound(f"no context {wish!r}", hint=_contexts_hint(files, environ, folder, wish))
    for layer in named:
        warnings += _unknown(layer.values, known, layer.where)
    return Chosen(wish, True, named, tuple(warnings))


def known_contexts(environ: Mapping[str, str], folder: Path) -> tuple[str, ...]:
    """The names of all contexts: the default one, those of the files by name, then those of drills.

    Raises:
        UsageError: a file can't be understood.
    """
    files = [(path, content) for path in file_paths(environ, folder) if (content := read(path)) is not None]
    named = {str(name) for path, content in files for name in _tables(path, content)}
    drills = sorted(path.parent.name for path in (state_folder(environ) / "drill").glob("*/context.toml"))
    return (
        *dict.fromkeys((DEFAULT, *sorted(named), *(DRILL if name == DRILL else f"{DRILL}:{name}" for name in drills))),
    )


def default_choice(environ: Mapping[str, str], folder: Path) -> tuple[str, Path] | None:
    """The context that a file's `default_context` names, with that file; None where none does."""
    for path in file_paths(environ, folder):
        content = read(path)
        if content is not None and "default_context" in content:
            return _text(path, content["default_context"]), path
    return None


def _text(path: Path, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"default_context in {path} must be a name")
    return value


def _unknown(values: Mapping[str, object], known: tuple[str, ...], where: str) -> list[str]:
    return [f"{where}: unknown key {key!r}{did_you_mean(key, known)}" for key in values if key not in known]


def _tables(path: Path, content: Mapping[str, object]) -> Mapping[str, object]:
    tables = content.get("contexts", {})
    if not isinstance(tables, Mapping):
        raise UsageError(f"contexts in {path} must be tables, as in [contexts.NAME]")
    return tables


def _is_users(path: Path, folder: Path) -> bool:
    return path != folder / PROJECT_FILE


def _contexts(files: list[tuple[Path, Mapping[str, object]]], name: str) -> list[tuple[Path, Layer]]:
    layers = []
    for path, content in files:
        table = _tables(path, content).get(name)
        if isinstance(table, Mapping):
            layers.append((path, Layer(f"{path} [contexts.{name}]", table)))
        elif table is not None:
            raise UsageError(f"contexts.{name} in {path} must be a table")
    return layers


def _drill(wish: str, environ: Mapping[str, str]) -> Layer:
    name = wish.partition(":")[2] or DRILL
    again = "kcfix drill up" + ("" if name == DRILL else f" --name {name}")
    missing = NotFound(f"no context {wish!r}: there is no drill {name!r}", hint=again)
    if "/" in name or name.startswith("."):
        raise missing
    path = state_folder(environ) / "drill" / name / "context.toml"
    content = read(path)
    if content is None:
        raise missing
    return Layer(str(path), content)


def _contexts_hint(
    files: list[tuple[Path, Mapping[str, object]]], environ: Mapping[str, str], folder: Path, wish: str
) -> str:
    names = sorted({str(name) for path, content in files for name in _tables(path, content)})
    if names:
        return f"known contexts: {', '.join(names)}{did_you_mean(wish, names)}"
    paths = " or ".join(str(path) for path in file_paths(environ, folder))
    return f"contexts are [contexts.NAME] tables in {paths}"

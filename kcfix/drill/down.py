"""Take a drill down: everything with its label, and its data folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress

from kcfix.drill import image
from kcfix.drill.engine import Engine, connected
from kcfix.drill.state import DEFAULT_NAME, checked_name, exclusive, folder, home


def down(name: str = DEFAULT_NAME, progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """Remove every container, network and volume that carries the drill's label, and its data folder; what was removed.

    Works after a crash and without the state file. An empty list: there was nothing.

    Raises:
        Unreachable: the Docker Engine did not answer; the data folder is kept then. Run it again.
    """
    with connected() as engine, exclusive(checked_name(name)):
        return take_down(engine, checked_name(name), progress)


def take_down(engine: Engine, name: str, progress: Callable[[str], None], *, keep_folder: bool = False) -> list[str]:
    """`down` on an engine that is already open. `keep_folder` empties the folder only: it is what a lock is held on."""
    removed = engine.remove_all(name, progress)
    at = folder(name)
    if at.exists():
        within = list(at.iterdir())
        if within:
            removed.append(str(at))
        for path in within:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if not keep_folder:
            at.rmdir()
    with suppress(OSError):  # another drill's folder is in it
        home().rmdir()
    image.remove_unused(engine)
    return removed

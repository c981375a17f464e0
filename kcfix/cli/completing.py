"""The names that the shell completes. Typer does the shells; silence is kept whatever happens."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from kcfix.cli.words import VARIABLE

if TYPE_CHECKING:
    from kcfix.services import Services


def answer_shell(instruction: str) -> int:
    """Write how the line in the environment could go on, as the shell's script of `kcfix completion` wants it."""
    from kcfix.cli.app import root
    from kcfix.cli.completing_shells import MACHINERY, adapt

    gc.disable()  # the process ends before it could be of use
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        try:
            MACHINERY.completion_init()
            adapt()
            return int(MACHINERY.shell_complete(root(), {}, "kcfix", VARIABLE, instruction))
        except SystemExit as leave:
            return leave.code if isinstance(leave.code, int) else 0
        except Exception:  # noqa: BLE001 - a key that was pressed for help must not be answered with a complaint
            return 1


Complete = Callable[[typer.Context, str], Sequence[Any]]


def _silently(find: Callable[[Services, typer.Context], Sequence[str]]) -> Complete:
    """As Typer wants it: the names that begin so; none where anything goes wrong."""

    def complete(ctx: typer.Context, incomplete: str) -> Sequence[Any]:
        from kcfix.cli.options import given
        from kcfix.services import Services

        services = Services()
        services.given = given(ctx)
        try:
            return [name for name in find(services, ctx) if name.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - see above
            return []

    return complete


def _live(source: str, kind: str) -> Callable[[Services, typer.Context], Sequence[str]]:
    def find(services: Services, ctx: typer.Context) -> Sequence[str]:
        from kcfix.services import names

        return names.names(services, getattr(names, source), kind)

    return find


def _contexts(services: Services, ctx: typer.Context) -> Sequence[str]:
    from kcfix.services.names import SAFE
    from kcfix.settings.files import known_contexts

    return [name for name in known_contexts(services.environ, services.folder) if SAFE.fullmatch(name)]


def _drills(services: Services, ctx: typer.Context) -> Sequence[str]:
    known = _contexts(services, ctx)
    return [name.partition(":")[2] or name for name in known if name.partition(":")[0] == "drill"]


def _workers(services: Services, ctx: typer.Context) -> Sequence[str]:
    known = [name for stage in services.flow.stages for name in (stage.worker, stage.name)]
    return [*known, *_live("DOCKER", "containers")(services, ctx)]


def _faults(services: Services, ctx: typer.Context) -> Sequence[str]:
    from kcfix.services.names import Source, names

    def fetch(services: Services, up: Callable[[], None]) -> MutableMapping[str, Sequence[str]]:
        up()
        from kcfix.drill.faults import faults

        return {"faults": [fault.name for fault in faults()]}

    return names(services, Source("faults", fetch), "faults")


def _codes(services: Services, ctx: typer.Context) -> Sequence[str]:
    from kcfix.core.doctor.rules import RULES

    return [rule.code for rule in RULES]


complete_context = _silently(_contexts)
complete_drill = _silently(_drills)
complete_group = _silently(_live("KAFKA", "groups"))
complete_topic = _silently(_live("KAFKA", "topics"))
complete_worker = _silently(_workers)
complete_fault = _silently(_faults)
complete_run = _silently(_live("JOURNAL", "runs"))
complete_code = _silently(_codes)

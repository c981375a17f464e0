"""docs/errors.md: exit codes and what they mean."""

from __future__ import annotations

import inspect

from docs_pages import NOTE


def exit_codes() -> list[tuple[int, str, str]]:
    """Code, kind and meaning of every exit code; those of signals last."""
    from kcfix import errors as module

    plain = [
        (module.OK, "", "Done, or nothing is wrong. A closed pipe, for commands that only look."),
        (module.NOT_WELL, "", "kcfix ran, and what it looked at is not well."),
    ]
    kinds = [
        (kind.code, kind.kind, inspect.cleandoc(kind.__doc__ or ""))
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, module.KcfixError) and kind is not module.KcfixError
    ]
    signals = [
        (module.INTERRUPTED, "", "Interrupted by Ctrl-C (SIGINT). `kcfix history` says what was changed before."),
        (module.TERMINATED, "", "Terminated by SIGTERM. `kcfix history` says what was changed before."),
    ]
    rows = sorted(plain + kinds, key=lambda row: row[0])
    return [*rows, *signals]


def errors() -> str:
    """docs/errors.md."""
    lines = [
        NOTE,
        "# Exit codes and errors\n",
        "Every failure is one line on standard error, mostly with a hint, and one of these codes. With `-o json` it is "
        "also in `errors` of the document, as `{code, kind, message, hint}`. A traceback is printed only for a bug, "
        "and only with `-vv` or `KCFIX_DEBUG=1`. Where several hold, the worst is reported: 6 > 4 > 5 > 3 > 1 > 0.\n",
        "| Code | `kind` | Meaning |",
        "|---:|---|---|",
    ]
    for code, kind, meaning in exit_codes():
        lines.append(f"| {code} | {f'`{kind}`' if kind else ''} | {' '.join(meaning.split())} |")
    return "\n".join(lines) + "\n"

"""`main(argv, services) -> exit code`: the only place where errors become words and codes."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, TextIO

import typer
from typer import TyperException

from kcfix.clean import clean
from kcfix.cli.words import VARIABLE, command_in, format_in
from kcfix.errors import INTERRUPTED, OK, TERMINATED, Bug, KcfixError, Unreachable, UsageError
from kcfix.render.style import Format, Style, style_of
from kcfix.render.view import Problem, View

if TYPE_CHECKING:
    from kcfix.services import Services


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Terminated(BaseException):
    """SIGTERM, as an exception: adapters close, and a change that is under way is journalled."""


def main(argv: Sequence[str], services: Services | None = None) -> int:
    """Run one command line; returns the exit code and never raises.

    Without `services` (as the script does) SIGTERM is turned into an exception and real adapters are used.
    """
    if services is None and (instruction := os.environ.get(VARIABLE)):
        from kcfix.cli.completing import answer_shell

        return answer_shell(instruction)
    with _sigterm_as_exception() if services is None else contextlib.nullcontext():
        return _Run(tuple(argv), services).code()


@contextlib.contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Run:
    """One command line on its way to an exit code. The parser's context carries it to the commands."""

    def __init__(self, argv: tuple[str, ...], services: Services | None) -> None:
        self.argv = argv
        self._services = services
        self.given: Mapping[str, object] = {}

    def services(self, given: Mapping[str, object]) -> Services:
        """The services of this run, told what was given of the shared options."""
        if self._services is None:
            from kcfix.services import Services

            self._services = Services()
        self.given = given
        self._services.given = given
        self._services.argv = self.argv
        return self._services

    @property
    def out(self) -> TextIO:
        return self._services.stdout if self._services else sys.stdout

    @property
    def err(self) -> TextIO:
        return self._services.stderr if self._services else sys.stderr

    def code(self) -> int:
        try:
            try:
                result = self._parse_and_run()
                if isinstance(result, View):
                    return self._finish(result)
                self._say_missing_rights()
                return int(result or OK)
            finally:
                if self._services is not None:
                    self._services.close()
        except (KeyboardInterrupt, typer.Abort):
            return self._failed(Problem(INTERRUPTED, "interrupted", "interrupted"))
        except Terminated:
            return self._failed(Problem(TERMINATED, "terminated", "terminated"))
        except typer.Exit as leave:
            return leave.exit_code
        except Exception as error:  # noqa: BLE001 - the last door: whatever it is becomes one line and a code
            if isinstance(error, BrokenPipeError) and _is_closed(self.out):
                _give_up_output(self.out)
                return OK
            if isinstance(error, OSError) and error.errno in _DISK_FULL and error.filename is None:
                # Help and streams write as they go; all other writing says itself which file it was about.
                self._say(f"can't write to standard output: {error.strerror}")
                _give_up_output(self.out)
                return Unreachable.code
            return self._fail(error)

    def _parse_and_run(self) -> View | int | None:
        from kcfix.cli.app import root

        # Help and the like are written by the parser to sys.stdout.
        with contextlib.redirect_stdout(self.out), contextlib.redirect_stderr(self.err):
            parser = root()
            with parser.make_context("kcfix", list(self.argv) or ["--help"], obj=self) as ctx:
                result: View | int | None = parser.invoke(ctx)
                self.out.flush()
                return result

    # from a view to text

    def _style(self) -> Style:
        given: Mapping[str, object] = self.given
        if not given and (wish := format_in(self.argv)):
            # The command line could not be parsed to its end: its words themselves are the best that there is.
            given = {"output": wish}
        tty = bool(getattr(self.out, "isatty", lambda: False)())
        return style_of(given, self._environ, tty=tty, scrub=self._redact)

    @property
    def _environ(self) -> Mapping[str, str]:
        return self._services.environ if self._services else os.environ

    def _redact(self, text: str) -> str:
        from kcfix.core.redact import redact

        return self._services.redact(text) if self._services else redact(text)

    def _finish(self, view: View) -> int:
        settings = self._services.settings_if_loaded if self._services else None
        if self._services is not None:
            said = " ".join(str(problem.hint) for problem in view.errors)
            warnings = (
                *(settings.warnings if settings else ()),
                *self._services.password_warnings,
                *view.warnings,
                *self._services.journal_problems,
                *self._services.missing_rights.told(said),
            )
            view = replace(view, warnings=tuple(dict.fromkeys(warnings)))
        if self._services is not None:
            from kcfix.cli.invocation import view_as_called

            view = view_as_called(view, self._services)
        style = self._style()
        for warning in view.warnings:
            self._say(f"warning: {warning}")
        try:
            self._write(view, style, settings.context if settings else None)
        except OSError as error:
            closed = isinstance(error, BrokenPipeError)
            if not closed:
                self._say(f"can't write to standard output: {error.strerror or error}")
            _give_up_output(self.out)
            if view.changed:
                return view.exit_code
            return OK if closed else Unreachable.code
        for problem in view.errors:
            self._say(problem.message, problem.hint)
        return view.exit_code

    def _write(self, view: View, style: Style, context: str | None) -> None:
        from datetime import UTC, datetime

        from kcfix.render.formats import Envelope, write

        now = self._services.now() if self._services else datetime.now(UTC)
        write(view, Envelope(now, context), style, self.out)
        self.out.flush()

    # from an error to words and a code

    def _fail(self, error: Exception) -> int:
        known = _translated(error)
        if known.hint and self._services is not None:
            from kcfix.cli.invocation import as_called

            known.hint = as_called(known.hint, self._services)
        for warning in self._services.password_warnings if self._services is not None else ():
            self._say(f"warning: {warning}")
        self._say(known.message, known.hint)
        self._say_missing_rights(str(known.hint))
        if isinstance(known, Bug) and self._wants_traceback():
            import traceback

            text = "".join(traceback.format_exception(error))
            with contextlib.suppress(OSError):
                self.err.write(self._redact(text))
        return self._document(Problem(known.code, known.kind, known.message, known.hint))

    def _say_missing_rights(self, said: str = "") -> None:
        """A warning for each right that was missing, but for those whose line was said already."""
        for told in self._services.missing_rights.told(said) if self._services is not None else ():
            self._say(f"warning: {told}")

    def _failed(self, problem: Problem) -> int:
        self._say(problem.message, problem.hint)
        self._say_missing_rights()
        return self._document(problem)

    def _document(self, problem: Problem) -> int:
        """Where JSON was asked for, say the failure in it as well: as a document, or as the last line of a stream."""
        style = self._style()
        if style.format in (Format.JSON, Format.JSONL):
            if self._services is not None and self._services.streaming:
                style = replace(style, format=Format.JSONL)
            settings = self._services.settings_if_loaded if self._services else None
            view = View(command_in(self.argv), (), (), errors=(problem,), exit_code=problem.code)
            try:
                self._write(view, style, settings.context if settings else None)
            except OSError:
                _give_up_output(self.out)
        return problem.code

    def _wants_traceback(self) -> bool:
        verbose = self.given.get("verbose")
        return bool(self._environ.get("KCFIX_DEBUG")) or (isinstance(verbose, int) and verbose >= 2)

    def _say(self, message: str, hint: str | None = None) -> None:
        """One line on standard error, and one for the hint."""
        with contextlib.suppress(OSError, ValueError):
            self.err.write(f"kcfix: {self._redact(clean(message))}\n")
            if hint:
                self.err.write(f"  hint: {self._redact(clean(hint))}\n")
            self.err.flush()


def _translated(error: Exception) -> KcfixError:
    if isinstance(error, KcfixError):
        return error
    if isinstance(error, TyperException):
        path = getattr(getattr(error, "ctx", None), "command_path", "kcfix")
        return UsageError(error.format_message().rstrip("."), hint=f"{path} --help")
    return Bug(
        f"a bug in kcfix: {type(error).__name__}: {error}",
        hint="run it again with -vv and report what it prints; `kcfix history` has what was changed",
    )


def _is_closed(out: TextIO) -> bool:
    """Whether nobody reads the output any more. Another pipe, to some system, may have broken instead."""
    try:
        out.write("")
        out.flush()
        watch = select.poll()
        watch.register(out.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
    except BrokenPipeError:
        return True
    except (OSError, ValueError):
        return False


def _give_up_output(out: TextIO) -> None:
    """Let nothing more be written to a pipe that nobody reads: the interpreter would complain when it leaves."""
    if out is not sys.stdout:
        return
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)

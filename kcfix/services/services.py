"""What a run works with: its systems, its terminal, its clock. Tests build it with fakes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from kcfix.core.redact import redact
from kcfix.errors import KcfixError, Refused
from kcfix.services.bar import Lines, ProgressBar
from kcfix.services.systems import Systems, host_now

if TYPE_CHECKING:
    from kcfix.adapters.http_pages import Server
    from kcfix.core.journal import Journal
    from kcfix.core.ports.database import DatabasePort
    from kcfix.core.ports.docker import DockerPort
    from kcfix.core.ports.kafka import KafkaPort
    from kcfix.core.watching.metrics_kinds import Family, Write
    from kcfix.core.watching.pages import Answer
    from kcfix.render.screen import Screen
    from kcfix.render.stream import Stream
    from kcfix.render.style import Style

T = TypeVar("T")


class Services(Systems):
    """Everything that is not a pure function of the command line."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        now: Callable[[], datetime] = host_now,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        kafka: KafkaPort | None = None,
        docker: DockerPort | None = None,
        database: DatabasePort | None = None,
        journal: Journal | None = None,
        resolves: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(
            environ=environ, folder=folder, now=now, kafka=kafka, docker=docker, database=database, journal=journal
        )
        self.stdin = stdin or sys.stdin
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr
        self.sleep = sleep
        self._resolves = resolves
        self.monotonic = monotonic
        self.argv: tuple[str, ...] = ()
        """The command line, with secrets in it: never shown or written as it is."""
        self.streaming = False
        """Whether `stream` was used: then a failure is a line of it, and no document of its own."""

    def resolves(self, host: str) -> bool:
        """Whether this host knows the name, or it is an address."""
        if self._resolves is not None:
            return self._resolves(host)
        from kcfix.adapters.addresses import is_known

        return is_known(host)

    def modified_at(self, paths: Iterable[str]) -> Mapping[str, datetime]:
        """When files of this host were last written; those that can't be looked at are left out."""
        from kcfix.adapters.files import modified_at

        return modified_at(paths)

    def readable_by_others(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those files of this host that users beside their owner may read."""
        from kcfix.adapters.files import readable_by_others

        return readable_by_others(paths)

    @property
    def zone(self) -> tzinfo | None:
        """Zone in which times are shown to people: UTC with --utc, else None for the local one."""
        return UTC if self.settings.utc else None

    @property
    def quiet(self) -> bool:
        """Whether `-q` was given."""
        return bool(self.given.get("quiet"))

    @property
    def verbosity(self) -> int:
        """How many times `-v` was given."""
        verbose = self.given.get("verbose")
        return verbose if isinstance(verbose, int) else 0

    def progress(self, text: str) -> None:
        """Say what is being done, on standard error, if a person is watching there and `-q` was not given."""
        if self.stderr.isatty() and not self.quiet:
            from kcfix.clean import clean

            self.stderr.write(f"{clean(text)}\n")
            self.stderr.flush()

    def bar(self, total: int) -> ProgressBar:
        """How far a run over `total` things is: a bar on standard error where a person watches; used in a `with`."""
        if total < 2 or self.quiet or not self.stderr.isatty():
            return Lines(self.progress)
        from kcfix.render.progress import Bar

        return Bar(self.stderr, total, color=self.style().color)

    def warn(self, text: str) -> None:
        """Say on standard error what is doubtful about a stream, which has no place for it."""
        from kcfix.clean import clean

        self.stderr.write(f"kcfix: {self.redact(clean(text))}\n")
        self.stderr.flush()

    def ask(self, question: str) -> bool:
        """Whether a person at the terminal answers yes. The question goes to standard error; Enter alone is no.

        Raises:
            Refused: there is no terminal to ask at. Nothing was changed.
        """
        return self._answer(f"{question} [y/N] ").lower() in ("y", "yes")

    def ask_count(self, question: str, count: int) -> bool:
        """Whether a person at the terminal types this very number: nobody does that without having read it.

        Raises:
            Refused: there is no terminal to ask at. Nothing was changed.
        """
        return self.ask_word(question, str(count))

    def ask_word(self, question: str, word: str) -> bool:
        """The same with a word.

        Raises:
            Refused: there is no terminal to ask at. Nothing was changed.
        """
        return self._answer(f"{question} Type {word} to go ahead: ") == word

    def _answer(self, prompt: str) -> str:
        if not (self.stdin.isatty() and self.stderr.isatty()):
            raise Refused("there is no terminal to ask at", hint="add --yes to go ahead without the question")
        self.stderr.write(prompt)
        self.stderr.flush()
        answer = self.stdin.readline()
        if not answer.endswith("\n"):
            self.stderr.write("\n")
        return answer.strip()

    def readings(
        self, tasks: Mapping[str, Callable[[], T]], *, deadline: float | None = None
    ) -> Mapping[str, T | KcfixError]:
        """Run several readings at once, each in a thread; one that fails or is late is the error in place of its value.

        `deadline` in seconds; None for the settings' timeout plus the time to connect. Errors that are no KcfixError
        are raised: they are defects. Late threads are left behind; they hold no lock and change nothing.
        """
        from kcfix.parallel import run_readings

        if deadline is None:
            deadline = (self.settings.timeout + self.settings.connect_timeout).total_seconds()
        return run_readings(tasks, deadline)

    def stream(self, schema: str) -> Stream:
        """A writer for output that never ends (`logs -f`, `lag --watch`): text, or one JSON object a line."""
        from kcfix.render.stream import Stream

        self.streaming = True
        return Stream(schema, self.style(), self.stdout)

    def metrics_writer(self, families: Callable[[], Iterable[Family]]) -> Write:
        """Writes metrics as Prometheus reads them.

        Raises:
            UsageError: the library for it is not installed.
        """
        from kcfix.adapters.prometheus import writer

        return writer(families)

    def serve(self, answer: Answer) -> Server:
        """Listens at the setting `listen` and answers by HTTP, until it is closed.

        Raises:
            UsageError: the address can't be listened at.
        """
        from kcfix.adapters.http_pages import serve

        host, _, port = self.settings.listen.rpartition(":")
        return serve(host.strip("[]"), int(port), answer)

    def screen(self) -> Screen:
        """A screen of its own on the terminal of standard output, used in a `with`."""
        from kcfix.render.screen import Screen

        return Screen(self.stdout, self.style(), self.environ)

    def style(self) -> Style:
        """How to write, from the flags and the terminal."""
        from kcfix.render.style import style_of

        return style_of(self.given, self.environ, tty=self.stdout.isatty(), scrub=self.redact)

    def redact(self, text: str) -> str:
        """The text without the secrets that are known or can be told by their form."""
        return redact(text, self.secrets)

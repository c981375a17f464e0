"""The journal as files: `YYYY-MM.jsonl` in a folder that only its owner can read, a line for each record.

Lines are appended whole, by one write, so that two operators need no lock, and are on the disk before the effects that
they announce. A line torn by a crash is closed off by the next writer and passed over by readers.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from kcfix.adapters.operator import who
from kcfix.core.journal import Journal, RunRecord, lines_about, read_runs
from kcfix.core.redact import may_hold_secret, redact, redact_arguments, redact_value
from kcfix.errors import Refused, Unreachable


def open_journal(
    folder: Path, *, environ: Mapping[str, str], now: Callable[[], datetime], secrets: Callable[[], frozenset[str]]
) -> Journal:
    """The journal in this folder; nothing is touched until a run begins. `secrets` are masked wherever they appear."""
    return JournalFiles(folder, who=who(environ), now=now, secrets_known=secrets)


class JournalFiles:
    """The journal of one folder."""

    def __init__(
        self, folder: Path, *, who: str, now: Callable[[], datetime], secrets_known: Callable[[], frozenset[str]]
    ) -> None:
        self._folder = folder
        self._who = who
        self._now = now
        self._secrets = secrets_known
        self._begun: list[RunInFile] = []

    @property
    def problems(self) -> tuple[str, ...]:
        """What the runs of this process could not record."""
        return tuple(problem for run in self._begun for problem in run.problems)

    def begin(self, *, command: str, context: str, argv: Sequence[str], reason: str | None = None) -> RunInFile:
        """Start a run's record."""
        now = self._now().astimezone(UTC)
        path = self._folder / f"{now:%Y-%m}.jsonl"
        try:
            handle = _open(path)
        except OSError as error:
            raise _refused(path, error) from error
        run = RunInFile(f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}", path, handle, self._now, self._secrets)
        try:
            run.write(
                "begin",
                {
                    "version": 1,
                    "who": self._who,
                    "command": command,
                    "context": context,
                    "argv": ["kcfix", *redact_arguments(argv)],
                    "reason": reason or None,
                },
            )
        except OSError as error:
            run.close()
            raise _refused(path, error) from error
        self._begun.append(run)
        return run

    def runs(self, about: Collection[str] | None = None) -> tuple[RunRecord, ...]:
        """All runs on record, the newest first; with `about` only their steps about these payments."""
        try:
            if about is None:
                return read_runs(self._lines(self._files()))
            naming = (file for file in self._files() if _names_one(file, about))
            return read_runs(lines_about(self._lines(naming), about))
        except OSError as error:
            raise Unreachable(
                f"can't read the journal in {self._folder}: {error.strerror}", system="journal"
            ) from error

    def _files(self) -> list[Path]:
        # Not glob: it takes a folder that may not be read, or is none, for an empty one.
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return [self._folder / name for name in sorted(names) if name.endswith(".jsonl")]

    @staticmethod
    def _lines(files: Iterable[Path]) -> Iterator[str]:
        for path in files:
            with path.open(encoding="utf-8", errors="replace") as file:
                yield from file


SEARCHED_AT_MOST = 20
"""Payments for which a file is searched as a whole. Each costs 0.02 s for 100 MB, the reading of all lines 0.4 s."""


def _names_one(path: Path, payments: Collection[str]) -> bool:
    """Whether a file of the journal may name one of these payments (lower-case ids), anywhere. A run is in one file.

    An id is found as kcfix writes it, in lower case, and all in upper case.
    """
    if len(payments) > SEARCHED_AT_MOST:
        return True
    with path.open("rb") as file:
        try:
            text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # a file system that maps nothing; an empty file
            return True
        with text:
            return any(text.find(one.encode()) >= 0 for p in payments for one in (p, p.upper()))


def _refused(path: Path, error: OSError) -> Refused:
    return Refused(
        f"can't write the journal {path}: {error.strerror or error}; without it nothing is changed",
        hint="set state_dir or journal to a folder that can be written (KCFIX_JOURNAL=FOLDER)",
    )


def _open(path: Path) -> int:
    """A handle that appends to the file; the file and its folder are made where missing, and lasting."""
    made = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if new:
            for folder in (path.parent, *(f.parent for f in made)):
                _sync_folder(folder)
    except OSError:
        os.close(handle)
        raise
    return handle


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class RunInFile:
    """The record of a run that is under way."""

    def __init__(
        self,
        run_id: str,
        path: Path,
        handle: int,
        now: Callable[[], datetime],
        secrets_known: Callable[[], frozenset[str]],
    ) -> None:
        self._id = run_id
        self._path = path
        self._handle: int | None = handle
        self._now = now
        self._secrets = secrets_known
        self._steps = 0
        self._problems: list[str] = []

    @property
    def id(self) -> str:
        """Sorts by time."""
        return self._id

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be recorded."""
        return tuple(self._problems)

    def intend(self, step: Mapping[str, object]) -> str:
        """Record what is about to be done."""
        (step_id,) = self.intend_all([step])
        return step_id

    def intend_all(self, steps: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
        """Record what is about to be done, in one write."""
        ids = tuple(str(self._steps + n) for n in range(1, len(steps) + 1))
        try:
            self.write("intend", *({"step": id, "what": what} for id, what in zip(ids, steps, strict=True)))
        except OSError as error:
            raise _refused(self._path, error) from error
        self._steps += len(steps)
        return ids

    def done(self, step_id: str, result: Mapping[str, object]) -> None:
        """Record what became of it."""
        self.done_all([(step_id, result)])

    def done_all(self, results: Iterable[tuple[str, Mapping[str, object]]]) -> None:
        """Record what became of them, in one write."""
        self._try("done", *({"step": id, "result": result} for id, result in results))

    def end(self, code: int, summary: Mapping[str, object] | None = None) -> None:
        """Record the exit code, and close."""
        if self._handle is not None:
            self._try("end", {"code": code, "summary": summary or {}})
            self.close()

    def close(self) -> None:
        """Close the file; a run without `end` is shown as cut short."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            with suppress(OSError):
                os.close(handle)

    def _try(self, kind: str, *entries: Mapping[str, object]) -> None:
        """Write after the effect: a failure can't undo it any more, so it becomes a warning."""
        try:
            self.write(kind, *entries)
        except OSError as error:
            self._problems.append(f"the journal {self._path} lacks a {kind!r} line of run {self._id}: {error.strerror}")

    def write(self, kind: str, *entries: Mapping[str, object]) -> None:
        """Append a line for each entry, whole, and wait until they are on the disk.

        Raises:
            OSError: they are not there, or not whole.
        """
        if self._handle is None:
            raise OSError(0, "it is closed")
        if not entries:
            return
        data = self._text(kind, entries).encode()
        if not self._ends_whole():
            data = b"\n" + data
        if os.write(self._handle, data) != len(data):
            raise OSError(0, "the disk took only a part")
        os.fsync(self._handle)

    def _text(self, kind: str, entries: Sequence[Mapping[str, object]]) -> str:
        """A line for each entry, all of one time. Secrets are looked for in all at once; mostly there are none."""
        from kcfix.jsonable import dumps, plain, plain_dumps

        common, known = {"kind": kind, "run": self._id, "at": plain(self._now())}, self._secrets()
        head = dumps(common).removesuffix("}") + ", "
        text = "".join([f"{head}{plain_dumps(entry)[1:]}\n" for entry in entries])
        if may_hold_secret(text, known):
            whole = (redact_value("", plain({**common, **entry})) for entry in entries)
            masked = (plain(record, lambda part: redact(part, known)) for record in whole)
            text = "".join([f"{dumps(record)}\n" for record in masked])
        return text

    def _ends_whole(self) -> bool:
        """Whether the file ends with a line break: not so after a crash in the middle of a write."""
        assert self._handle is not None  # noqa: S101 - asked only by write
        size = os.fstat(self._handle).st_size
        return size == 0 or os.pread(self._handle, 1, size - 1) == b"\n"

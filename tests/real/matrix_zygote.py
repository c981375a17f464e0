"""Runs of kcfix without starting Python and loading the libraries for each: forks of one process that has loaded them.

Each run is a process of its own all the same, with its own folder, environment and end. `make matrix` has thousands.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class Zygote:
    """The process that is forked; used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen([sys.executable, "-W", "ignore", "-m", __name__], stdin=subprocess.PIPE)

    def close(self) -> None:
        """End it; runs that are under way go on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def run(self, argv: Sequence[str], folder: Path, environ: Mapping[str, str], limit: float) -> tuple[int, str, str]:
        """Exit code, standard output and standard error; after `limit` seconds the run is killed."""
        for name in ("code", "pid"):
            (folder / name).unlink(missing_ok=True)
        job = json.dumps({"argv": list(argv), "folder": str(folder), "environ": dict(environ)})
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(job.encode() + b"\n")
            self._process.stdin.flush()
        end = time.monotonic() + limit
        while not (folder / "code").exists():
            if time.monotonic() > end:
                if (folder / "pid").exists():
                    os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
                break
            time.sleep(0.02)
        code = int((folder / "code").read_text()) if (folder / "code").exists() else -9
        return code, _text(folder / "stdout"), _text(folder / "stderr")


def _text(path: Path) -> str:
    return path.read_bytes().decode(errors="replace") if path.exists() else ""


def _serve() -> None:
    import kcfix.adapters.docker
    import kcfix.adapters.kafka
    import kcfix.adapters.kafka_commit
    import kcfix.adapters.kafka_send
    import kcfix.adapters.postgres
    import kcfix.cli.app
    import kcfix.render.console

    kcfix.cli.app.root()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        if os.fork() == 0:
            _watch(json.loads(line))


def _watch(job: dict[str, object]) -> None:
    """Fork once more, and write down how that one ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    folder = Path(str(job["folder"]))
    pid = os.fork()
    if pid == 0:
        _play(job, folder)
    (folder / "pid").write_text(str(pid))
    _, status = os.waitpid(pid, 0)
    (folder / "code.new").write_text(str(os.waitstatus_to_exitcode(status)))
    (folder / "code.new").rename(folder / "code")
    os._exit(0)


def _play(job: dict[str, object], folder: Path) -> None:
    from kcfix.__main__ import run

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(job["environ"])  # type: ignore[call-overload]
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - the old one holds what was read ahead of other jobs
    sys.argv = ["kcfix", *job["argv"]]  # type: ignore[misc]
    run()


if __name__ == "__main__":
    _serve()

"""The contest of the completion: the names of groups while Kafka is gone, each time with an empty cache.

A shell waits for it at every press of a key, so it has to be over at once, whatever the server does.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from tempfile import TemporaryDirectory

from contest import KCFIX, Contest, executed

MOST_SECONDS = 0.2
_IMPORT = (sys.executable, "-c", "import typer")


def completion_contests(pairs: int, only: str) -> Iterator[Contest]:
    """Kafka refuses, then Kafka takes the connection and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        refusing = socket.create_server(("127.0.0.1", 0))
        gone = refusing.getsockname()[1]
        refusing.close()
        for what, port in (("refuses", gone), ("hangs", silent.getsockname()[1])):
            question = f"kcfix lag --group [TAB], Kafka {what}"
            if only in question:
                yield Contest(
                    question,
                    partial(_completed, port),
                    [_IMPORT],
                    "import typer",
                    None,
                    pairs,
                    "",
                    "",
                    most=MOST_SECONDS,
                )


def _completed(port: int) -> tuple[float, float]:
    """Seconds and memory of one press of the key in bash."""
    words = ("kcfix", "--brokers", f"127.0.0.1:{port}", "lag", "--group", "")
    with TemporaryDirectory(ignore_cleanup_errors=True) as cache:  # the child may still write there
        os.environ.update(
            XDG_CACHE_HOME=cache,
            _KCFIX_COMPLETE="complete_bash",
            COMP_WORDS="\n".join(words),
            COMP_CWORD=str(len(words) - 1),
        )
        try:
            took, mebibytes, code, told = executed(KCFIX)
        finally:
            for name in ("XDG_CACHE_HOME", "_KCFIX_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
                del os.environ[name]
    if code != 0 or told.strip():
        raise SystemExit(f"the completion ended with {code}: {told.strip()[-500:]}")
    return took, mebibytes

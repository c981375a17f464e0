"""Who runs kcfix, for what it records."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def who(environ: Mapping[str, str]) -> str:
    """KCFIX_USER, else the operating system's user, with the one behind sudo; then the host."""
    user = environ.get("KCFIX_USER") or ""
    if not user:
        import pwd

        uid = os.getuid()
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:
            user = str(uid)
        if environ.get("SUDO_USER"):
            user = f"{environ['SUDO_USER']} (as {user})"
    return f"{user}@{socket.gethostname()}"

"""Why a server's certificate was not taken: libpq says only that it was not, and an operator has to know more."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

_SSL_REQUEST = struct.pack(">ii", 8, 80877103)
_SECONDS = 2.0
_EXPIRED, _NOT_YET_VALID = 10, 9
_UNTRUSTED = frozenset({18, 19, 20, 21})
"""OpenSSL's codes of a chain that ends at no authority known here."""


def distrust(parameters: Mapping[str, str]) -> str:
    """The reason in words, found by a handshake of our own; empty where that tells nothing. Nothing is sent in it."""
    import ssl

    where = parameters.get("hostaddr") or parameters.get("host", ""), int(parameters.get("port", "5432"))
    try:
        context = ssl.create_default_context(cafile=parameters.get("sslrootcert") or None)
        context.check_hostname = False
        with socket.create_connection(where, timeout=_SECONDS) as plain:
            plain.sendall(_SSL_REQUEST)
            if plain.recv(1) == b"S":
                context.wrap_socket(plain).close()
    except ssl.SSLCertVerificationError as error:
        return _words(error.verify_code, error.verify_message)
    except (OSError, ValueError):
        pass
    return ""


def _words(code: int, message: str) -> str:
    if code == _EXPIRED:
        return "it has expired"
    if code == _NOT_YET_VALID:
        return "it is not valid yet (is this host's clock right?)"
    if code in _UNTRUSTED:
        return "its authority is not known here"
    return message

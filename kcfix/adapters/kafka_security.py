"""TLS and logins: what the settings ask for, the TLS context made of it, and what its failures mean in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kcfix.adapters import kafka_protocol
from kcfix.adapters.kafka_errors import LinkError, Trouble
from kcfix.core.setup.security import problem_in
from kcfix.errors import UsageError

if TYPE_CHECKING:
    from ssl import SSLContext

_UNTRUSTED = frozenset({18, 19, 20, 21})
"""OpenSSL's codes of a chain that ends at no authority known here."""
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = frozenset({62, 64})
_ABOUT_OURS = {
    "CERTIFICATE_REQUIRED": "the broker demands a client certificate, and none is set",
    "BAD_CERTIFICATE": "the broker does not take the client certificate",
    "CERTIFICATE_UNKNOWN": "the broker does not take the client certificate",
    "UNKNOWN_CA": "the broker does not trust the authority of the client certificate",
    "CERTIFICATE_EXPIRED": "the broker says that the client certificate has expired",
    "CERTIFICATE_REVOKED": "the broker says that the client certificate was revoked",
    "ACCESS_DENIED": "the broker does not let the owner of the client certificate in",
}
"""Alerts that a server sends about the client's certificate (the end of OpenSSL's reason)."""
_NO_CERTIFICATE = "the broker demands a client certificate, and none is set"


class Security:
    """How to come to the brokers of one cluster. The files are read when the first connection is made."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        problem = problem_in(options)
        if problem is not None:
            raise UsageError(f"the security settings for Kafka can't be used: {problem}", hint="docs/settings.md")
        self._options = dict(options)
        self._context: SSLContext | None = options.get("ssl_context")
        protocol = str(options.get("security_protocol") or "PLAINTEXT")
        self.tls = protocol.endswith("SSL")
        self.logs_in = protocol.startswith("SASL")
        self.mechanism = str(options.get("sasl_mechanism") or "")
        self.user = str(options.get("sasl_plain_username") or "") if self.logs_in else ""
        self.certificate = str(options.get("ssl_certfile") or "") if self.tls else ""

    def context(self) -> SSLContext:
        """The TLS context.

        Raises:
            UsageError: a file that is named can't be read or does not fit. Nothing was asked.
        """
        if self._context is None:
            self._context = _context(self._options)
        return self._context

    def sasl(self, host: str) -> Any:
        """The library's side of a login by the mechanism that is set."""
        user = self.user
        if self.mechanism.startswith("SCRAM"):
            # The library sends the name as it is; in SCRAM these two letters have a meaning of their own (RFC 5802).
            user = user.replace("=", "=3D").replace(",", "=2C")
        options = {**self._options, "sasl_plain_username": user}
        return kafka_protocol.get_sasl_mechanism(self.mechanism)(host=host, **options)

    def failure(self, error: OSError | ValueError, place: str, host: str) -> LinkError:
        """What a failed handshake means; also one that shows only when the first answer is read, as with TLS 1.3."""
        import ssl

        if isinstance(error, ssl.SSLCertVerificationError):
            return LinkError(*_distrust(error, place, host))
        reason = (getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
        for ending, words in _ABOUT_OURS.items():
            if reason.endswith(ending):
                return LinkError(Trouble.CERTIFICATE, place, words if self.certificate else _NO_CERTIFICATE)
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
            return LinkError(Trouble.PROTOCOL, place, "that listener does not speak TLS", sent=True)
        if isinstance(error, ssl.SSLEOFError | ConnectionError | ssl.SSLZeroReturnError):
            return LinkError(Trouble.CLOSED, place, "the broker closed the connection in the TLS handshake")
        return LinkError(Trouble.TLS, place, f"TLS failed ({reason or error})")


def _distrust(error: Any, place: str, host: str) -> tuple[Trouble, str, str]:
    code = error.verify_code
    if code in _OTHER_NAME:
        return Trouble.OTHER_NAME, place, f"the broker's certificate is for another name than {host}"
    if code == _EXPIRED:
        return Trouble.TLS, place, "the broker's certificate has expired"
    if code == _NOT_YET_VALID:
        return Trouble.TLS, place, "the broker's certificate is not valid yet (is this host's clock right?)"
    if code in _UNTRUSTED:
        return Trouble.UNTRUSTED, place, "the broker's certificate is not trusted: its authority is not known here"
    return Trouble.TLS, place, f"the broker's certificate can't be trusted ({error.verify_message})"


def _context(options: Mapping[str, Any]) -> SSLContext:
    import ssl

    authority = _file(options, "ssl_cafile")
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ValueError) as error:
        raise _unusable("ssl_cafile", authority, "no certificates in PEM form in it", error) from error
    # From Python 3.13 on this is set, and refuses authorities that companies made years ago.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if options.get("ssl_check_hostname") is False:
        context.check_hostname = False
    certificate = _file(options, "ssl_certfile")
    if certificate is not None:
        _show(context, certificate, _file(options, "ssl_keyfile"), _password(options))
    return context


def _show(context: SSLContext, certificate: str, key: str | None, password: str) -> None:
    """Let the context show this certificate to brokers that ask for one."""
    asked: list[bool] = []

    def answer() -> str:
        # Without this OpenSSL would ask at the terminal, and wait.
        asked.append(True)
        return password

    try:
        context.load_cert_chain(certificate, key, answer)
    except (OSError, ValueError) as error:
        if asked:
            why = "its password is wrong" if password else "it is encrypted and no password is set"
            hint = None if password else "KCFIX_KAFKA_KEY_PASSWORD, or ssl_password_file"
            raise _unusable("ssl_keyfile", key or certificate, why, error, hint) from error
        apart = "MISMATCH" in str(error)
        why = "the key does not belong to it" if apart else "it holds no certificate with its key in PEM form"
        raise _unusable("ssl_certfile", certificate, why, error) from error


def _password(options: Mapping[str, Any]) -> str:
    path = _file(options, "ssl_password_file")
    if path is None or options.get("ssl_password"):
        return str(options.get("ssl_password") or "")
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise _unusable("ssl_password_file", path, "it can't be read as text", error) from error


def _file(options: Mapping[str, Any], name: str) -> str | None:
    """The path of a file that can be opened; None where none is named."""
    value = options.get(name)
    if not value:
        return None
    path = str(Path(str(value)).expanduser())
    try:
        with Path(path).open("rb"):
            return path
    except OSError as error:
        raise _unusable(name, path, error.strerror or "it can't be opened", error) from error


def _unusable(name: str, path: str | None, why: str, error: Exception, hint: str | None = None) -> UsageError:
    detail = getattr(error, "reason", None)
    told = f"{why} ({detail})" if detail and "password" not in why else why
    return UsageError(f"the TLS settings for Kafka can't be used: {name} {path}: {told}", hint=hint)

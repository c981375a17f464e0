"""Certificates for tests, made with openssl: an authority, servers (also of another name, or expired), and a client."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY_PASSWORD = "key-pass-word"  # noqa: S105 - of a key that lives for one test run
CLIENT = "kcfix-client"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: Path
    key: Path

    def together(self) -> Path:
        """Key and certificate in one file, as Kafka's PEM keystores want them."""
        path = self.key.with_suffix(".both.pem")
        path.write_bytes(self.key.read_bytes() + self.certificate.read_bytes())
        path.chmod(0o600)
        return path


class Authority:
    """An authority of its own in a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        if shutil.which("openssl") is None:
            raise FileNotFoundError("no openssl on this machine")
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.certificate, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl("req", "-x509", *_new_key(self._key), *_out(self.certificate), "-subj", f"/CN={name}", "-days", "2")

    def issue(self, name: str, *alternatives: str, expired: bool = False) -> Pair:
        """A certificate for a name. `alternatives` such as `DNS:localhost`; none: a client's."""
        made = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, extensions = made.key.with_suffix(".csr"), made.key.with_suffix(".ext")
        _openssl("req", *_new_key(made.key), *_out(request), "-subj", f"/CN={name}")
        extensions.write_text(
            f"subjectAltName={','.join(alternatives)}\n" if alternatives else "basicConstraints=CA:FALSE\n"
        )
        # With no day to live it has expired when the second is over.
        signed = (
            "-CA",
            str(self.certificate),
            "-CAkey",
            str(self._key),
            "-CAcreateserial",
            "-extfile",
            str(extensions),
        )
        _openssl(
            "x509", "-req", "-in", str(request), *signed, *_out(made.certificate), "-days", "0" if expired else "2"
        )
        return made

    def locked(self, pair: Pair) -> Path:
        """The same private key under a password."""
        path = pair.key.with_suffix(".locked.key")
        _openssl("pkcs8", "-topk8", "-in", str(pair.key), "-passout", f"pass:{KEY_PASSWORD}", *_out(path))
        return path


def _new_key(path: Path) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path))


def _out(path: Path) -> tuple[str, ...]:
    return ("-out", str(path))


def _openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr}")

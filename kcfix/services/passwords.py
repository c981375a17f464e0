"""The passwords that the settings point to, had when a system first asks for one, and what is masked for their sake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kcfix.core.redact import is_secret, secrets_of
from kcfix.core.setup.dsn import with_password
from kcfix.settings import Settings, Source
from kcfix.settings.passwords import Secret, pointer, withheld


class Passwords:
    """The passwords of one run. `settings` gives those in force, which may change until the first system is asked."""

    def __init__(self, settings: Callable[[], Settings], environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._found: set[str] = set()
        self._withheld: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """Passwords that were looked for and not used, in words."""
        return tuple(self._withheld)

    def note(self, secrets: Iterable[str]) -> None:
        """These came up outside the settings, and are to be masked as well."""
        self._found |= set(secrets)

    def known(self, settings: Settings | None) -> frozenset[str]:
        """All that is known to be secret, with what these settings hold."""
        if settings is None:
            return frozenset(self._found)
        named = {str(value) for key, value in kafka_security(settings).items() if is_secret(key)}
        named |= {p for p in (settings.password, settings.payments_password, settings.kafka_password) if p}
        return frozenset(named | self._found) | secrets_of(settings.dsn) | secrets_of(settings.payments_dsn)

    def forget_warnings(self) -> None:
        """For a run that looks again, and may find otherwise."""
        self._withheld.clear()

    def into(self, dsn: str, secret: Secret) -> str:
        """The address with its password; as it is where there is none for it."""
        if any(secrets_of(dsn)) and self._settings().origin(secret.address).source is Source.ENVIRONMENT:
            return dsn
        password = self.of(secret)
        return dsn if password is None else with_password(dsn, password)

    def of(self, secret: Secret) -> str | None:
        """The password that settings point to; None where none does, or where it is not for this address.

        Raises:
            KcfixError: its file can't be read, or its command failed.
        """
        settings = self._settings()
        found = pointer(settings, secret)
        if found is None:
            return None
        if (why := withheld(settings, secret, found)) is not None:
            self._withheld.append(why)
            return None
        if isinstance(found.value, str):
            return found.value
        from kcfix.adapters.password_source import password_in_file, password_of_command

        if isinstance(found.value, Path):
            password = password_in_file(found.value, setting=found.setting, system=secret.system)
        else:
            password = password_of_command(
                found.value,
                environ=self._environ,
                timeout=settings.timeout.total_seconds(),
                setting=found.setting,
                system=secret.system,
            )
        self._found.add(password)
        return password


def kafka_security(settings: Settings) -> Mapping[str, object]:
    """The options of `core/setup/security.py` as set, with the password of the key. That of the login is had apart."""
    key_password = settings.kafka_key_password
    return {**settings.kafka, **({"ssl_password": key_password} if key_password else {})}

"""The settings of a run and its systems: each opened on first use, closed at the end; what the containers tell of them.

Nothing else in kcfix opens an adapter (but the drill).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kcfix import __version__
from kcfix.core.redact import secrets_of
from kcfix.core.rights import MissingRights
from kcfix.core.setup.dsn import database_address
from kcfix.errors import KcfixError, Obstacle, Unreachable
from kcfix.flow import Flow
from kcfix.services import engines
from kcfix.services.keep import Keep
from kcfix.services.loading import ONE_LOADS
from kcfix.services.passwords import Passwords, kafka_security
from kcfix.settings import Origin, Settings, Source, load
from kcfix.settings.passwords import Secret

if TYPE_CHECKING:
    from kcfix.adapters.addresses import Told
    from kcfix.core.acknowledgement import AcknowledgementFile
    from kcfix.core.dlq.parking import ParkFile
    from kcfix.core.dlq.store import LetterStore
    from kcfix.core.journal import Journal
    from kcfix.core.ports.database import DatabasePort
    from kcfix.core.ports.docker import DockerPort
    from kcfix.core.ports.kafka import KafkaPort
    from kcfix.core.setup.discovery import Discovery
    from kcfix.core.workers import Container


def host_now() -> datetime:
    """The host's clock, aware UTC."""
    return datetime.now(UTC)


class Systems:
    """Kafka, Docker, the database and the journal as the settings say. Fakes that are given go before the settings."""

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        now: Callable[[], datetime] = host_now,
        kafka: KafkaPort | None = None,
        docker: DockerPort | None = None,
        database: DatabasePort | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self.folder = folder or Path.cwd()
        self.now = now
        """The clock, aware UTC."""
        self.given: Mapping[str, object] = {}
        """What was given of the shared options, by parameter name; set by main once the command line is parsed."""
        self._given_kafka = kafka
        self._given_docker = docker
        self._given_database = database
        self._given_journal = journal
        self._kept = Keep()
        self._passwords = Passwords(lambda: self.settings, self.environ)
        self._requests_of_closed = 0
        self.missing_rights = MissingRights()
        """What kcfix was refused for want of a right in this run."""

    @cached_property
    def settings(self) -> Settings:
        """The settings of this run, before discovery."""
        return load(self.given, self.environ, self.folder)

    def hurry(self, timeout: timedelta) -> None:
        """Wait no longer than this for a system, unless a setting says how long. Before any system is asked."""
        if self.settings.timeout > timeout and self.settings.origin("timeout").source is Source.DEFAULT:
            self.settings = replace(self.settings, timeout=timeout)

    @property
    def settings_if_loaded(self) -> Settings | None:
        """The settings, without loading them now."""
        return self.__dict__.get("settings")

    @property
    def flow(self) -> Flow:
        """The flow with the names of this system."""
        return self.settings.flow

    @property
    def secrets(self) -> frozenset[str]:
        """Passwords that are known to this run, to be masked wherever they appear."""
        return self._passwords.known(self.settings_if_loaded)

    @property
    def kafka(self) -> KafkaPort:
        """Kafka, at the brokers that are set or discovered.

        Raises:
            Unreachable: no brokers are known, or none answered.
        """
        return self._kept.once("kafka", self._open_kafka)

    @property
    def docker(self) -> DockerPort:
        """The Docker Engine.

        Raises:
            Unreachable: there is none, or it does not answer; AccessDenied without rights on its socket.
        """
        return self._kept.once("docker", self._open_docker)

    @property
    def database(self) -> DatabasePort:
        """The database that is set or discovered.

        Raises:
            Unreachable: none is known, or it does not answer.
        """
        return self._kept.once("database", self._open_database)

    @property
    def journal(self) -> Journal:
        """The journal of changes; opening it touches nothing."""
        return self._kept.once("journal", self._open_journal)

    @property
    def acknowledgements(self) -> AcknowledgementFile:
        """The file of findings that a person has judged; opening it touches nothing."""
        return self._kept.once("acknowledgements", self._open_acknowledgements)

    @property
    def parking(self) -> ParkFile:
        """The file of dead letters that a person has set aside; opening it touches nothing."""
        return self._kept.once("parking", self._open_parking)

    def letters(self) -> LetterStore:
        """A new, empty place for dead letters; close it when done.

        Raises:
            Unreachable: there is no room for it on the disk.
        """
        from kcfix.adapters.letter_store import open_letters

        return open_letters()

    @property
    def journal_problems(self) -> tuple[str, ...]:
        """What could not be recorded in the journal; empty where it was not used."""
        journal = self._given_journal or self._kept.found("journal")
        return () if journal is None or isinstance(journal, KcfixError) else journal.problems  # type: ignore[attr-defined]

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers of the engine, asked once a run. Ask `docker` for the state of one as it is now."""
        return self._kept.once("containers", lambda: self.docker.containers())

    @property
    def discovery(self) -> Discovery:
        """What the containers tell about the system, asked once a run. Raises what `docker` raises."""
        return self._kept.once("discovery", self._discover)

    @cached_property
    def address_map(self) -> Mapping[str, str]:
        """Where addresses that this host can't reach by name are reached; asks Docker only for such a name."""
        from kcfix.adapters.addresses import AddressMap

        return AddressMap(self.settings.address_map, self._told_addresses, self._configured_addresses)

    @property
    def brokers(self) -> tuple[tuple[str, ...], Origin]:
        """The bootstrap servers and where they came from; empty where none are known.

        Raises:
            Unreachable: none are set, and Docker, which might tell, does not answer.
        """
        settings = self.settings
        if settings.brokers or engines.is_none(settings):
            return settings.brokers, settings.origin("brokers")
        found = self.discovery.brokers
        return (found.value, Origin(Source.DISCOVERED, found.where)) if found else ((), Origin(Source.DEFAULT))

    @property
    def dsn(self) -> tuple[str | None, Origin]:
        """The database and where it came from; None where none is known. Raises as `brokers` does."""
        settings = self.settings
        if settings.dsn or engines.is_none(settings):
            return settings.dsn, settings.origin("dsn")
        found = self.discovery.dsn
        if found is None:
            return None, Origin(Source.DEFAULT)
        self._passwords.note(secrets_of(found.value))
        return found.value, Origin(Source.DISCOVERED, found.where)

    @property
    def password_warnings(self) -> tuple[str, ...]:
        """Passwords that were looked for and not used, in words."""
        return self._passwords.warnings

    @property
    def kafka_requests(self) -> int:
        """Requests that this run has sent to the brokers."""
        return self._requests_of_closed + _requests(self._kept.found("kafka"))

    def look_again(self, silent: Collection[str]) -> None:
        """For a run that goes on: what `silent` names (kafka, docker, database) is opened anew when it is next asked.

        So are systems that could not be opened; and containers, which come and go, are asked for again. With them may
        change where the systems are reached. Not to be called while another thread waits for one of these systems.
        """
        dropped = self._kept.drop(("kafka", "docker", "database"), silent, ("containers", "discovery"))
        self._requests_of_closed += sum(map(_requests, dropped))  # before they are closed, and count no more
        self._kept.close_later(dropped)
        self.__dict__.pop("address_map", None)
        self._passwords.forget_warnings()

    def close(self) -> None:
        """Close what this run opened, as far as that takes no longer than a second. Fakes that were given stay open."""
        self._kept.close()

    # how they are opened

    def _open_kafka(self) -> KafkaPort:
        if self._given_kafka is not None:
            return self._given_kafka
        brokers, _ = self.brokers
        if not brokers:
            raise Unreachable(
                "Kafka: no brokers are known: none are set, and no container of a worker names any",
                system="kafka",
                obstacle=Obstacle.NOT_SET,
                hint="give --brokers HOST:PORT, or set brokers in kcfix.toml",
            )
        security = dict(kafka_security(self.settings))
        logs_in = str(security.get("security_protocol", "")).startswith("SASL")
        if logs_in and (password := self._passwords.of(Secret.KAFKA)) is not None:
            security["sasl_plain_password"] = password
        with ONE_LOADS:
            from kcfix.adapters.kafka import open_kafka

        return self._kept.to_be_closed(
            open_kafka(
                brokers=brokers,
                address_map=self.address_map,
                timeout=self.settings.timeout.total_seconds(),
                client_id=f"kcfix/{__version__}",
                security=security,
                expected=self.flow.topics,
                expected_groups=[stage.group for stage in self.flow.stages],
                missing=self.missing_rights.note,
            )
        )

    def _open_docker(self) -> DockerPort:
        if self._given_docker is not None:
            return self._given_docker
        return self._kept.to_be_closed(engines.open_engines(self.settings, self.environ))

    def _open_database(self) -> DatabasePort:
        if self._given_database is not None:
            return self._given_database
        dsn, _ = self.dsn
        if dsn is None:
            raise Unreachable(
                "database: no address is known: none is set, and no container of a worker names one",
                system="database",
                obstacle=Obstacle.NOT_SET,
                hint="set KCFIX_DSN, or dsn in kcfix.toml",
            )
        payments_dsn = self.settings.payments_dsn
        dsn = self._passwords.into(dsn, Secret.DATABASE)
        payments_dsn = self._passwords.into(payments_dsn, Secret.PAYMENTS) if payments_dsn else None
        with ONE_LOADS:
            from kcfix.adapters.postgres import open_database
            from kcfix.adapters.postgres_environment import ignore_stray_variables

        ignore_stray_variables((dsn, payments_dsn), named=self.settings.named)
        return self._kept.to_be_closed(
            open_database(
                dsn,
                payments_dsn=payments_dsn,
                flow=self.flow,
                timeout=self.settings.timeout.total_seconds(),
                address_map=self.address_map,
                application_name="kcfix",
                missing=self.missing_rights.note,
            )
        )

    def _open_journal(self) -> Journal:
        if self._given_journal is not None:
            return self._given_journal
        from kcfix.adapters.journal_file import open_journal

        return open_journal(self.settings.journal, environ=self.environ, now=self.now, secrets=lambda: self.secrets)

    def _open_acknowledgements(self) -> AcknowledgementFile:
        from kcfix.adapters.acknowledgement_file import AcknowledgementsOnDisk

        return AcknowledgementsOnDisk(self.settings.acknowledgements, self.environ)

    def _open_parking(self) -> ParkFile:
        from kcfix.adapters.parking_file import ParkedOnDisk

        return ParkedOnDisk(self.settings.parked, self.environ)

    def _discover(self) -> Discovery:
        from kcfix.core.setup.discovery import discover

        containers = self.containers
        found = discover(
            self.flow,
            containers,
            self.settings.project,
            local=engines.is_local(self.settings, self.environ),
            silent=tuple(self.docker.silent().values()),
        )
        self._passwords.note(s for one in found.configured for s in secrets_of(one.dsn))
        return found

    def _told_addresses(self) -> Told:
        from kcfix.adapters.addresses import Told

        settings = self.settings
        if settings.named and not (settings.project or settings.docker_host or settings.docker_context):
            # A context that says nothing of Docker may be about another host: containers here are none of its own.
            return Told({}, ())
        try:
            found = self.discovery
        except KcfixError:
            return Told({}, ())
        return Told(found.addresses, found.published)

    def _configured_addresses(self) -> tuple[str, ...]:
        dsns = (self.dsn[0], self.settings.payments_dsn)
        databases = [address for dsn in dsns if dsn and (address := database_address(dsn))]
        return (*self.brokers[0], *(f"{address.host}:{address.port}" for address in databases))


def _requests(kafka: object) -> int:
    """What an adapter of Kafka has sent; 0 for whatever does not count."""
    sent = getattr(kafka, "requests", 0)
    return sent if isinstance(sent, int) else 0

"""`kcfix config show`: the settings in force, and where each came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kcfix.core.redact import redact_value
from kcfix.core.setup.dsn import database_address
from kcfix.errors import KcfixError
from kcfix.jsonable import dumps, plain
from kcfix.render.view import Column, Table, View
from kcfix.services import Services
from kcfix.settings import SETTINGS, Origin, Source


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting in force."""

    name: str
    value: object
    origin: Origin
    """Of kind DEFAULT where nothing is set and nothing was discovered."""


def show_settings(services: Services) -> View:
    """Every setting with its origin; those that are discovered are asked for now."""
    settings = services.settings
    found, warnings = discovered(services)
    shown = []
    for setting in SETTINGS:
        value, origin = getattr(settings, setting.name), settings.origin(setting.name)
        if origin.source is Source.DEFAULT and setting.name in found:
            value, origin = found[setting.name]
        shown.append(Shown(setting.name, plain(redact_value(setting.name, value)), origin))
    return View(
        schema="config",
        sections=(
            Table(
                columns=(Column("SETTING"), Column("VALUE", wrap=True), Column("FROM", wrap=True)),
                rows=tuple((one.name, shown_text(one.value), str(one.origin)) for one in shown),
                title="" if settings.context == "default" else f"context {settings.context}",
            ),
        ),
        data=[
            {"name": one.name, "value": one.value, "source": one.origin.source, "where": one.origin.where or None}
            for one in shown
        ],
        warnings=warnings,
    )


def discovered(services: Services) -> tuple[Mapping[str, tuple[object, Origin]], tuple[str, ...]]:
    """What the containers tell of settings that nobody made, and what there is to be said about it."""
    settings = services.settings
    if settings.brokers and settings.dsn:
        return {}, ()
    try:
        discovery = services.discovery
    except KcfixError as error:
        return {}, (f"nothing could be discovered: {error.message}",)
    found: dict[str, tuple[object, Origin]] = {}
    for name, told in (("brokers", discovery.brokers), ("dsn", discovery.dsn)):
        if told is not None:
            found[name] = (told.value, Origin(Source.DISCOVERED, told.where))
    if len(discovery.projects) == 1 and discovery.projects[0]:
        found["project"] = (discovery.projects[0], Origin(Source.DISCOVERED, "the labels of the containers"))
    used = list(discovery.brokers.value) if discovery.brokers else []
    if discovery.dsn is not None and (database := database_address(discovery.dsn.value)):
        used.append(f"{database.host}:{database.port}")
    mapped = {address: to for address in used if (to := services.address_map.get(address))}
    if mapped:
        found["address_map"] = (mapped, Origin(Source.DISCOVERED, "the containers' published ports and addresses"))
    warnings = list(discovery.disagreements)
    if discovery.ambiguous:
        named = ", ".join(name or "(none)" for name in discovery.alike)
        warnings.append(f"several Compose projects look alike: {named}; choose one with --project")
    return found, tuple(warnings)


def shown_text(value: object) -> str | None:
    """The value as it would be written in a file; None for nothing."""
    if value is None or value in ([], {}):
        return None
    return value if isinstance(value, str) else dumps(value)

"""From flags, environment and files to `Settings`. Asks no system: what is left open, discovery finds when needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kcfix.core.setup.dsn import for_libpq
from kcfix.errors import UsageError
from kcfix.flow import Flow
from kcfix.settings.fields import ADDRESSES, BY_NAME, SETTINGS, Origin, Setting, Settings, Source
from kcfix.settings.files import Chosen, choose, did_you_mean, state_folder

_OTHER_VARIABLES = ("KCFIX_CONTEXT", "KCFIX_USER", "KCFIX_DEBUG")
"""Variables that are read elsewhere than in the table of settings."""
COMMAND = "password_command"
_FOR_TESTS = "KCFIX_TEST_"


def load(flags: Mapping[str, object], environ: Mapping[str, str], folder: Path) -> Settings:
    """The settings of this run. `flags` has the names of the settings; None means not given.

    Raises:
        UsageError: a value or a file can't be understood. Nothing was asked.
        NotFound: there is no such context.
    """
    wish = flags.get("context") or environ.get("KCFIX_CONTEXT") or None
    chosen = choose(str(wish) if wish else None, environ, folder, BY_NAME)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for setting in SETTINGS:
        values[setting.name], origins[setting.name] = _resolve(setting, flags, environ, chosen)
    if values["state_dir"] is None:
        values["state_dir"] = state_folder(environ)
    for name, path in (("journal", "journal"), ("acknowledgements", "acknowledged.jsonl"), ("parked", "parked.jsonl")):
        if values[name] is None:
            values[name] = values["state_dir"] / path
            origins[name] = origins["state_dir"]
    values["protected"], origins["protected"] = _protected(environ, chosen)
    values["probe"], origins["probe"] = _probe(environ, chosen)
    redirected = _redirected(environ, chosen, values, origins)
    values["connect_timeout"] = min(values["connect_timeout"], values["timeout"])
    return Settings(
        context=chosen.name,
        named=chosen.named,
        flow=Flow().named(values["names"]),
        origins=origins,
        redirected=redirected,
        warnings=(
            *chosen.warnings,
            *_unknown_variables(environ),
            *(f"{variable} goes before what the file of context {chosen.name} says" for variable in redirected),
            *_vain(environ, values["probe"]),
        ),
        **values,
    )


def _resolve(
    setting: Setting, flags: Mapping[str, object], environ: Mapping[str, str], chosen: Chosen
) -> tuple[object, Origin]:
    given = flags.get(setting.name)
    if given is not None and given != () and given != []:
        return _parsed(setting, given, environ, Origin(Source.FLAG, setting.flag or setting.name))
    if text := environ.get(setting.variable):
        return _parsed(setting, _from_variable(setting, text), environ, Origin(Source.ENVIRONMENT, setting.variable))
    for layer in chosen.layers:
        if setting.name in layer.values:
            if setting.name.endswith(COMMAND) and not layer.users:
                raise UsageError(
                    f"{setting.name} ({layer.where}): a file that lies in the working folder runs no program",
                    hint="put it into the user's file (~/.config/kcfix/config.toml), or into " + setting.variable,
                )
            return _parsed(setting, layer.values[setting.name], environ, Origin(Source.FILE, layer.where))
    if not chosen.named:
        for variable in setting.generic:
            if text := environ.get(variable):
                if setting.name == "dsn":
                    text = for_libpq(text, tls=environ.get("POSTGRES_SSL") == "true")
                # Shown as discovered: it is nobody's order to kcfix, and a context's file goes before it.
                return _parsed(setting, text, environ, Origin(Source.DISCOVERED, f"{variable} in the environment"))
    return setting.default, Origin(Source.DEFAULT)


def _protected(environ: Mapping[str, str], chosen: Chosen) -> tuple[object, Origin]:
    """Protection is added and never taken away: whatever says true, the variable or any of the files, counts."""
    setting = BY_NAME["protected"]
    says: list[tuple[object, Origin]] = []
    if text := environ.get(setting.variable):
        says.append((text, Origin(Source.ENVIRONMENT, setting.variable)))
    says += [
        (layer.values[setting.name], Origin(Source.FILE, layer.where))
        for layer in chosen.layers
        if setting.name in layer.values
    ]
    parsed = [_parsed(setting, value, environ, origin) for value, origin in says]
    return next((one for one in parsed if one[0]), parsed[0] if parsed else (setting.default, Origin(Source.DEFAULT)))


def _probe(environ: Mapping[str, str], chosen: Chosen) -> tuple[object, Origin]:
    """The leave to write records that are made up: given by files alone, taken away by any of them or a variable."""
    setting = BY_NAME["probe"]
    said = [
        _parsed(setting, layer.values[setting.name], environ, Origin(Source.FILE, layer.where))
        for layer in chosen.layers
        if setting.name in layer.values
    ]
    if text := environ.get(setting.variable):
        from_variable = _parsed(setting, text, environ, Origin(Source.ENVIRONMENT, setting.variable))
        said += [from_variable] if not from_variable[0] else []
    refusing = next((one for one in said if not one[0]), None)
    return refusing or next(iter(said), (setting.default, Origin(Source.DEFAULT)))


def _redirected(
    environ: Mapping[str, str], chosen: Chosen, values: Mapping[str, object], origins: Mapping[str, Origin]
) -> tuple[str, ...]:
    """The variables that put another address in the place of the one that a named context's file gives."""
    if not chosen.named:
        return ()
    found = []
    for setting in (BY_NAME[name] for name in ADDRESSES):
        if origins[setting.name].source is not Source.ENVIRONMENT:
            continue
        layer = next((layer for layer in chosen.layers if setting.name in layer.values), None)
        if layer is not None:
            filed, _ = _parsed(setting, layer.values[setting.name], environ, Origin(Source.FILE, layer.where))
            if filed != values[setting.name]:
                found.append(setting.variable)
    return tuple(found)


def _from_variable(setting: Setting, text: str) -> object:
    if setting.name not in ("names", "kafka"):
        return text
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f'{setting.variable} must be an inline TOML table, such as {{ purchase_group = "other" }}: {error}'
        ) from error


def _parsed(setting: Setting, value: object, environ: Mapping[str, str], origin: Origin) -> tuple[object, Origin]:
    try:
        return setting.parse(value, environ), origin
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{setting.name} ({origin}): {error}") from None


def _vain(environ: Mapping[str, str], probe: object) -> tuple[str, ...]:
    """A variable that would allow probes, which it can't."""
    setting = BY_NAME["probe"]
    if not environ.get(setting.variable) or probe:
        return ()
    wished, _ = _parsed(setting, environ[setting.variable], environ, Origin(Source.ENVIRONMENT, setting.variable))
    return (f"{setting.variable} is not followed: only a file of the context can say `probe = true`",) if wished else ()


def _unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    known = {setting.variable for setting in SETTINGS} | set(_OTHER_VARIABLES)
    strange = sorted(
        name for name in environ if name.startswith("KCFIX_") and not name.startswith(_FOR_TESTS) and name not in known
    )
    return tuple(f"unknown variable {name}{did_you_mean(name, known)}" for name in strange)

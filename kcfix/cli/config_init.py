"""`kcfix config init`: a first settings file from what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kcfix.cli.context import problem
from kcfix.core.redact import redact, secrets_of
from kcfix.core.setup.first_file import FoundSystem, first_file
from kcfix.core.times import format_time
from kcfix.errors import NOT_WELL, OK, KcfixError, UsageError
from kcfix.render.style import Format
from kcfix.render.view import Text, View
from kcfix.services import Services
from kcfix.services.text_file import write_new, write_text
from kcfix.settings.files import DEFAULT, DRILL, PROJECT_FILE, file_paths
from kcfix.settings.parse import BadValue, parse_command

SCREEN = "-"


@dataclass(frozen=True, slots=True)
class Options:
    """What `kcfix config init` was asked."""

    file: str | None = None
    """The file to be written, `-` for none but standard output; None: that of the working folder."""
    user: bool = False
    """Write the user's own file."""
    name: str | None = None
    """The context to be written; None: the default one."""
    overwrite: bool = False
    password_file: str | None = None
    password_command: str | None = None


def write_first_file(options: Options, services: Services) -> View | int:
    """Find the system, write the file, and say what is left to be done.

    Raises:
        UsageError: the options contradict each other, or the file can't be written. Refused: it is there already.
    """
    path = _path(options, services)
    own = file_paths(services.environ, services.folder)
    may_run = path is not None and path.name != PROJECT_FILE
    command = _command(options.password_command)
    if command and not may_run:
        raise UsageError("a file that may lie in a folder of others runs no program", hint="add --user")
    found, told = _found(options, command, services)
    written = f"Written by `kcfix config init` at {format_time(services.now(), services.zone)}"
    text = first_file(found, context=options.name, may_run=may_run, written=written)
    if path is not None:
        if options.overwrite:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_text(str(path), text)
        else:
            write_new(path, text)
    lacking = [what for what, value in (("brokers", found.brokers), ("a database", found.dsn)) if not value]
    warnings = [f"{what} could not be found: the file has a place for it" for what in lacking]
    if path is not None and path not in own:
        warnings.append(f"{path} is not read by itself: the files that are read are {' and '.join(map(str, own))}")
    code = max((error.code for error in told), default=NOT_WELL) if lacking else OK
    if path is None and services.style().format not in (Format.JSON, Format.JSONL):
        # As it is: a view's text is masked wherever it looks like a password, and this holds none.
        services.stdout.write(text)
        for said in (*warnings, *(error.message for error in told if lacking)):
            services.warn(said)
        return code
    return View(
        schema="config-init",
        sections=() if path is None else (_section(path, found, options),),
        data=[{"name": name, "value": value} for name, value in _values(found).items()],
        summary={"path": path, "context": options.name or DEFAULT, "overwrite": options.overwrite},
        warnings=tuple(warnings),
        errors=tuple(problem(error) for error in told) if lacking else (),
        next=() if path is None else (f"kcfix {f'-C {options.name} ' if options.name else ''}config check",),
        ids=() if path is None else (str(path),),
        exit_code=code,
        changed=path is not None,
    )


def _path(options: Options, services: Services) -> Path | None:
    if options.user and options.file is not None:
        raise UsageError("--user and --file exclude each other")
    if options.name is not None and (options.name == DEFAULT or options.name.partition(":")[0] == DRILL):
        raise UsageError(f"a context can't be called {options.name}: that name is taken")
    if options.file == SCREEN:
        return None
    project, user = file_paths(services.environ, services.folder)
    if options.file is not None:
        return services.folder / options.file
    return user if options.user else project


def _command(text: str | None) -> tuple[str, ...]:
    try:
        return parse_command(text, {}) if text is not None else ()
    except BadValue as error:
        raise UsageError(f"--password-command {error}") from None


def _found(
    options: Options, command: tuple[str, ...], services: Services
) -> tuple[FoundSystem, tuple[KcfixError, ...]]:
    """What the settings in force and the containers tell, and what could not be asked."""
    settings = services.settings
    told: list[KcfixError] = []
    brokers: tuple[str, ...] = ()
    dsn, brokers_from, dsn_from, project = None, "", "", settings.project
    services.progress("looking for the system")
    try:
        brokers, origin = services.brokers
        brokers_from = str(origin.where)
    except KcfixError as error:
        told.append(error)
    try:
        dsn, origin = services.dsn
        dsn_from = str(origin.where)
    except KcfixError as error:
        told.append(error)
    if project is None and not told:
        try:
            projects = [name for name in services.discovery.projects if name]
            project = projects[0] if len(projects) == 1 else None
        except KcfixError:
            project = None
    return FoundSystem(
        brokers=brokers,
        brokers_from=brokers_from,
        address_map=_address_map(services, brokers),
        kafka=settings.kafka,
        dsn=dsn,
        dsn_from=dsn_from,
        payments_dsn=settings.payments_dsn,
        project=project,
        docker_host=settings.docker_host,
        password_file=options.password_file,
        password_command=command,
    ), tuple({error.message: error for error in told}.values())


def _address_map(services: Services, brokers: tuple[str, ...]) -> dict[str, str]:
    """The addresses that are reached elsewhere: those that are set, the bootstrap servers, what brokers advertise."""
    found = dict(services.settings.address_map)
    if not brokers:
        return found
    try:
        found |= {address: to for address in brokers if (to := services.address_map.get(address))}
        for one in services.kafka.reach():
            advertised = f"{one.broker.host}:{one.broker.port}"
            if one.error is None and one.at != advertised:
                found[advertised] = one.at
    except KcfixError:
        # The file is written all the same; `config check` says what is wrong.
        return found
    return found


def _values(found: FoundSystem) -> dict[str, object]:
    return {
        "project": found.project,
        "docker_host": found.docker_host and redact(found.docker_host),
        "brokers": list(found.brokers),
        "address_map": dict(found.address_map),
        "dsn": found.dsn and redact(found.dsn),
        "payments_dsn": found.payments_dsn and redact(found.payments_dsn),
    }


def _section(path: Path, found: FoundSystem, options: Options) -> Text:
    lines = [f"{path} is written; only you can read it."]
    pointed = options.password_file or options.password_command
    if found.dsn and any(secrets_of(found.dsn)) and not pointed:
        lines.append(
            f"The database's password ({found.dsn_from}) is not in it: give it by KCFIX_PASSWORD, or name a "
            "password_file or password_command there."
        )
    return Text(tuple(lines), wrap=True)

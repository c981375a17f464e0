"""Write the generated pages of docs/: commands, errors, settings, rules and the JSON Schemas. `--check` only compares.

Nothing about commands, settings, errors or documents is typed twice: it comes from the code, and a test fails when a
page is not what the code says.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
ROOT_OF_SCRIPTS = Path(__file__).resolve().parent
CHANGELOG = ROOT / "CHANGELOG.md"
SEEN = DOCS / "compatibility.json"
NOTE = "<!-- Made by scripts/generate_docs.py from the code: change the code, then run `make docs`. -->\n"
WIDTH = 90


def walk(command: Any, path: str) -> Iterator[tuple[str, str, bool]]:
    """Path, help and whether it has subcommands, for the command and all below it, without the shared options."""
    import typer

    from kcfix.cli.options import SHARED

    ctx = typer.Context(command, info_name=path, terminal_width=WIDTH, help_option_names=["-h", "--help"])
    text = command.get_help(ctx)
    names = list(command.list_commands(ctx)) if hasattr(command, "list_commands") else []
    own = text if path == "kcfix" else text.split(f"\n{SHARED}:")[0].rstrip()
    yield path, own, bool(names)
    for name in names:
        child = command.get_command(ctx, name) if hasattr(command, "get_command") else command.commands[name]
        yield from walk(child, f"{path} {name}")


def commands() -> str:
    """docs/commands.md."""
    from kcfix.cli.app import root

    parts = [
        NOTE,
        "# Commands\n",
        "What `--help` says, for every command. The options of every command stand once, under `kcfix`; they may be "
        "given before or after the command's name, and the later one counts. `kcfix` alone prints its help (exit 0).\n",
        EXIT_CODES,
    ]
    for path, text, _ in walk(root(), "kcfix"):
        parts.append(f"{'##' if path.count(' ') < 2 else '###'} {path}\n\n```text\n{text.strip()}\n```\n")
    return "\n".join(parts)


EXIT_CODES = """## Exit codes

They are in [errors.md](errors.md); which of them a command uses when is decided in [decisions.md](decisions.md), 5.
"""


def exit_codes() -> list[tuple[int, str, str]]:
    """Code, kind and meaning of every exit code; those of signals last."""
    from kcfix import errors as module

    plain = [
        (module.OK, "", "Done, or nothing is wrong. A closed pipe, for commands that only look."),
        (module.NOT_WELL, "", "kcfix ran, and what it looked at is not well."),
    ]
    kinds = [
        (kind.code, kind.kind, inspect.cleandoc(kind.__doc__ or ""))
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, module.KcfixError) and kind is not module.KcfixError
    ]
    signals = [
        (module.INTERRUPTED, "", "Interrupted by Ctrl-C (SIGINT). `kcfix history` says what was changed before."),
        (module.TERMINATED, "", "Terminated by SIGTERM. `kcfix history` says what was changed before."),
    ]
    rows = sorted(plain + kinds, key=lambda row: row[0])
    return [*rows, *signals]


def errors() -> str:
    """docs/errors.md."""
    lines = [
        NOTE,
        "# Exit codes and errors\n",
        "Every failure is one line on standard error, mostly with a hint, and one of these codes. With `-o json` it is "
        "also in `errors` of the document, as `{code, kind, message, hint}`. A traceback is printed only for a bug, "
        "and only with `-vv` or `KCFIX_DEBUG=1`. Where several hold, the worst is reported: 6 > 4 > 5 > 3 > 1 > 0.\n",
        "| Code | `kind` | Meaning |",
        "|---:|---|---|",
    ]
    for code, kind, meaning in exit_codes():
        lines.append(f"| {code} | {f'`{kind}`' if kind else ''} | {' '.join(meaning.split())} |")
    return "\n".join(lines) + "\n"


def _default(value: object) -> str:
    from kcfix.core.times import format_duration

    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value else ""


def settings() -> str:
    """docs/settings.md."""
    from kcfix.settings import SETTINGS

    lines = [NOTE, SETTINGS_INTRO, "| Setting | Flag | Variable | Default | What |", "|---|---|---|---|---|"]
    for setting in SETTINGS:
        shown = _default(setting.default)
        what = setting.help
        if setting.generic:
            what += f" Discovered from {', '.join(f'`{name}`' for name in setting.generic)}."
        flag = f"`{setting.flag}`" if setting.flag else ""
        lines.append(f"| `{setting.name}` | {flag} | `{setting.variable}` | {shown} | {what} |")
    return "\n".join([*lines, _kafka_security()]) + "\n" + SETTINGS_END


def _kafka_security() -> str:
    from kcfix.core.security import OPTIONS

    rows = [f"| `{name}` | {what} |" for name, what in OPTIONS.items()]
    return "\n".join([KAFKA_SECURITY, "| Option of `kafka` | What |", "|---|---|", *rows, POSTGRES_SECURITY])


KAFKA_SECURITY = """
## TLS and login at Kafka

```toml
[contexts.production.kafka]
security_protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
sasl_plain_username = "kcfix"
sasl_plain_password = "…"
ssl_cafile = "/etc/kcfix/ca.pem"
```

As a variable it is one inline table: `KCFIX_KAFKA='{ security_protocol = "SSL", ssl_cafile = "ca.pem" }'`. Options that
don't go together are refused (2): a certificate without TLS in `security_protocol` would be a connection in the clear.
"""

POSTGRES_SECURITY = """
## TLS at PostgreSQL, and poolers

TLS is a matter of the DSN, as with every program that is made with libpq:
`postgresql://kcfix@db.example.com/kc_app?sslmode=verify-full&sslrootcert=/etc/kcfix/ca.pem`. A client certificate is
`sslcert` and `sslkey` (not readable for others), the key's password `sslpassword`. `sslmode=require` encrypts and
checks nothing; `sslrootcert=system` trusts the authorities of this host. What is checked is the name in the DSN, also
where an address map leads elsewhere. `payments_dsn` has its own.

PgBouncer in transaction mode will do, for every command. kcfix sends no start-up options (`PGOPTIONS` of the shell is
not passed on; `options=` in a DSN is, and PgBouncer refuses it), prepares nothing, and keeps nothing in a session:
settings, cursors and advisory locks live in one transaction each. A run holds two or three connections at a time.
Statement mode will not do: there are no transactions in it.
"""

SETTINGS_INTRO = """# Settings

`kcfix config show` prints each value in force with where it came from; secrets are masked.

A value is taken from the first of these that has it:

1. a flag;
2. a `KCFIX_…` variable;
3. the file of the chosen context: `./kcfix.toml` (the project's), then `kcfix/config.toml` in `$XDG_CONFIG_HOME` or
   `~/.config` (the user's);
4. discovery: generic variables such as `KAFKA_BROKERS`, `POSTGRES_URL`, `DATABASE_URL` in the environment, then the
   containers of the workers on this host;
5. the default.

With a context chosen by name (`-C NAME`, `KCFIX_CONTEXT`, `default_context`) generic variables are not read: a stray
one must not lead a named context elsewhere. Nor does a named context take anything from the top of a file, nor libpq's
`PGHOST`, `PGHOSTADDR`, `PGSERVICE` and the like. A `KCFIX_` variable that leads a named context elsewhere than its file
does is warned of, and changes are refused until it is unset or given as a flag. `kcfix context list` shows them all.

```toml
# ./kcfix.toml: keys at the top belong to the default context
brokers = ["localhost:9092"]
default_context = "production"

[contexts.production]
project = "kc-backend"
dsn = "postgresql://kcfix@db.example.com:5432/kc_app"
protected = true

[contexts.production.names]
purchase_group = "purchase-creation-workers"
tables = { purchases = "public.student_course_purchases" }
```

`-C drill` and `-C drill:NAME` are the contexts of drills; `kcfix drill up` writes their files.

In a context with `protected = true` a change needs `--reason` and the context's name, typed at the terminal or given as
`--confirm NAME`; `--yes` does not skip it. Any of the files and `KCFIX_PROTECTED` can protect, none can lift it.

## Passwords

A password belongs neither on the command line, where everybody on the host can read it (`--dsn` with one is refused),
nor into a file that is shared. It comes from the first of these that is set, a variable going before a file:

1. `KCFIX_PASSWORD`;
2. `password_file`: a file whose first line it is;
3. `password_command`: a command whose first line of output it is, such as `["pass", "show", "kc/db"]`. It runs
   without a shell and without input, when the database is first asked, and is ended after `timeout`. In the user's own
   file or `KCFIX_PASSWORD_COMMAND` only: `./kcfix.toml` may be anybody's.

They go before a password in the DSN of a file (`KCFIX_DSN` with a password keeps its own). The same three exist for
`payments_dsn` (`payments_password…`) and for Kafka's login (`kafka_password…`). What a file points to is sent only to
that file's own address, to one given as a flag, or to one that was discovered; never to one from a variable or another
file.

## Every setting
"""

SETTINGS_END = """
`KCFIX_CONTEXT` chooses the context, `KCFIX_USER` is the name in the journal (default: the operating system's user), and
`KCFIX_DEBUG=1` prints the traceback of a bug. Colour follows `--color`, then `NO_COLOR`, `FORCE_COLOR` and `TERM=dumb`.

## Names that only resolve inside Docker

A broker that advertises `kafka:9092` sends every client to that name, which a host outside the Compose network does not
know. kcfix looks an address up in this order:

1. `address_map`, with a port or without;
2. an IP address, or a name that this host resolves, is used as it is;
3. a name or alias of a container of the system leads to the port that Docker publishes for it, else, where the engine
   runs on this host, to the container's own address.

Step 3 holds for addresses that were configured or discovered. A name that a broker merely advertises is taken for a
container's only when a configured address lies in the same Compose system: a broker elsewhere may use the same name.
With a named context it also needs `project` or `docker_host` there.

## Which containers are the system's

A worker's container is known by its Compose service label, else by its name (`container_prefix` and the service).
Containers of drills are left out unless `project` is that drill's. Where several Compose projects have the same worker,
commands that look show them all, nothing is discovered from them, and changes are refused until `project` chooses.
"""


def faults() -> str:
    """docs/faults.md."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # kafka-python warns while it is imported
        from kcfix.drill.faults import faults as catalogue
        from kcfix.drill.faults import pairs
        from kcfix.drill.healthy import HEALTHY

    parts = [NOTE, FAULTS]
    for area in dict.fromkeys(f.area for f in catalogue()):
        parts.append(
            f"## {area.value.capitalize()}\n\n| Fault | Modes | What is broken | What is seen |\n|---|---|---|---|"
        )
        parts += [
            f"| `{f.name}` | {', '.join(f.modes) or '-'} | {f.what} | {f.seen} |" for f in catalogue() if f.area is area
        ]
        parts.append("")
    parts.append("## Pairs\n\nMade in this order, mended the other way round.\n")
    parts.append("| First | Second | Why they occur together |\n|---|---|---|")
    parts += [f"| `{p.first}` | `{p.second}` | {p.why} |" for p in pairs()]
    parts.append(
        "\n## Nothing wrong\n\nStates in which a drill is well (`kcfix/drill/healthy.py`), against false alarms.\n"
    )
    parts.append("| State | What happens |\n|---|---|")
    parts += [f"| {h.name} | {h.what} |" for h in HEALTHY]
    return "\n".join(parts) + "\n"


FAULTS = """# Faults of the drill

`kcfix drill break FAULT…` makes them, `kcfix drill mend` undoes them, `kcfix drill faults` lists them. Each is made by
its real cause, never by a mark that says what is wrong, and mending it leaves a system in which a new payment gets its
purchase on every partition. Modes are those of [system.md](system.md) 6; `-` where that list has none.
`make faults` makes, looks at and mends them all.
"""


def rules() -> str:
    """docs/rules.md."""
    from kcfix.core.modes import MODES, NOT_SEEN, rules_of
    from kcfix.core.rule import FAMILIES
    from kcfix.core.rules import RULES

    lines = [NOTE, RULES_INTRO, "| Code | Severity | What | Needs |", "|---|---|---|---|"]
    for rule in RULES:
        needs = ", ".join(sorted(need.value for need in rule.needs))
        lines.append(f"| [{rule.code}](#{rule.code.lower()}) | {rule.severity} | {rule.title} | {needs} |")
    for letter, family in FAMILIES.items():
        lines.append(f"\n## {family[0].upper()}{family[1:]}")
        for rule in (r for r in RULES if r.family == letter):
            lines += [f"\n### {rule.code}\n", f"**{rule.title}** ({rule.severity})\n", rule.page]
            causes = list(dict.fromkeys(cause.code for cause in rule.causes))
            if causes:
                linked = ", ".join(f"[{code}](#{code.lower()})" for code in causes)
                lines.append(f"\nMay be a consequence of: {linked}.")
            if rule.modes:
                lines.append(f"\nFailure modes: {', '.join(rule.modes)}.")
    lines += [MODES_INTRO, "| Mode | Rules, or why there is none |", "|---|---|"]
    for mode in MODES:
        seen = rules_of(mode, RULES)
        told = ", ".join(f"[{rule.code}](#{rule.code.lower()})" for rule in seen) or f"none: {NOT_SEEN.get(mode, '')}"
        lines.append(f"| {mode} | {told} |")
    return "\n".join(lines) + "\n"


RULES_INTRO = """# Rules of the doctor

`kcfix doctor` asks each of these rules, `kcfix explain CODE` prints its page. A rule looks at one snapshot of the whole
system, read once, and changes nothing. A cause is listed before its consequences; which findings explain which is said
by the rules themselves. A rule whose systems did not answer is listed as not checked.

- **ERROR**: payments are not served, or will not be. `doctor` ends with 1.
- **CAUTION**: something may become wrong, or one look can't tell. No alarm without `--strict`.
- **ADVICE**: a setting that would prevent or soften the next incident. No alarm without `--strict`.

A cause counts as bad as its worst consequence. What it costs is summed up over all of them.
"""

MODES_INTRO = """
## Failure modes

Every mode of [system.md](system.md), section 6, with the rules that see it.
"""


def manual() -> str:
    """docs/kcfix.1, which is installed as `man kcfix`."""
    sys.path.insert(0, str(ROOT_OF_SCRIPTS))
    try:
        from man_page import man_page
    finally:
        sys.path.remove(str(ROOT_OF_SCRIPTS))

    from kcfix import __version__
    from kcfix.settings import SETTINGS

    newest = re.search(r"^## \[\S+\] - (\S+)", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    meanings: dict[int, list[str]] = {}
    for code, _, meaning in exit_codes():
        meanings.setdefault(code, []).append(" ".join(meaning.split()))
    variables = [(s.variable, plainly(s.help)) for s in SETTINGS]
    variables.append(("KCFIX_CONTEXT", "The context, where -C chooses none."))
    return man_page(
        version=__version__,
        date=newest.group(1) if newest else "",
        exit_codes=[(str(code), " ".join(texts)) for code, texts in meanings.items()],
        variables=variables,
    )


def plainly(markdown: str) -> str:
    """The text without the marks of code."""
    return markdown.replace("`", "")


def permissions() -> str:
    """docs/permissions.md."""
    from kcfix.core.permissions import PERMISSIONS, kafka_rights, table_rights
    from kcfix.core.rights import Right
    from kcfix.flow import Flow

    flow = Flow()
    look = [r for command in PERMISSIONS for r in kafka_rights(command, flow, change=False)]
    reads = [r for r in look if r.operation == "Read"]
    every = sorted({r for r in look if r.operation != "Describe" or Right("Read", r.kind, r.name) not in reads})
    tables = sorted({r for command in PERMISSIONS for r in table_rights(command, flow, change=False)})
    parts = [NOTE, PERMISSIONS_INTRO, "## Every command that looks\n", _sql(tables), _acls(every), PERMISSIONS_MORE]
    alike: dict[object, list[str]] = {}
    for command, needs in PERMISSIONS.items():
        alike.setdefault(needs, []).append(command)
    for commands_ in alike.values():
        parts.append(f"## {', '.join(commands_)}\n")
        parts += [_needs(commands_[0], flow)]
    return "\n".join(parts)


def _needs(command: str, flow: Any) -> str:
    from kcfix.core.permissions import kafka_rights, table_rights

    look = kafka_rights(command, flow, change=False)
    change = kafka_rights(command, flow, change=True)
    told = {(r.operation, r.kind, why): None for r, why in {**look, **change}.items()}
    parts = ["| Right | On | What for |", "|---|---|---|"]
    for operation, kind, why in told:
        names = [r.name for r, w in {**look, **change}.items() if (r.operation, r.kind, w) == (operation, kind, why)]
        mark = (
            "" if any((r.operation, r.kind, w) == (operation, kind, why) for r, w in look.items()) else " (`--apply`)"
        )
        on = f"{kind} {', '.join(f'`{n}`' for n in names)}" if names != [""] else "the cluster"
        parts.append(f"| {operation}{mark} | {on} | {why} |")
    tables, to_change = table_rights(command, flow, change=False), table_rights(command, flow, change=True)
    blocks = ["\n".join(parts) + "\n", _sql(tables), _acls(look)]
    more, more_tables = [r for r in change if r not in look], [r for r in to_change if r not in tables]
    if more or more_tables:
        blocks += ["To change something (`--apply`), besides:\n", _sql(more_tables), _acls(more)]
    return "\n".join(block for block in blocks if block)


def _sql(rights: Any) -> str:
    by_operation: dict[str, list[str]] = {}
    for right in rights:
        by_operation.setdefault(right.operation, []).append(right.name)
    lines = [f"GRANT {operation} ON {', '.join(names)} TO kcfix;" for operation, names in by_operation.items()]
    return "```sql\n" + "\n".join(lines) + "\n```\n" if lines else ""


def _acls(rights: Any) -> str:
    """One call for each operation and kind, with all the names."""
    by_operation: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        by_operation.setdefault((right.kind, right.operation), []).append(right.name)
    lines = []
    for (kind, operation), names in sorted(by_operation.items()):
        words = [f"$acls --operation {operation}"]
        words += [f"  --{kind} {name}" for name in names] if kind != "cluster" else ["  --cluster"]
        lines.append(" \\\n".join(words))
    return "```sh\n" + "\n".join(lines) + "\n```\n" if lines else ""


PERMISSIONS_INTRO = """# Permissions

The least rights of each command, for the names that the flow has by default (`names` in [settings.md](settings.md)). A
test runs each command with exactly these on a broker with ACLs and a database with roles, and with each one taken away.

Where a right is missing kcfix says which, with the line that gives it. Without one that all rests on it ends with 4
(`access_denied`); otherwise the answer is there, what rests on that right is unknown in it, and a warning names it.
`monitor` looks by the readings of `lag` and `missing`, and needs what these two need. Other commands that are not on
this page ask neither Kafka nor PostgreSQL. Docker is all or nothing: whoever may use its socket may do everything on
that host.

PostgreSQL: a role that may log in, with `CONNECT` on the database and `USAGE` on the schema, which everybody has by
default. It may be read-only by default (`default_transaction_read_only`) where nothing is to be changed. Payments in
another database (`payments_dsn`) want the right on `payments` there.

Kafka: the lines below are calls of Kafka's own tool, with

```sh
acls="kafka-acls --bootstrap-server kafka:9092 --command-config admin.properties --add --allow-principal User:kcfix"
```

Read and Write include Describe. With a client certificate and no login the principal is the certificate's subject
(`openssl x509 -in client.pem -noout -subject -nameopt RFC2253`).
"""

PERMISSIONS_MORE = """`watch` needs what `lag` and `missing` need, `probe` what `trace` needs. `probe --apply`, which
only a system that is there to be tried on allows, needs `Write` on purchase-confirmed and `INSERT` on payments besides,
and on students and student_profiles unless a student is named.

What is better with more, and does without:

- `GRANT pg_read_all_stats TO kcfix;`: `doctor` sees who holds a lock, and for how long; it says where it can't.
- `GRANT EXECUTE ON FUNCTION pg_control_system() TO kcfix;`: a database is known again under another address.
- `GRANT UPDATE ON payments TO kcfix;`: `repair` locks the payment against a refund between its check and its commit.
- Describe on the cluster: `lag --all`, `topics` and `doctor` see every group, else those that kcfix may describe. A
  topic that it may not describe is not there for it, nor what groups committed on it. The topics of the flow it asks
  for by name, so that a hidden one is an error and not a missing one.
"""


METRICS_INTRO = """# Metrics

What `kcfix monitor` serves at `/metrics`; [README.md](README.md) says how to read it. What is unknown has no series.
Beside these stand the memory, the time and the open files of the process itself (`process_…`).

| Metric | Kind | Labels | What |
|---|---|---|---|
"""


def metrics() -> str:
    """docs/monitoring/metrics.md, from a look at a system in which there is nothing."""
    from datetime import UTC, datetime

    from kcfix.core.history import History
    from kcfix.core.lag import LagReport
    from kcfix.core.metrics import Counters, families, look_age
    from kcfix.core.missing import Span
    from kcfix.core.observation import Observation, PaymentsSeen
    from kcfix.core.snapshot import Reading
    from kcfix.flow import Flow

    now, nothing = datetime(2026, 1, 1, tzinfo=UTC), timedelta(0)
    payments = PaymentsSeen(Span(now, now, now, nothing), 0, (), (), 0, 0)
    history = History()
    history.add(
        Observation(
            flow=Flow(),
            taken_at=now,
            took=nothing,
            docker=Reading(()),
            kafka=Reading(LagReport(now, ())),
            database=Reading(now),
            payments=Reading(payments),
            workers=(),
            logs={},
        )
    )
    found = [*families(history, Counters(0, 0, 0, {}), "", 0), look_age(0)]
    rows = [
        f"| `{f.name}` | {f.kind} | {', '.join(f'`{label}`' for label in f.labels)} | {f.help} |"
        for f in sorted(found, key=lambda f: f.name)
    ]
    return NOTE + METRICS_INTRO + "\n".join(rows) + "\n"


def compatibility() -> str:
    """docs/compatibility.md, from what `make versions` has seen."""
    rows = json.loads(SEEN.read_text(encoding="utf-8"))
    parts = [NOTE.replace("from the code: change the code, then run `make docs`", "from what `make versions` saw")]
    parts.append(COMPATIBILITY)
    for system in dict.fromkeys(row["system"] for row in rows):
        parts.append(f"## {system}\n\n| Version | What was tried | Tests passed | Last run |\n|---|---|--:|---|")
        for row in sorted(
            (r for r in rows if r["system"] == system), key=lambda r: (_numbers(r["version"]), r["what"])
        ):
            failed = f", **{row['failed']} failed**" if row["failed"] else ""
            parts.append(f"| {row['version']} | {row['what']} | {row['passed']}{failed} | {row['seen']} |")
        parts.append("")
    return "\n".join([*parts, NOT_TRIED])


def _numbers(version: str) -> tuple[tuple[int, ...], str]:
    return tuple(int(n) for n in re.findall(r"\d+", version)), version


COMPATIBILITY = """# Compatibility: what kcfix was tried with

`make versions` runs these tests on each release that can be had, and writes down what came of it and when. A row says
no more than that. The whole suite (`make test`) runs on Kafka 3.5.2, as production does, in KRaft mode, partly on Kafka
4.4.0, on the PostgreSQL and the Docker Engine of the machine, and on the Python of its environment.
"""

NOT_TRIED = """## Not tried

- Kafka before 3.5, and every release that is not named above; Kafka as a service of a cloud; Redpanda and others that
  speak the same protocol. More than three brokers. Members of groups of the newer protocol (KIP-848) are never listed:
  the library speaks no request for it. Such a group is said to be active with unknown members, and is not changed.
- PostgreSQL before 13, and forks of it. Of 13, 14, 16 and 17 the server alone was tried, not a whole system on it; a
  standby only of the release that is named.
- Docker Engine before 20.10 (API 1.41). Newer ones are spoken to by the API that they and the library both know.
- Any system but Linux; PyPy.
"""


def pages() -> dict[Path, str]:
    """All generated files with their content."""
    from kcfix.cli.documents import DOCUMENTS
    from kcfix.cli.shapes import json_schema

    found = {
        DOCS / "commands.md": commands(),
        DOCS / "compatibility.md": compatibility(),
        DOCS / "errors.md": errors(),
        DOCS / "faults.md": faults(),
        DOCS / "kcfix.1": manual(),
        DOCS / "settings.md": settings(),
        DOCS / "permissions.md": permissions(),
        DOCS / "monitoring" / "metrics.md": metrics(),
        DOCS / "rules.md": rules(),
    }
    for name, document in DOCUMENTS.items():
        text = json.dumps(json_schema(name, document), indent=2) + "\n"
        found[DOCS / "schemas" / f"{name}.json"] = text
    return found


def stale() -> list[str]:
    """Names of generated files that are not what the code says, and of schemas that belong to no command."""
    wanted = pages()
    wrong = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    wrong += [path for path in (DOCS / "schemas").glob("*.json") if path not in wanted]
    return sorted(str(path.relative_to(ROOT)) for path in wrong)


def main(argv: list[str]) -> int:
    """Write the pages, or with `--check` say which are stale."""
    os.environ.pop("COLUMNS", None)
    if "--check" in argv:
        wrong = stale()
        for name in wrong:
            print(f"{name} is not what the code says: run `make docs`", file=sys.stderr)
        return 1 if wrong else 0
    wanted = pages()
    for path in (DOCS / "schemas").glob("*.json"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

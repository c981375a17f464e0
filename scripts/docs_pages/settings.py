"""docs/settings.md: every setting, with where its value comes from."""

from __future__ import annotations

from datetime import timedelta

from docs_pages import NOTE


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


def _default(value: object) -> str:
    from kcfix.core.times import format_duration

    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value else ""


def _kafka_security() -> str:
    from kcfix.core.setup.security import OPTIONS

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

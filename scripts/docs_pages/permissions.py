"""docs/permissions.md: the least rights of each command."""

from __future__ import annotations

from typing import Any

from docs_pages import NOTE


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
`config check` tries what all of them need and says what is missing; the shell's completion lists topics and groups as
far as it may. Other commands that are not on this page ask neither Kafka nor PostgreSQL. Docker is all or nothing:
whoever may use its socket may do everything on that host.

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


PERMISSIONS_MORE = """`probe --apply`, which only a system that is there to be tried on allows, makes up a student
unless one is named: that needs `INSERT` on students and student_profiles besides.

What is better with more, and does without:

- `GRANT pg_read_all_stats TO kcfix;`: `doctor` sees who holds a lock, and for how long; it says where it can't.
- `GRANT EXECUTE ON FUNCTION pg_control_system() TO kcfix;`: a database is known again under another address.
- `GRANT UPDATE ON payments TO kcfix;`: `repair` locks the payment against a refund between its check and its commit.
- Describe on the cluster: `lag --all`, `topics` and `doctor` see every group, else those that kcfix may describe. A
  topic that it may not describe is not there for it, nor what groups committed on it. The topics of the flow it asks
  for by name, so that a hidden one is an error and not a missing one.
"""

"""Holds JSON documents against the schemas that docs/schemas publishes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from kcfix.cli.documents import DOCUMENTS
from kcfix.cli.shapes import json_schema


@cache
def _validator(name: str, part: str) -> Draft202012Validator:
    schema = json_schema(name, DOCUMENTS[name])
    if part:
        schema = {"$defs": schema["$defs"], "$ref": f"#/$defs/{part}"}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def name_of(schema: str) -> str:
    """`lag` for `kcfix.lag/v1`."""
    return schema.removeprefix("kcfix.").partition("/")[0]


def check_document(document: Mapping[str, Any]) -> None:
    """Fail unless the document is as its schema says. One of a command line without a command has no schema."""
    name = name_of(document["schema"])
    if name in DOCUMENTS:
        errors = sorted(_validator(name, "").iter_errors(document), key=lambda e: list(map(str, e.path)))
        assert not errors, "\n".join(f"{'/'.join(map(str, e.path))}: {e.message}" for e in errors[:5])
    else:
        assert not document["ok"], f"{document['schema']} has no shape in kcfix/cli/documents.py"
        assert document["data"] == []


def check_line(line: Mapping[str, Any]) -> None:
    """Fail unless the line of a stream is as its schema says."""
    record = dict(line)
    name = name_of(record.pop("schema"))
    errors = list(_validator(name, "stream").iter_errors(record))
    assert not errors, "\n".join(f"{'/'.join(map(str, e.path))}: {e.message}" for e in errors[:5])

"""Shapes of JSON documents in few words, and the JSON Schema of a shape.

A shape is a word (`string`, `integer`, `number`, `boolean`, `time`, `object`; with `?` it may be null), an enum, a
`[shape]` list, a `{name: shape}` object (every name is there unless it ends in `~`; no other name may be), a
`MapOf(shape)` for free names, or a `Maybe(shape)` that may be null. A row of several kinds is a tuple of shapes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Maybe:
    """The shape, or null."""

    shape: object


@dataclass(frozen=True, slots=True)
class MapOf:
    """An object with free names, its values of this shape."""

    shape: object


@dataclass(frozen=True, slots=True)
class Const:
    """This very text."""

    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A row of `data`, and `summary`; what a stream writes, where it is another shape than a row."""

    what: str
    row: object
    summary: Mapping[str, object]
    stream: object = None


def json_schema(name: str, document: Document) -> dict[str, object]:
    """The JSON Schema (2020-12) of a command's documents; of its stream's lines under `$defs/stream`."""
    identifier = f"kcfix.{name}/v1"
    error = {"code": "integer", "kind": "string", "message": "string", "hint": "string?"}
    row = _one_of(document.row)
    stream = _one_of(document.stream or document.row)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": identifier,
        "title": identifier,
        "description": document.what,
        **as_schema(
            {
                "schema": Const(identifier),
                "generated_at": "time",
                "context": "string?",
                "ok": "boolean",
                "data": [],
                "summary": {},
                "warnings": ["string"],
                "errors": [error],
            },
            {
                "data": {"type": "array", "items": {"$ref": "#/$defs/row"}},
                # A document of a failure has no summary.
                "summary": {"anyOf": [as_schema(document.summary), {"type": "object", "maxProperties": 0}]},
            },
        ),
        "$defs": {"row": row, "stream": stream},
    }


def _one_of(shape: object) -> dict[str, object]:
    if isinstance(shape, tuple):
        return {"anyOf": [as_schema(one) for one in shape]}
    return as_schema(shape)


_WORDS: Mapping[str, dict[str, object]] = {
    "time": {"type": "string", "format": "date-time"},
    **{word: {"type": word} for word in ("string", "integer", "number", "boolean", "object")},
}


def as_schema(shape: object, instead: Mapping[str, object] | None = None) -> dict[str, object]:
    """The JSON Schema of a shape. `instead` gives the schemas of some names of an object."""
    match shape:
        case None:
            return {}
        case str():
            schema = dict(_WORDS[shape.removesuffix("?")])
            return _nullable(schema) if shape.endswith("?") else schema
        case Maybe(inner):
            return _nullable(as_schema(inner))
        case MapOf(inner):
            return {"type": "object", "additionalProperties": as_schema(inner)}
        case Const(text):
            return {"const": text}
        case list():
            return {"type": "array", "items": as_schema(shape[0]) if shape else {}}
        case type() if issubclass(shape, enum.Enum):
            return {"type": "string", "enum": sorted(str(member.value) for member in shape)}
        case Mapping():
            names = {str(name).removesuffix("~"): as_schema(inner) for name, inner in shape.items()}
            return {
                "type": "object",
                "properties": {**names, **(instead or {})},
                "required": [str(name) for name in shape if not str(name).endswith("~")],
                "additionalProperties": False,
            }
        case _:
            raise TypeError(f"{shape!r} is no shape")


def _nullable(schema: dict[str, object]) -> dict[str, object]:
    if isinstance(schema.get("type"), str) and "enum" not in schema and schema["type"] not in ("array", "object"):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}

"""The doctor's table: every rule, the document's four families first. To add one: a function and a row in its file."""

from __future__ import annotations

from kcfix.core.doctor.rule import Rule
from kcfix.core.doctor.rules import (
    assignment,
    clocks,
    configuration,
    consuming,
    crashes,
    database,
    downstream,
    emission,
    groups,
    handling,
    kafka,
    lost,
    members,
    offsets,
    payments,
    prevention,
    purchases,
    schema,
    sessions,
    surroundings,
    topics,
    waiting,
    workers,
)

FILES = (
    workers,
    crashes,
    kafka,
    topics,
    consuming,
    handling,
    groups,
    offsets,
    lost,
    members,
    assignment,
    configuration,
    surroundings,
    clocks,
    database,
    sessions,
    schema,
    waiting,
    payments,
    emission,
    purchases,
    downstream,
    prevention,
)
"""In the order in which they are asked: not started, Kafka, groups, settings; then the rest."""

RULES: tuple[Rule, ...] = tuple(
    sorted((rule for file in FILES for rule in file.RULES), key=lambda rule: ("WKGCDP".index(rule.family), rule.code))
)

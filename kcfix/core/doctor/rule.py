"""A rule of the doctor is a function and a row; its docstring is its page in docs/rules.md and `kcfix explain`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import cleandoc

from kcfix.core.doctor.diagnosis import Found, Need, Severity
from kcfix.core.doctor.examination import Examination

Check = Callable[[Examination], Iterable[Found]]
Link = Callable[[Found, Found], bool]
"""Given a consequence and a possible cause: whether the one explains the other."""


def always(effect: Found, cause: Found) -> bool:
    """The cause explains it, whatever it is about."""
    return True


def shared(effect: Found, cause: Found) -> bool:
    """They are about the same thing."""
    return bool(set(effect.about) & set(cause.about))


def same_trouble(effect: Found, cause: Found) -> bool:
    """The log names the same kind of failure, or names none."""
    troubles = {thing for thing in effect.about if thing.kind == "trouble"}
    return not troubles or bool(troubles & set(cause.about))


def same_trouble_told(effect: Found, cause: Found) -> bool:
    """The log names the same kind of failure."""
    return any(thing.kind == "trouble" for thing in effect.about) and same_trouble(effect, cause)


def same(kind: str) -> Link:
    """They are about the same worker, group, partition, …."""

    def linked(effect: Found, cause: Found) -> bool:
        mine = {thing for thing in effect.about if thing.kind == kind}
        return bool(mine & set(cause.about))

    return linked


@dataclass(frozen=True, slots=True)
class Because:
    """Another rule whose finding can be the cause."""

    code: str
    link: Link = always


def because(link: Link, *codes: str) -> tuple[Because, ...]:
    """Several possible causes with the same condition, in order of preference."""
    return tuple(Because(code, link) for code in codes)


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the doctor's table."""

    code: str
    """Stable: family letter and number. Never used again for anything else."""
    severity: Severity
    title: str
    check: Check
    needs: frozenset[Need]
    """All must have answered."""
    causes: tuple[Because, ...] = ()
    """What may explain its findings, the likeliest first."""
    modes: tuple[str, ...] = ()
    """The failure modes of docs/system.md 6 that it sees."""

    @property
    def page(self) -> str:
        """What `kcfix explain` says: the docstring of the check."""
        return cleandoc(self.check.__doc__ or "")

    @property
    def family(self) -> str:
        """The letter of its code."""
        return self.code[:1]


FAMILIES = {
    "W": "workers",
    "K": "Kafka",
    "G": "consumer groups",
    "P": "payments",
    "D": "database",
    "C": "configuration",
}

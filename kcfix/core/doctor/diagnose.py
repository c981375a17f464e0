"""Asks every rule, links causes with consequences, and sorts: what to mend first stands first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kcfix.core.doctor.diagnosis import Diagnosis, Finding, Found, Impact, Need, Severity, Unchecked
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import FAMILIES, Rule
from kcfix.core.missing import Finding as PaymentFinding
from kcfix.core.payments import PaymentId
from kcfix.errors import UsageError

MOST_IDS = 100
"""Payments that are named with a finding; all of them are in `kcfix missing`."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A finding on its way: which rule made it, and its place in the order of the table."""

    rule: Rule
    found: Found
    place: tuple[int, int]

    @property
    def severity(self) -> Severity:
        return self.found.severity or self.rule.severity


def diagnose(examination: Examination, rules: Sequence[Rule]) -> Diagnosis:
    """What these rules, in their order, say of it. Causes come before their consequences."""
    nodes: list[_Node] = []
    unchecked: list[Unchecked] = []
    checked: list[str] = []
    for position, rule in enumerate(rules):
        reason = _missing(examination, rule.needs)
        if reason is not None:
            unchecked.append(Unchecked(rule.code, rule.title, reason))
            continue
        checked.append(rule.code)
        nodes += [_Node(rule, found, (position, n)) for n, found in enumerate(rule.check(examination))]
    parents = {node.place: parent for node in nodes if (parent := _cause(node, nodes)) is not None}
    children: dict[tuple[int, int], list[_Node]] = defaultdict(list)
    for node in nodes:
        if node.place in parents:
            children[parents[node.place].place].append(node)
    looked = examination.payments.value
    cut = looked is not None and looked.cut
    roots = [_finding(node, None, children, cut=cut)[0] for node in nodes if node.place not in parents]
    return Diagnosis(tuple(sorted(roots, key=_weight)), tuple(unchecked), tuple(checked))


def _missing(examination: Examination, needs: Collection[Need]) -> str | None:
    """Why the rule can't be asked; None where all it needs has answered."""
    return next((why for need in Need if need in needs and (why := examination.silence(need)) is not None), None)


def _cause(node: _Node, nodes: Sequence[_Node]) -> _Node | None:
    """The first finding, in the order of the row's causes, that explains this one.

    Advice explains nothing: it has been so for long, and nothing was wrong.
    """
    for possible in node.rule.causes:
        for other in nodes:
            fits = other.rule.code == possible.code and other.place != node.place
            if fits and other.severity is not Severity.ADVICE and possible.link(node.found, other.found):
                return other
    return None


def _finding(
    node: _Node, explained_by: str | None, children: Mapping[tuple[int, int], Sequence[_Node]], *, cut: bool
) -> tuple[Finding, dict[PaymentId, PaymentFinding]]:
    """The finding with its consequences, and the payments that it costs, theirs included."""
    below = [_finding(child, node.rule.code, children, cut=cut) for child in children.get(node.place, ())]
    payments = {p.payment.id: p for p in node.found.payments}
    for _, theirs in below:
        payments |= theirs
    consequences = tuple(sorted((finding for finding, _ in below), key=_weight))
    found = node.found
    return (
        Finding(
            code=node.rule.code,
            title=node.rule.title,
            severity=min((node.severity, *(f.severity for f in consequences)), key=lambda s: s.rank),
            symptom=found.symptom,
            cause=found.cause,
            confidence=found.confidence,
            impact=_impact(found, payments, consequences, cut=cut),
            evidence=found.evidence,
            action=found.action,
            about=found.about,
            explained_by=explained_by,
            consequences=consequences,
            heals=found.heals,
        ),
        payments,
    )


def _impact(
    found: Found, payments: Mapping[PaymentId, PaymentFinding], below: Iterable[Finding], *, cut: bool
) -> Impact:
    below = tuple(below)
    paid = sorted((p.payment for p in payments.values()), key=lambda p: (p.paid_at, p.id))
    amounts: Counter[str] = Counter()
    for payment in paid:
        amounts[payment.currency] += payment.amount_minor
    ends = [d for d in (found.deadline, *(f.impact.deadline for f in below)) if d is not None]
    waits = [w for w in (found.catch_up, *(f.impact.catch_up for f in below)) if w is not None]
    oldest = paid[0].paid_at if paid else None
    return Impact(
        payments=len(paid) if paid else None,
        at_least=cut and bool(paid),
        amounts_minor=dict(sorted(amounts.items())),
        payment_ids=tuple(p.id for p in paid[:MOST_IDS]),
        since=found.since or oldest,
        deadline=min(ends, key=lambda d: d.at, default=None),
        catch_up=max(waits, default=None),
    )


_LAYERS = "CKDWGP"
"""Among findings of one severity: the nearer to the root of things, the earlier."""


def _weight(finding: Finding) -> tuple[int, int, int, int, str]:
    consequences = sum(1 for _ in _all(finding.consequences))
    return (
        finding.severity.rank,
        finding.confidence.rank,
        -consequences,
        _LAYERS.index(finding.family),
        finding.code,
    )


def _all(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        yield from _all(finding.consequences)


def chosen(rules: Sequence[Rule], only: Collection[str], skip: Collection[str]) -> tuple[Rule, ...]:
    """The rules that are to be asked, by codes or by families (letter or name).

    Raises:
        UsageError: a word is neither.
    """
    known = {rule.code for rule in rules}

    def meant(words: Collection[str]) -> set[str]:
        codes: set[str] = set()
        for word in words:
            name = word.strip()
            letter = _family(name)
            if name.upper() in known:
                codes.add(name.upper())
            elif letter:
                codes |= {code for code in known if code.startswith(letter)}
            else:
                raise UsageError(
                    f"{name!r} is neither a code nor a family of checks", hint="kcfix doctor --list-checks"
                )
        return codes

    wanted = meant(only) if only else known
    without = meant(skip)
    return tuple(rule for rule in rules if rule.code in wanted - without)


def _family(word: str) -> str:
    """The letter of the family that the word names; empty where it names none."""
    return next(
        (
            k
            for k, name in FAMILIES.items()
            if word.upper() == k or word.lower() in (name.lower(), name.split()[-1].lower())
        ),
        "",
    )


def rewritten(finding: Finding, write: Callable[[str], str]) -> Finding:
    """The finding with its commands, and those of its consequences, as `write` gives them."""
    return replace(
        finding,
        action=tuple(write(command) for command in finding.action),
        consequences=tuple(rewritten(below, write) for below in finding.consequences),
    )

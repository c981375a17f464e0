"""docs/rules.md: the rules of the doctor, and the modes that they see."""

from __future__ import annotations

from docs_pages import NOTE


def rules() -> str:
    """docs/rules.md."""
    from kcfix.core.doctor.modes import MODES, NOT_SEEN, rules_of
    from kcfix.core.doctor.rule import FAMILIES
    from kcfix.core.doctor.rules import RULES

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

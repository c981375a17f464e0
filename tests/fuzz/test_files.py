"""Files that a stranger wrote: settings, plans, saved offsets, shared lines, journals. Usage errors, and no bugs."""

from __future__ import annotations

import json
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kcfix.core import acknowledgement
from kcfix.core.dlq import parking
from kcfix.core.events import own_purchase_id
from kcfix.core.move.offsets_file import SCHEMA, _digest, read_offsets
from kcfix.core.repair.plan_file import _hash, read_plan
from kcfix.errors import KcfixError, NotFound, Refused, UsageError
from kcfix.settings import SETTINGS, load
from tests.cli.night import Night
from tests.conftest import NOW, Run
from tests.fuzz.strange import altered, fuzzed, is_safe, numbers, texts, values

NAMES = [setting.name for setting in SETTINGS]
tables = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(texts | st.sampled_from([*NAMES, "contexts", "tables", "purchase_group"]), inner, max_size=3),
    ),
    max_leaves=5,
)


def toml(value: Any) -> str:
    """The value as TOML writes it within a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + " }"
    return repr(value)


@fuzzed(50)
@given(st.dictionaries(st.sampled_from([*NAMES, "contexts", "default_context", "nonsense"]), tables, max_size=4))
def test_a_strange_settings_file_is_read_or_is_wrong_usage(tmp_path_factory: Any, content: dict[str, Any]) -> None:
    folder = tmp_path_factory.getbasetemp()
    text = "".join(f"{name} = {toml(value)}\n" for name, value in content.items())
    tomllib.loads(text)
    (folder / "kcfix.toml").write_text(text)
    try:
        settings = load({}, {"HOME": str(folder)}, folder)
    except (UsageError, NotFound) as error:
        assert error.message  # noqa: PT017 - any other exception fails the test
    else:
        assert settings.timeout > timedelta(0)


@fuzzed(40)
@given(st.binary(max_size=60) | texts.map(lambda t: t.encode("utf-8", "replace")))
def test_a_settings_file_of_any_bytes_is_read_or_is_wrong_usage(tmp_path_factory: Any, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "kcfix.toml").write_bytes(content)
    try:
        load({}, {"HOME": str(folder)}, folder)
    except (UsageError, NotFound) as error:
        assert error.message  # noqa: PT017 - any other exception fails the test


class Stranger:
    """A night with payments of every kind, and a plan for the two of them that kcfix would repair."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.night = Night()
        self.run = run
        self.file = folder / "plan.json"
        bought = self.night.pay(3)
        self.night.database.purchase(bought)
        self.refunded = self.night.pay(4, status="refunded")
        self.bare = self.night.pay(5, metadata={})
        self.others = [bought.id, self.refunded.id, self.bare.id]
        self.before = {p.id for p in self.night.database.purchases}

    def repair(self, *words: str) -> Any:
        """Run `kcfix repair` there."""
        night = self.night
        return self.run("repair", *words, kafka=night.kafka, database=night.database, docker=night.docker)

    def document(self) -> Any:
        """The plan that kcfix makes."""
        assert self.repair(*self.night.ids, "--plan", str(self.file)).code == 0
        return json.loads(self.file.read_text())

    def write(self, document: Any) -> None:
        """A plan file with the right hash, whatever it says."""
        if isinstance(document, dict):
            document = {name: value for name, value in document.items() if name != "sha256"}
            document["sha256"] = _hash(document)
        self.file.write_text(json.dumps(document))


@fuzzed(15)
@given(st.data())
def test_a_strangers_plan_does_nothing_that_kcfix_would_not_plan_itself(
    run: Run, tmp_path: Path, data: st.DataObject
) -> None:
    world = Stranger(run, tmp_path)
    whole = world.document()
    words = st.sampled_from([*world.others, *world.night.ids, "INSERT", "REPLAY", "ANNOUNCE", "insert", "announce"])
    made = data.draw(altered(whole, values | words | st.just(whole["steps"][0]) | st.sampled_from([10, 20, 30, 20.0])))
    world.write(made)
    is_safe(world.repair("--apply-plan", str(world.file), "--yes"))
    new = [p for p in world.night.database.purchases if p.id not in world.before]
    assert {p.id for p in new} <= {own_purchase_id(p.id) for p in world.night.paid}
    paid = {p.student_id: p for p in world.night.paid}
    assert all((p.course_id, p.tier) == (paid[p.student_id].course_id, 20) for p in new)
    assert all(isinstance(p.tier, int) for p in new)


@fuzzed(15)
@given(st.data())
def test_a_plan_that_was_changed_without_its_hash_does_nothing(run: Run, tmp_path: Path, data: st.DataObject) -> None:
    world = Stranger(run, tmp_path)
    whole = world.document()
    made = data.draw(altered(whole))
    world.file.write_text(json.dumps(made))
    ran = world.repair("--apply-plan", str(world.file), "--yes")
    if json.dumps(made, sort_keys=True) != json.dumps(whole, sort_keys=True):
        assert ran.code in (2, 5)
        assert {p.id for p in world.night.database.purchases} == world.before
        assert world.night.kafka.sent == []


@fuzzed(60)
@given(values.map(json.dumps) | texts | st.binary(max_size=30).map(lambda b: b.decode("latin-1")))
def test_what_is_no_plan_is_wrong_usage(text: str) -> None:
    try:
        read_plan(text, "plan.json")
    except (UsageError, Refused) as error:
        assert error.message  # noqa: PT017 - any other exception fails the test


SAVED: Any = {
    "schema": SCHEMA,
    "kcfix": "1",
    "exported_at": NOW.isoformat(),
    "cluster_id": "c",
    "group": "g",
    "offsets": [{"topic": "t", "partition": 0, "committed_offset": 5, "log_start_offset": 0, "log_end_offset": 9}],
}


def signed(document: Any) -> str:
    """The document with the right hash, whatever it says."""
    if isinstance(document, dict):
        document = {**document, "sha256": _digest(document)}
    return json.dumps(document)


@fuzzed(80)
@given(altered(SAVED).map(signed) | st.lists(texts | numbers.map(str), max_size=5).map(",".join) | texts)
def test_strange_saved_offsets_are_wrong_usage(text: str) -> None:
    try:
        found = read_offsets(text, "o.json")
    except KcfixError as error:
        assert error.code in (2, 5)  # noqa: PT017 - any other exception fails the test
    else:
        assert all(n is None or (type(n) is int and n >= 0) for n in found.offsets.values())


LINES = (
    {"payment_id": "00000000-0000-4000-8000-000000000001", "verdict": "SKIPPED", "reason": "x", "at": NOW.isoformat()},
    {"cluster_id": "c", "topic": "t", "partition": 0, "offset": 1, "cause": "c", "reason": "r", "at": NOW.isoformat()},
    {"kind": "begin", "run": "20260115T120000Z-3fa91c", "at": NOW.isoformat(), "command": "repair", "argv": ["x"]},
    {"kind": "intend", "run": "20260115T120000Z-3fa91c", "step": "1", "what": {"action": "insert"}},
)
shared = st.lists(
    st.sampled_from(LINES).flatmap(altered).map(json.dumps) | texts | values.map(json.dumps), min_size=1, max_size=4
)


@fuzzed(60)
@given(shared)
def test_strange_lines_of_a_shared_file_are_left_out(lines: list[str]) -> None:
    acknowledgement.read_lines(lines)
    parking.read_lines(lines, "c")


@fuzzed(12)
@given(shared, st.sampled_from(["history", "history 20260115T120000Z-3fa91c", "undo 20260115T120000Z-3fa91c"]))
def test_a_strange_journal_is_shown_as_far_as_it_can_be_read(
    run: Run, tmp_path: Path, lines: list[str], words: str
) -> None:
    journal = tmp_path / "home" / ".local" / "state" / "kcfix" / "journal"
    journal.mkdir(parents=True, exist_ok=True)
    text = "\n".join([json.dumps(LINES[2]), *lines])
    (journal / "2026-01.jsonl").write_text(text.encode("utf-8", "replace").decode())
    for form in ((), ("-o", "json")):
        night = Night()
        is_safe(run(*words.split(), *form, kafka=night.kafka, database=night.database, docker=night.docker))

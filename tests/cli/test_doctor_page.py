"""`kcfix doctor --report FILE.html`: one file that needs nothing, says what it does not know, and is all its own."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kcfix.errors import Unreachable
from tests.conftest import Run
from tests.ward import MINUTE, Ward

HOSTILE = (
    "<script>alert('x')</script> <img src=https://evil.example/p onerror=alert(1)> \x1b[31m\x00\u202egnp\u2066 \"'"
)


@pytest.fixture
def ward() -> Ward:
    return Ward()


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


def page_of(run: Run, ward: Ward, tmp_path: Path, *argv: str, code: int = 1) -> str:
    file = tmp_path / "incident.html"
    ran = run("doctor", "--report", str(file), "--utc", *argv, **ward.parts)
    assert ran.code == code, ran.err
    return file.read_text(encoding="utf-8")


def stopped(ward: Ward) -> str:
    """The worker stands still while payments come in."""
    ward.end()
    ward.happened("kill", signal="15")
    first, *_ = [ward.pay(n, ago=(14 - n) * MINUTE) for n in (1, 2, 3)]
    return first


def test_it_is_one_file_without_script_or_anything_to_load(run: Run, ward: Ward, tmp_path: Path) -> None:
    stopped(ward)
    page = page_of(run, ward, tmp_path)
    elements = Elements(page)
    assert elements.open == []
    assert page.startswith("<!doctype html>")
    assert {"script", "link", "img", "iframe", "object", "embed", "form", "a"} & {t for t, _ in elements.found} == set()
    names = {name for _, attributes in elements.found for name in attributes}
    assert not {n for n in names if n.startswith("on") or n in ("src", "href", "action", "srcset", "data")}
    assert not re.search(r"url\(|@import|https?:", page)
    (policy,) = [m["content"] for m in elements.tags("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_it_fits_a_phone_and_a_dark_room(run: Run, ward: Ward, tmp_path: Path) -> None:
    page = page_of(run, ward, tmp_path, code=0)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in Elements(page).tags("meta")
    assert "prefers-color-scheme:dark" in page


def test_chart_timeline_cost_and_the_line_to_paste_are_there(run: Run, ward: Ward, tmp_path: Path) -> None:
    paid = stopped(ward)
    page = page_of(run, ward, tmp_path)
    elements = Elements(page)
    text = elements.text
    assert "Incident report, 2026-01-15 12:00:00Z" in text
    assert "2026-01-15 11:55:00ZDocker: kodingcaravan-purchase-worker kill, signal 15" in text
    assert "kcfix restart purchase-worker" in text
    assert paid in text
    titles = [label for a in elements.tags("svg") if (label := a["aria-label"]) is not None]
    assert titles[0] == "Payments that are not well; at most 3 payments"
    assert titles[1] == "Messages that wait for purchase-creation-workers; at most 3 messages"
    assert titles[-1].startswith("Moments of the timeline")
    assert "made-up-password" not in page


def test_the_curve_of_payments_steps_up_at_each_payment_and_nowhere_else(run: Run, ward: Ward, tmp_path: Path) -> None:
    stopped(ward)
    curve = next(a["d"] for a in Elements(page_of(run, ward, tmp_path)).tags("path") if a.get("class") == "curve")
    assert curve is not None
    heights = [float(v) for v in re.findall(r"V([\d.]+)", curve)]
    assert sorted(set(heights), reverse=True) == pytest.approx([100 - 92 / 3, 100 - 184 / 3, 8], abs=0.1)
    places = [float(h) for h in re.findall(r"H([\d.]+)", curve)]
    assert places == sorted(places)
    assert places[-1] == 1000


def test_a_sample_shows_the_lag_of_both_looks_as_dots(run: Run, ward: Ward, tmp_path: Path) -> None:
    stopped(ward)
    page = page_of(run, ward, tmp_path, "--sample", "60s")
    assert [a.get("class") for a in Elements(page).tags("path")].count("dot") == 2
    assert "Dots: the lag itself where kcfix looked (3 at" in page
    assert "its commits went on by 0" in page


def test_nothing_committed_is_said_and_drawn_as_nothing(run: Run, ward: Ward, tmp_path: Path) -> None:
    stopped(ward)
    ward.uncommit()
    text = Elements(page_of(run, ward, tmp_path)).text
    assert "purchase-creation-workers: no message waits where something is committed." in text
    assert "whose lag is no number" in text
    assert "up to 3 messages may wait there" in text


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("kafka", "What waits for the workers is not known: kafka did not answer"),
        ("database", "Payments are not known: database did not answer"),
    ],
)
def test_a_silent_system_is_said_in_place_of_its_curve(
    run: Run, ward: Ward, tmp_path: Path, system: str, said: str
) -> None:
    stopped(ward)
    getattr(ward, system).down = Unreachable(f"{system} did not answer", system=system)
    text = Elements(page_of(run, ward, tmp_path)).text
    assert said in text
    assert ("Messages that wait" in text) is (system != "kafka")
    assert ("Payments that are not well" in text) is (system != "database")


def test_payments_that_were_not_looked_at_are_a_grey_gap(run: Run, ward: Ward, tmp_path: Path) -> None:
    stopped(ward)
    ward.end(ago=timedelta(days=3))
    elements = Elements(page_of(run, ward, tmp_path))
    assert "Grey: payments before 2026-01-14 12:00:00Z were not looked at." in elements.text
    (gap,) = (a for a in elements.tags("rect") if a.get("class") == "gap")
    assert 600 < float(gap["width"] or 0) < 800


def test_of_very_many_payments_the_newest_are_a_grey_gap(
    run: Run, ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kcfix.core.doctor.read.MOST_PAYMENTS", 2)
    stopped(ward)
    for n in range(50, 55):
        ward.pay(n, ago=timedelta(minutes=60 - n))
    elements = Elements(page_of(run, ward, tmp_path))
    assert "There are more than the 2 that were read; the newest are not drawn (grey)." in elements.text
    assert "others are well, in flight, or not read." in elements.text
    assert any(a.get("class") == "gap" for a in elements.tags("rect"))


def test_when_nothing_is_wrong_it_says_so_and_draws_no_payments(run: Run, ward: Ward, tmp_path: Path) -> None:
    text = Elements(page_of(run, ward, tmp_path, code=0)).text
    assert "Nothing is wrong, as far as one look can tell" in text
    assert "is overdue and not well" in text
    assert "Nothing waits for any of the workers." in text


@pytest.mark.parametrize("docker", [True, False])
def test_text_of_the_outside_world_stays_text(run: Run, ward: Ward, tmp_path: Path, docker: bool) -> None:
    stopped(ward)
    ward.log(HOSTILE, ago=MINUTE)
    ward.kafkajs(f"[Connection] Connection error: {HOSTILE}")
    ward.dead_letter(0, 0, HOSTILE, payment=HOSTILE)
    if not docker:
        ward.docker.failure = Unreachable(HOSTILE, system="docker")
    page = page_of(run, ward, tmp_path)
    elements = Elements(page)
    assert "alert('x')" in elements.text, "the hostile text did not come into the report: the test shows nothing"
    assert {"script", "img"} & {tag for tag, _ in elements.found} == set()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", page)


def test_only_names_that_say_what_is_to_be_written_are_taken(run: Run, ward: Ward, tmp_path: Path) -> None:
    for name in ("incident", "incident.txt", "incident.pdf", "html"):
        ran = run("doctor", "--report", str(tmp_path / name), **ward.parts)
        assert ran.code == 2
        assert "must end in .md or .html" in ran.err
        assert not (tmp_path / name).exists()
    (tmp_path / "folder.html").mkdir()
    assert run("doctor", "--report", str(tmp_path / "folder.html"), **ward.parts).code == 2


def test_nothing_is_changed_by_drawing(run: Run, ward: Ward, tmp_path: Path) -> None:
    stopped(ward)
    page_of(run, ward, tmp_path, "--sample", "60s")
    assert (ward.kafka.sent, ward.kafka.commits, ward.docker.done) == ([], [], [])

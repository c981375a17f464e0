"""`kcfix watch` on fakes: the screen and its end, a line or an object a look, servers that come and go."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kcfix.errors import Unreachable
from kcfix.main import Terminated, main
from kcfix.render.screen import ENTER, LEAVE
from kcfix.services import Services
from tests.conftest import NOW, Run, Terminal
from tests.schemas import check_line
from tests.system import FLOW
from tests.ward import MINUTE, Ward

EVERY = timedelta(seconds=5)


class Night:
    """A watch of some looks, before each of which something may happen."""

    def __init__(self, ward: Ward, *, tty: bool = False, columns: int = 80, lines: int = 40) -> None:
        self.ward = ward
        self.out, self.err = Terminal(tty=tty), Terminal(tty=tty)
        self.at = NOW
        self.slept: list[float] = []
        self.environ = {"HOME": "/nowhere", "COLUMNS": str(columns), "LINES": str(lines), "TERM": "xterm"}

    def run(self, *argv: str, then: tuple[Callable[[], Any], ...] = (), end: BaseException | None = None) -> int:
        """Look once more for each thing that happens; then it is interrupted."""

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.at += EVERY
            self.ward.kafka.now = self.ward.database.now = self.at
            if len(self.slept) > len(then):
                raise end or KeyboardInterrupt
            then[len(self.slept) - 1]()

        services = Services(
            environ=self.environ,
            stdout=self.out,
            stderr=self.err,
            now=lambda: self.at,
            sleep=sleep,
            monotonic=lambda: 0.0,
            resolves=lambda host: host != "kafka",
            **self.ward.parts,  # type: ignore[arg-type]
        )
        return main(["watch", "--utc", *argv], services)

    @property
    def screens(self) -> list[list[str]]:
        """What stood on the screen at each look, by lines."""
        held = self.out.getvalue().partition(ENTER)[2].partition(LEAVE)[0]
        shown = [part.replace("\x1b[K", "").replace("\x1b[J", "") for part in held.split("\x1b[H") if part]
        return [part.split("\r\n") for part in shown]

    @property
    def after(self) -> str:
        """What is left on the terminal."""
        return self.out.getvalue().rpartition(LEAVE)[2]


@pytest.fixture
def ward() -> Ward:
    return Ward()


def nothing() -> None:
    """Nothing happens."""


def silent(ward: Ward, *systems: str) -> Callable[[], None]:
    def fall() -> None:
        for name in systems:
            error = Unreachable(f"{name} is gone", system=name)
            if name == "docker":
                ward.docker.failure = error
            else:
                getattr(ward, name).down = error

    return fall


def back(ward: Ward) -> Callable[[], None]:
    def rise() -> None:
        ward.kafka.down = ward.database.down = ward.docker.failure = None

    return rise


def test_the_screen_shows_workers_lag_payments_and_errors(ward: Ward) -> None:
    ward.end()
    paid = ward.pay(1, ago=10 * MINUTE)
    ward.log("Purchase creation failed: made up", ago=MINUTE)
    night = Night(ward, tty=True)
    assert night.run("--no-color", then=(nothing,)) == 130
    first, second = night.screens
    assert first[0].startswith("NOT WELL  2026-01-15 12:00:00Z")
    assert second[0].endswith("look 2 since 12:00:00")
    text = "\n".join(second)
    assert re.search(r"^purchase +NOT_WORKING", text, re.MULTILINE)
    assert paid in text
    assert "payments without a purchase: 1" in text
    assert "Purchase creation failed: made up" in text


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal_nor_are_there_more_than_it_has(ward: Ward, columns: int) -> None:
    for n in range(1, 30):
        ward.pay(n, ago=10 * MINUTE)
    ward.log("x" * 500)
    ward.end()
    night = Night(ward, tty=True, columns=columns, lines=24)
    night.run("--no-color", then=(silent(ward, "kafka"), nothing))
    for screen in night.screens:
        assert len(screen) <= 24
        assert max(len(line) for line in screen) <= columns
        assert not any("\x1b" in line for line in screen)
    assert night.screens[0][-1].startswith("… and ") or len(night.screens[0]) < 24


@pytest.mark.parametrize("end", [KeyboardInterrupt(), Terminated(), RuntimeError("a bug")])
def test_the_terminal_is_given_back_however_it_ends(ward: Ward, end: BaseException) -> None:
    night = Night(ward, tty=True)
    night.run(end=end)
    text = night.out.getvalue()
    assert (text.count(ENTER), text.count(LEAVE)) == (1, 1)
    assert LEAVE.startswith("\x1b[?25h")
    assert "watched for 0s (1 look" in night.after
    assert "\x1b" not in night.after


def test_what_changed_is_left_below_the_prompt(ward: Ward) -> None:
    def stop() -> None:
        ward.end()
        ward.pay(1, ago=10 * MINUTE)

    night = Night(ward, tty=True)
    night.run(then=(stop, nothing))
    assert "watched for 10s (3 looks" in night.after
    assert "group purchase-creation-workers: STABLE -> EMPTY" in night.after
    assert "payments without a purchase: 0 -> 1" in night.after
    assert "lag of purchase-creation-workers: 0 -> 1" in night.after


def test_a_silent_system_is_unknown_since_a_time_and_back_after_one(ward: Ward) -> None:
    night = Night(ward, tty=True)
    night.run("--no-color", then=(silent(ward, "database", "kafka"), nothing, back(ward)))
    _, fell, still, rose = ("\n".join(screen) for screen in night.screens)
    assert "database UNKNOWN since 12:00:05 (0s): database is gone" in fell
    assert "database UNKNOWN since 12:00:05 (5s): database is gone" in still
    assert "payments without a purchase: UNKNOWN; 0 when the database last answered" in still
    assert "kafka UNKNOWN since 12:00:05 (5s)" in still
    assert "UNKNOWN since" not in rose
    assert "database answers again, after 10s" in rose
    assert next(line for line in still.splitlines() if line.startswith("purchase ")).split()[-1] == "-"


@pytest.mark.parametrize("systems", [("docker",), ("kafka",), ("database",), ("docker", "kafka", "database")])
def test_it_begins_and_goes_on_with_any_of_them_dead(ward: Ward, systems: tuple[str, ...]) -> None:
    silent(ward, *systems)()
    night = Night(ward, tty=True)
    assert night.run("--no-color", then=(nothing, back(ward))) == 130
    assert len(night.screens) == 3
    for name in systems:
        assert f"{name} UNKNOWN since 12:00:00" in "\n".join(night.screens[1])


def test_through_a_pipe_it_is_one_line_a_look(ward: Ward) -> None:
    night = Night(ward)
    assert night.run(then=(silent(ward, "database"), back(ward))) == 130
    lines = night.out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("2026-01-15 12:00:00Z  purchase ")
    assert lines[0].endswith("without purchase 0")
    assert lines[1].endswith("without purchase UNKNOWN  database UNKNOWN since 2026-01-15 12:00:05Z")
    assert "\x1b" not in night.out.getvalue()


def test_as_json_it_is_one_object_a_look(ward: Ward) -> None:
    night = Night(ward)
    night.run("-o", "jsonl", then=(silent(ward, "kafka"), back(ward)))
    *rows, end = (json.loads(line) for line in night.out.getvalue().splitlines())
    assert end["errors"][0]["kind"] == "interrupted" if "errors" in end else end["error"]["kind"] == "interrupted"
    for row in rows:
        check_line(row)
    assert [row["look"] for row in rows] == [1, 2, 3]
    assert [[s["system"] for s in row["silent"]] for row in rows] == [[], ["kafka"], []]
    purchase = [next(w for w in row["workers"] if w["group"] == FLOW.purchase_group) for row in rows]
    assert [w["lag_records"] for w in purchase] == [0, None, 0]
    assert rows[2]["changes"] == ["kafka answers again, after 5s"]


def test_quiet_is_the_number_of_payments_without_a_purchase(ward: Ward) -> None:
    ward.end()
    ward.pay(1, ago=10 * MINUTE)
    night = Night(ward)
    night.run("-q", then=(silent(ward, "database"),))
    assert night.out.getvalue() == "1\n-\n"


def test_a_dumb_terminal_gets_lines(ward: Ward) -> None:
    night = Night(ward, tty=True)
    night.environ["TERM"] = "dumb"
    night.run()
    assert "\x1b" not in night.out.getvalue()


def test_nothing_is_changed_and_no_group_is_joined(ward: Ward) -> None:
    Night(ward, tty=True).run(then=(nothing, nothing))
    assert (ward.kafka.sent, ward.kafka.commits, ward.docker.done) == ([], [], [])
    assert not {"insert", "delete", "holding", "probe"} & set(ward.database.calls)


def test_texts_of_the_outside_world_can_not_move_the_cursor(ward: Ward) -> None:
    ward.log("evil \x1b[2J\x1b[?1049l\x07 \u202egnp", ago=MINUTE)
    night = Night(ward, tty=True)
    night.run("--no-color")
    shown = "\n".join(night.screens[0])
    assert "evil" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize("argv", [("--every", "100ms"), ("--every", "soon")])
def test_a_senseless_pause_is_wrong_usage(run: Run, ward: Ward, argv: tuple[str, ...]) -> None:
    assert run("watch", *argv, **ward.parts).code == 2

"""Names for the completion: asked by a child, kept for seconds in a file of the user's own, harmless to a shell."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from kcfix.adapters.errand import errand
from kcfix.adapters.name_cache import FRESH_SECONDS, NOTHING, STALE_SECONDS, Kept, NameCache
from kcfix.errors import KcfixError
from kcfix.services import Services
from kcfix.services import names as live
from kcfix.services.names import Source

Up = Callable[[], None]
PATIENT = 30.0
"""Seconds: the machine of a test may be busy."""


def names(services: Services, source: Source, kind: str, wait: float = PATIENT) -> tuple[str, ...]:
    """As the completion asks, but with time for it."""
    return live.names(services, source, kind, wait)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    (tmp_path / "work").mkdir()
    return Services(environ={"HOME": str(tmp_path / "home")}, folder=tmp_path / "work")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / ".cache" / "kcfix" / "names"


def source(*found: str, mark: Path | None = None, up: bool = True, hang: float = 0) -> Source:
    """Gives these names; leaves a line in the file each time that it is asked."""

    def fetch(services: Services, told: Up) -> Mapping[str, Sequence[str]]:
        if mark is not None:
            with mark.open("a") as file:
                file.write("asked\n")
        if up:
            told()
        time.sleep(hang)
        return {"groups": found}

    return Source("kafka", fetch)


def down(services: Services, told: Up) -> Mapping[str, Sequence[str]]:
    raise OSError("nobody is there")


def aged(folder: Path, seconds: float) -> None:
    """Make what is kept older by so many seconds."""
    (file,) = folder.glob("*.json")
    cache = NameCache(folder)
    kept = Kept(**json.loads(file.read_text()))
    older = Kept(kept.names, kept.asked_at - seconds, kept.named_at - seconds)
    cache._path = lambda system: file  # type: ignore[method-assign]
    cache.write("", older)


def test_names_are_asked_once_in_five_seconds(services: Services, folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for _ in range(3):
        assert names(services, source("a", "b", mark=mark), "groups") == ("a", "b")
    assert mark.read_text().count("asked") == 1
    aged(folder, FRESH_SECONDS + 1)
    assert names(services, source("c", mark=mark), "groups") == ("c",)
    assert mark.read_text().count("asked") == 2


def test_what_is_kept_can_be_read_by_its_owner_alone(services: Services, folder: Path) -> None:
    before = os.umask(0)
    try:
        names(services, source("a"), "groups")
    finally:
        os.umask(before)
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_while_a_system_is_down_older_names_are_given_and_it_is_not_asked_at_every_key(
    services: Services, folder: Path, tmp_path: Path
) -> None:
    names(services, source("a"), "groups")
    aged(folder, FRESH_SECONDS + 1)
    assert names(services, Source("kafka", down), "groups") == ("a",)
    mark = tmp_path / "mark"
    assert names(services, source("b", mark=mark), "groups") == ("a",)
    assert not mark.exists()
    aged(folder, STALE_SECONDS + 1)
    assert names(services, Source("kafka", down), "groups") == ()


def test_a_system_that_gives_no_sign_is_not_waited_for_and_its_answer_is_there_the_next_time(
    services: Services, folder: Path
) -> None:
    late = source("late", up=False, hang=1.5)
    assert names(services, late, "groups", 0.05) == ()
    deadline = time.monotonic() + 20
    while not any("late" in file.read_text() for file in folder.glob("*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert names(services, late, "groups") == ("late",)


@pytest.mark.parametrize(
    "name", ["$(touch x)", "`x`", "a b", "a;b", "-rf", "a\nb", "\x1b[2J", "", "a'b", "ä", "x" * 250]
)
def test_a_name_that_a_shell_could_take_for_something_else_is_not_given(services: Services, name: str) -> None:
    assert names(services, source(name, "good-1.x_y"), "groups") == ("good-1.x_y",)


def test_systems_are_told_apart_and_no_file_name_tells_an_address(tmp_path: Path, folder: Path) -> None:
    for broker in ("one.example:9092", "two.example:9092"):
        environ = {"HOME": str(tmp_path / "home"), "KCFIX_BROKERS": broker}
        assert names(Services(environ=environ, folder=tmp_path), source(broker), "groups") == (broker,)
    assert len(list(folder.iterdir())) == 2
    assert not any("example" in file.name for file in folder.iterdir())


def test_a_cache_that_can_not_be_used_is_one_that_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = NameCache(tmp_path / "file" / "below")
    cache.write("x", NOTHING)
    assert cache.read("x") == NOTHING
    NameCache(tmp_path / "c").write("x", Kept({"groups": ("a",)}, 1.0, 1.0))
    (file,) = (tmp_path / "c").iterdir()
    for text in ("", "[]", '{"names": 3}', '{"names": {}, "asked_at": "x", "named_at": 1}', "\udcff"):
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert NameCache(tmp_path / "c").read("x") == NOTHING


def test_a_clock_that_was_set_back_keeps_nothing_fresh_for_ever() -> None:
    future = Kept({"groups": ("a",)}, 1000.0, 1000.0)
    assert not future.fresh(10.0)
    assert future.usable(10.0) == {}


def long(up: Up) -> bytes:
    up()
    return b"x" * 300_000


def test_an_errand_ends_with_its_answer_with_none_or_with_nothing_by_its_own_death() -> None:
    assert errand(lambda up: b"answer", wait=20, wait_if_up=20) == b"answer"
    assert errand(long, wait=20, wait_if_up=20) == b"x" * 300_000
    assert errand(lambda up: os._exit(3), wait=20, wait_if_up=20) == b""
    assert errand(lambda up: b"x" * threading.Event().wait(3), wait=0.05, wait_if_up=20) is None


def knock(port: int, home: Path) -> bool:
    """At a broker that the settings know by another name."""
    environ = {
        "HOME": str(home),
        "KCFIX_BROKERS": "kafka:9092",
        "KCFIX_ADDRESS_MAP": f"kafka:9092=127.0.0.1:{port}",
    }
    return live._knock(Services(environ=environ, folder=home))


def answer(server: socket.socket, said: bytes) -> threading.Thread:
    """Take one connection, read a request, say that, and hang up."""

    def take() -> None:
        taken, _ = server.accept()
        with taken:
            taken.recv(100)
            taken.sendall(said)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return thread


def test_a_knock_goes_where_the_address_map_leads_and_wants_a_word(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for said, there in ((b"\0", True), (b"", False)):
            thread = answer(server, said)
            assert knock(port, tmp_path) is there
            thread.join()
        assert knock(port, tmp_path) is False  # Docker's proxy, or a broker that hangs
        (tmp_path / "kcfix.toml").write_text('[kafka]\nsecurity_protocol = "SASL_SSL"\n')
        assert knock(port, tmp_path) is True  # what speaks TLS has no word for this
    with pytest.raises(OSError, match="refused"):
        knock(port, tmp_path)


@pytest.mark.parametrize("speaks", [True, False])
def test_an_engine_is_there_once_it_has_said_a_word(tmp_path: Path, speaks: bool) -> None:
    path = tmp_path / "docker.sock"
    services = Services(environ={"HOME": str(tmp_path), "KCFIX_DOCKER_HOST": f"unix://{path}"}, folder=tmp_path)
    services.hurry(timedelta(milliseconds=100))
    signs: list[str] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        if speaks:
            answer(server, b"H")
        with pytest.raises(KcfixError):
            live.DOCKER.fetch(services, lambda: signs.append("there"))
    assert signs == ["there"] * speaks

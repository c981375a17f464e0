"""Finding many ids in raw bytes gives what looking for each of them gives."""

from __future__ import annotations

import pytest

from kcfix.adapters.kafka_needles import Needles


def ids(count: int) -> list[bytes]:
    return [f"00000000-0000-4000-8000-{n:012x}".encode() for n in range(count)]


@pytest.mark.parametrize("count", [1, 8, 9, 1000])
@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b"H", b"\x00"), (b"abcdef00", b"00ff"), (b"00000000-0000-4000-8000-", b"-0000"), (b'{"k":"', b'"}')],
)
def test_an_id_is_found_whatever_stands_around_it(count: int, before: bytes, after: bytes) -> None:
    wanted = ids(count)
    needles = Needles(wanted)
    assert needles.within(before + wanted[-1] + after)
    assert not needles.within(before + b"00000000-0000-4000-8000-fffffffffff" + after)


def test_other_needles_are_found_beside_many_ids() -> None:
    needles = Needles([*ids(1000), b'"originalOffset":"5"', b""])
    assert needles.within(b'{"originalOffset":"5"}')
    assert not needles.within(b'{"originalOffset":"6"}')
    assert not needles.within(b"")
    assert b"" not in needles.all


def test_an_upper_case_id_is_looked_for_as_it_is_written() -> None:
    shouted = [i.upper().replace(b"0", b"A", 1) for i in ids(20)]
    assert Needles(shouted).within(b"x" + shouted[3])
    assert not Needles(shouted).within(shouted[3].lower())

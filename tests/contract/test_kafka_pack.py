"""Record batches as kcfix packs them: to the letter those of the library."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kcfix.adapters import kafka_protocol
from kcfix.adapters.crc32c import crc32c
from kcfix.adapters.kafka_pack import pack
from kcfix.core.events import Message

BYTES = st.binary(max_size=300)
HEADERS = st.lists(st.tuples(st.text(max_size=20), BYTES | st.none()), max_size=6)
MESSAGES = st.lists(st.builds(Message, st.just("t"), BYTES | st.none(), BYTES, HEADERS.map(tuple)), min_size=1)


def packed_by_the_library(messages: list[Message], producer: tuple[int, int], sequence: int) -> bytes:
    builder = kafka_protocol.DefaultRecordBatchBuilder(2, 0, 0, *producer, sequence, 1 << 20)
    for number, message in enumerate(messages):
        builder.append(number, 1_768_478_400_000, message.key, message.value, list(message.headers))
    return bytes(builder.build())


@given(MESSAGES, st.sampled_from([(-1, -1, -1), (7, 0, 0), (2**40, 3, 2**30)]))
def test_a_batch_is_that_of_the_library(messages: list[Message], state: tuple[int, int, int]) -> None:
    producer, sequence = state[:2], state[2]
    assert pack(messages, 1_768_478_400_000, producer, sequence) == packed_by_the_library(messages, producer, sequence)


def test_so_is_a_large_one() -> None:
    messages = [Message("t", b"%036d" % n, b"x" * (n * 7 % 1500), (("eventId", b"%d" % n),)) for n in range(200)]
    assert pack(messages, 1_768_478_400_000, (1, 1), 5) == packed_by_the_library(messages, (1, 1), 5)


@settings(max_examples=30)
@given(st.integers(0, 3000).flatmap(lambda n: st.binary(min_size=n, max_size=n)))
def test_the_checksum_is_that_of_the_library(data: bytes) -> None:
    from kafka.record.util import calc_crc32c

    assert crc32c(data) == calc_crc32c(memoryview(data))


def test_the_checksum_is_right_about_every_length_at_which_it_folds_otherwise() -> None:
    from kafka.record.util import calc_crc32c

    data = bytes(n * 37 % 251 for n in range(9000))
    edges = [256, 264, 512, 520, 1032, 2056, 4104, 8200]
    for length in [n for edge in edges for n in range(edge - 10, edge + 10)]:
        assert crc32c(data[:length]) == calc_crc32c(memoryview(data)[:length]), length

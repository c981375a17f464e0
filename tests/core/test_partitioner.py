"""The partition of a key is the one that the Java client and kafkajs choose."""

from __future__ import annotations

import pytest

from kcfix.core.events import murmur2_partition

# From Apache Kafka's own UtilsTest.testMurmur2: the hash as a signed 32 bit number.
JAVA = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]


@pytest.mark.parametrize(("key", "signed"), JAVA)
def test_the_hash_is_javas(key: bytes, signed: int) -> None:
    assert murmur2_partition(key, 2**31) == signed & 0x7FFFFFFF


@pytest.mark.parametrize("partitions", [1, 3, 12])
@pytest.mark.parametrize(("key", "signed"), JAVA)
def test_the_partition_is_the_positive_hash_modulo(key: bytes, signed: int, partitions: int) -> None:
    assert murmur2_partition(key, partitions) == (signed & 0x7FFFFFFF) % partitions


def test_an_empty_key_has_a_partition() -> None:
    assert 0 <= murmur2_partition(b"", 3) < 3

"""CRC-32C, which seals a record batch: in Python, by arithmetic on large integers instead of byte by byte.

The bytes are a polynomial over GF(2). Its first half, multiplied by x to the power of the bits behind it, may be added
to the second half as A * (x**m mod P): some shifts and exclusive ors of the whole half, which the interpreter does much
faster than a loop over its bytes. Halved until little is left, which is done byte by byte.
"""

from __future__ import annotations

from functools import lru_cache

_POLYNOMIAL = 0x1EDC6F41
_REFLECTED = 0x82F63B78
_ONES = 0xFFFFFFFF
_FEW_BITS = 2048
_ROOM = 64
"""The second part is longer by so many bits, so that the product, 31 bits longer than the first, fits into it."""


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """The checksum of these bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    if len(data) * 8 <= _FEW_BITS:
        return _by_byte(_ONES, data) ^ _ONES
    bits = len(data) * 8
    # Bit 0 of this integer is the highest power: the checksum takes the lowest bit of each byte first.
    value = int.from_bytes(data, "little") ^ _ONES
    while bits > _FEW_BITS:
        second = (1 << ((bits + 32) // 2 - _ROOM - 1).bit_length()) + _ROOM
        first = bits - second
        part, value = value & ((1 << first) - 1), value >> first
        for power in _powers(second):
            value ^= part << (second - first - power)
        bits = second
    return _by_byte(0, value.to_bytes(bits // 8, "little")) ^ _ONES


def _by_byte(crc: int, data: bytes | bytearray | memoryview) -> int:
    table = _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


@lru_cache(maxsize=1)
def _table() -> tuple[int, ...]:
    made = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = (crc >> 1) ^ (_REFLECTED if crc & 1 else 0)
        made.append(crc)
    return tuple(made)


@lru_cache(maxsize=64)
def _powers(exponent: int) -> tuple[int, ...]:
    """The powers in x**exponent mod P."""
    result, base = 1, 2
    while exponent:
        if exponent & 1:
            result = _times(result, base)
        base = _times(base, base)
        exponent >>= 1
    return tuple(power for power in range(32) if result >> power & 1)


def _times(a: int, b: int) -> int:
    """The product of two polynomials, mod P."""
    product = 0
    for power in range(31, -1, -1):
        product <<= 1
        if product >> 32:
            product = (product ^ _POLYNOMIAL) & _ONES
        if b >> power & 1:
            product ^= a
    return product

"""Packs columns of numbers into few bytes without loss.

Each column is written in the shortest of these ways: one value, if all are the same; differences of whole numbers; the same for decimal
fractions, multiplied by a power of ten; or the doubles themselves. The bytes are then ordered by their place within a number, so that
the many zero bytes are neighbours, and the whole chunk is compressed.
"""

from __future__ import annotations

import math
import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import sub

from novacron.errors import StorageError

VERSION = 1
CONSTANT, DELTA, DOUBLES, SPARSE, DELTA_OF_DELTA = range(5)
EXACT = 2.0**53
"""Whole numbers up to this one are exact in a double."""
POWERS = (0, 3, 6, 9)
"""Powers of ten that are tried: counters of seconds have milli-, micro- or nanoseconds."""
_TYPES = ((1, "b", 2**7), (2, "h", 2**15), (4, "i", 2**31), (8, "q", 2**63))
_MISSING = struct.pack("<d", math.nan)


def pack(times: Sequence[float], columns: Sequence[Sequence[float]]) -> bytes:
    """Return times and columns as bytes. NaN means that a value is missing; all other values are kept exactly (-0.0 as 0.0).

    Args:
        times: seconds since 1970, kept to a microsecond.
        columns: each has one value for each time.

    Example:
        >>> unpack(pack([60.0, 120.0, 180.0], [[1.0, 2.0, 4.5]]))
        ([60.0, 120.0, 180.0], [[1.0, 2.0, 4.5]])
    """
    micros = [round(at * 1_000_000) for at in times]
    heads, bodies = [struct.pack("<BIH", VERSION, len(times), len(columns))], []
    for head, body in (_whole(micros, 0), *map(_column, columns)):
        heads.append(head)
        bodies.append(body)
    plain = b"".join(heads) + b"".join(bodies)
    return zlib.compress(plain, 6)


def unpack(data: bytes, wanted: Sequence[int] | None = None) -> tuple[list[float], list[list[float]]]:
    """Return the times and columns that `pack` packed.

    Args:
        data: what `pack` returned.
        wanted: the places of the columns to return, in ascending order; all when None.

    Raises:
        StorageError: the bytes are damaged.
    """
    try:
        plain = zlib.decompress(data)
        version, rows, count = struct.unpack_from("<BIH", plain)
        if version != VERSION:
            raise StorageError("a chunk of metrics was written by a newer version of NovaCron", hint="update NovaCron")
        place, heads = 7, []
        for _ in range(count + 1):
            kind, size, power, width, first, second = _HEAD.unpack_from(plain, place)
            place += _HEAD.size
            heads.append((kind, size, power, width, first, second))
        found, taken = [], None if wanted is None else {0, *(number + 1 for number in wanted)}
        for number, head in enumerate(heads):
            if taken is None or number in taken:
                found.append(_read(head, plain[place : place + head[1]], rows))
            place += head[1]
    except (zlib.error, struct.error, ValueError, EOFError) as error:
        raise StorageError("a chunk of metrics is damaged", hint="it is left out if you delete its row") from error
    return [at / 1_000_000 for at in found[0]], found[1:]


_HEAD = struct.Struct("<BIbBdd")


def _column(given: Sequence[float]) -> tuple[bytes, bytes]:
    """Return head and body of a column."""
    values = given if isinstance(given, list) else list(given)
    first = values[0] if values else 0.0
    if not values or (min(values) == max(values) == first and not any(map(math.isnan, values))):
        return _HEAD.pack(CONSTANT, 0, 0, 0, first, 0.0), b""
    missing = [value != value for value in values]
    if any(missing):
        return _sparse(values, missing)
    for power in POWERS if max(map(abs, values)) < EXACT else ():
        whole = list(map(int, values)) if power == 0 else [round(value * 10.0**power) for value in values]
        back = whole if power == 0 else [one / 10.0**power for one in whole]
        if back == values and max(map(abs, whole)) < EXACT:
            return _whole(whole, power)
    plain = array("d", values).tobytes()
    return _HEAD.pack(DOUBLES, len(plain), 0, 8, 0.0, 0.0), _shuffled(plain, 8)


def _sparse(values: Sequence[float], missing: Sequence[bool]) -> tuple[bytes, bytes]:
    """Return a column with missing values: one bit for each place, then the column of the others."""
    bits = int("".join("1" if one else "0" for one in reversed(missing)), 2).to_bytes((len(values) + 7) // 8, "little")
    head, body = _column([value for value in values if value == value])
    inner = bits + head + body
    return _HEAD.pack(SPARSE, len(inner), 0, 0, 0.0, 0.0), inner


def _whole(values: Sequence[int], power: int) -> tuple[bytes, bytes]:
    """Return a column of whole numbers as differences, or as differences of differences if these are smaller."""
    if not values:
        return _HEAD.pack(CONSTANT, 0, power, 0, 0.0, 0.0), b""
    deltas = list(map(sub, values[1:], values))
    again = list(map(sub, deltas[1:], deltas))
    kind, kept, second = DELTA, deltas, 0
    if again and sum(map(abs, again)) < sum(map(abs, deltas)):
        kind, kept, second = DELTA_OF_DELTA, again, deltas[0]
    largest = max(map(abs, kept), default=0)
    width, code = next((width, code) for width, code, limit in _TYPES if largest < limit)
    body = _shuffled(array(code, kept).tobytes(), width)
    return _HEAD.pack(kind, len(body), power, width, *_two(values[0], second)), body


def _two(first: int, second: int) -> tuple[float, float]:
    """Return two whole numbers of up to 64 bits as the bytes of two doubles."""
    found: tuple[float, float] = struct.unpack("<dd", struct.pack("<qq", first, second))
    return found


def _read(head: tuple[int, int, int, int, float, float], body: bytes, rows: int) -> list[float]:
    kind, _, power, width, first, second = head
    if kind == CONSTANT:
        return [first] * rows
    if kind == DOUBLES:
        return list(_array("d", _ordered(body, 8)))
    if kind == SPARSE:
        return _read_sparse(body, rows)
    start, step = struct.unpack("<qq", struct.pack("<dd", first, second))
    code = next(code for size, code, _ in _TYPES if size == width)
    deltas: Iterable[int] = map(int, _array(code, _ordered(body, width)))
    if kind == DELTA_OF_DELTA:
        deltas = accumulate(deltas, initial=step)
    whole = list(accumulate(deltas, initial=start))
    return [float(one) for one in whole] if power == 0 else [one / 10.0**power for one in whole]


def _read_sparse(body: bytes, rows: int) -> list[float]:
    size = (rows + 7) // 8
    bits = int.from_bytes(body[:size], "little")
    head = _HEAD.unpack_from(body, size)
    there = rows - bits.bit_count()
    inner = iter(_read(head, body[size + _HEAD.size :], there))
    return [math.nan if bits >> place & 1 else next(inner) for place in range(rows)]


def _array(code: str, data: bytes) -> array[float]:
    found: array[float] = array(code)
    found.frombytes(data)
    return found


def _shuffled(data: bytes, width: int) -> bytes:
    """Return the first bytes of all numbers, then the second ones, and so on."""
    return data if width == 1 else b"".join(data[place::width] for place in range(width))


def _ordered(data: bytes, width: int) -> bytes:
    if width == 1:
        return data
    count, found = len(data) // width, bytearray(len(data))
    for place in range(width):
        found[place::width] = data[place * count : (place + 1) * count]
    return bytes(found)


__all__ = ["pack", "unpack"]

"""Changes of bytes that do not depend on the format."""

from __future__ import annotations

from random import Random

SPECIAL = (
    *(b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80", b"\xc0\x80"),
    *(b"\r", b"\n", b"\r\n", b"\t", b"\x1b[31m", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe2\x80\xa8"),
    *(b'"', b"'", b",", b";", b"|", b":", b"-", b"#", b"<", b">", b"&x;", b"{", b"}", b"[", b"]"),
    *(b"-1", b"0", b"1", b"1e400", b"NaN", b"inf", b"9" * 25, b"1" * 5000, b"null", b"true"),
    *(b"[" * 200, b"{" * 200, b"%s%n", b"../", b"/dev/zero", b"$(x)", b"!!python/name:os.system"),
)
MOST = 1 << 16  # bytes that one change inserts


def corrupt(rng: Random, data: bytes, other: bytes = b"") -> bytes:
    """Returns data with one to eight changes, each at a random place.

    Args:
        rng: What decides.
        data: The file.
        other: Another file to splice parts of.
    """
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        _change(rng, changed, other)
    return bytes(changed)


def _change(rng: Random, data: bytearray, other: bytes) -> None:
    start = _place(rng, data)
    end = min(start + int(2 ** rng.uniform(0, 10)), len(data))
    kind = rng.choice(("flip", "bit", "insert", "over", "cut", "end", "repeat", "splice", "fill"))
    if kind == "flip" and start < len(data):
        data[start] = rng.randrange(256)
    elif kind == "bit" and start < len(data):
        data[start] ^= 1 << rng.randrange(8)
    elif kind == "insert":
        data[start:start] = rng.choice(SPECIAL)
    elif kind == "over":
        word = rng.choice(SPECIAL)
        data[start : start + len(word)] = word
    elif kind == "cut":
        del data[start:end]
    elif kind == "end":
        del data[start:]
    elif kind == "repeat":
        data[start:start] = (bytes(data[start:end]) * rng.choice((1, 2, 50)))[:MOST]
    elif kind == "splice":
        cut = _place(rng, other)
        data[start:end] = other[cut : cut + int(2 ** rng.uniform(0, 12))]
    elif kind == "fill":
        data[start:end] = bytes([rng.choice((0, 255, 10, 32))]) * (end - start)


def _place(rng: Random, data: bytes | bytearray) -> int:
    """A random place; half of them at the beginning, where headers are."""
    most = len(data) if rng.random() < 0.5 else min(len(data), 64)
    return rng.randint(0, most)

"""Changes of the sizes declared in image files, for all formats."""

from __future__ import annotations

import struct
import zlib
from random import Random

SIDES = (
    0,
    1,
    2,
    3,
    7,
    16,
    255,
    256,
    4000,
    12_000,
    16_384,
    32_767,
    65_535,
    2**24,
    2**31 - 1,
    2**32 - 1,
)


def corrupt_sides(rng: Random, data: bytes, width: int, height: int) -> bytes:
    """Returns the file with another number wherever a width or height may stand.

    The sides have to be rare numbers, so that what is found mostly is one. Checksums of PNG chunks
    are made right again.
    """
    kinds = ("<H", ">H", "<I", ">I")
    for side in rng.sample((width, height, width - 1, height - 1), rng.choice((1, 2, 4))):
        new = rng.choice(SIDES)
        for kind in kinds:
            old = struct.pack(kind, side)
            place = data.find(old)
            most = 2 ** (8 * len(old)) - 1
            if place >= 0 and rng.random() < 0.7:
                data = data[:place] + struct.pack(kind, min(new, most)) + data[place + len(old) :]
    return with_checksums(data)


def with_checksums(data: bytes) -> bytes:
    """Returns a PNG file whose chunks have the checksums of what they hold; other files as is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    result, place = data[:8], 8
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        end = place + 8 + length
        if end + 4 > len(data):
            break
        result += data[place:end] + struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return result + data[place:]

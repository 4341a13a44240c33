"""Changes of zip archives, of safetensors files and of what pickles call."""

from __future__ import annotations

import io
import json
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.trees import corrupt_tree, json_bytes

Member = tuple[str, bytes]


class _Call:
    """An object that runs a program when it is unpickled; the guard of a case detects that."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch unpickled",)


def evil_pickle(rng: Random) -> bytes:
    """A pickle that runs a program, in one of the protocols."""
    return pickle.dumps(rng.choice(({"epoch": _Call()}, _Call())), rng.choice((0, 2, 4)))


def corrupt_zip(rng: Random, data: bytes, change: Callable[[Random, Member], bytes]) -> bytes:
    """Returns a zip archive, right in itself, whose members were changed.

    Args:
        rng: What decides.
        data: The archive; one that is damaged is corrupted as bytes.
        change: Makes the new content of a member from its name and content.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:
        return corrupt(rng, data)
    for _ in range(rng.choice((1, 1, 2))):
        _change_members(rng, members, change)
    stream = io.BytesIO()
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(stream, "w", kind) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two members with one name
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def _change_members(
    rng: Random, members: list[Member], change: Callable[[Random, Member], bytes]
) -> None:
    if not members:
        return
    place = rng.randrange(len(members))
    if rng.random() < 0.3:  # the largest members are weights: more often one of the others
        place = min(range(len(members)), key=lambda k: (len(members[k][1]), rng.random()))
    name, content = members[place]
    kind = rng.choice(("content", "content", "content", "away", "twice", "rename", "new", "swap"))
    if kind == "content":
        members[place] = name, change(rng, (name, content))
    elif kind == "away":
        del members[place]
    elif kind == "twice":
        members.append((name, change(rng, (name, content))))
    elif kind == "rename":
        members[place] = (
            rng.choice((name.upper(), f"../{name}", f"/{name}", "x", "a" * 300)),
            content,
        )
    elif kind == "new":
        members.append((rng.choice(("x.npy", "data.pkl", "archive/data.pkl", "../x")), b"x" * 100))
    elif kind == "swap":
        other = rng.randrange(len(members))
        members[place] = name, members[other][1]


def corrupt_safetensors(rng: Random, data: bytes, words: Sequence[object] = ()) -> bytes:
    """Returns a safetensors file whose header was changed, with the length that it then has."""
    size = struct.unpack("<Q", data[:8])[0]
    header = corrupt_tree(rng, json.loads(data[8 : 8 + size]), words)
    text = json_bytes(rng, header)
    length = len(text) if rng.random() < 0.9 else rng.choice((0, 1, size * 2, 2**40, 2**64 - 1))
    return struct.pack("<Q", length) + text + data[8 + size :]

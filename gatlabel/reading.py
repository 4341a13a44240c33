"""Reading of untrusted text and JSON files; every error names the file."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from gatlabel.errors import InputError

LARGEST = 4 << 30
"""Largest text file in bytes, above the annotations of the largest public data sets."""

DEEPEST = 100
"""Maximum nesting depth of lists and mappings; the package's own files have at most six."""

_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_ALL_BUT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'[]{}"\\')
_DIGITS_AS_ZERO = bytes(ord("0") if byte in b"123456789" else byte for byte in range(256))


@contextmanager
def opened(path: str | os.PathLike[str], what: str) -> Iterator[BinaryIO]:
    """Opens a regular file; pipes and devices, which may be endless, are refused.

    Args:
        path: The file.
        what: Description of the file for the error message (``"label file"``).

    Raises:
        InputError: If there is no such file, it is a folder, pipe or device, or it cannot be read,
            also within the block; the message names it.
    """
    name = os.fspath(path)
    try:
        # non-blocking: opening a pipe without a writer would wait for ever
        handle = os.open(path, os.O_RDONLY | _NO_WAITING)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"cannot read the {what} {name}: {_kind(status)}")
            with open(handle, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(handle)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read the {what} {name}: {reason}") from error
    except ValueError as error:
        if not _is_about_name(error):
            raise
        raise InputError(f"cannot read the {what} {name}: invalid file name") from error


def _is_about_name(error: ValueError) -> bool:
    """Whether a name contains NUL, or a character that the file system does not support."""
    return isinstance(error, UnicodeEncodeError) or str(error).startswith("embedded null")


def read_bytes(path: str | os.PathLike[str], what: str, largest: int = LARGEST) -> bytes:
    """Reads a whole regular file.

    Args:
        path: The file.
        what: Description of the file for the error message.
        largest: Maximum size in bytes.

    Raises:
        InputError: As :func:`opened`, and if the file is larger than ``largest``.
    """
    with opened(path, what) as file:
        data = read_at_most(file, largest)
    if data is not None:
        return data
    raise InputError(
        f"cannot read the {what} {os.fspath(path)}: it is larger than {_size(largest)}"
    )


def read_at_most(file: BinaryIO, most: int) -> bytes | None:
    """Reads an open file from its current position to its end.

    Args:
        file: A regular file.
        most: Maximum number of bytes.

    Returns:
        The bytes, or ``None`` if there are more; if its declared size is larger, nothing is read.
    """
    size = os.fstat(file.fileno()).st_size  # a file of holes may claim terabytes
    if size > most:
        return None
    # Python allocates all memory for a read in advance, so the limit itself is not requested
    parts = [file.read(size + 1)]
    read = len(parts[0])
    if read > size:  # it grows, or is a system file that reports size 0
        while read <= most and (part := file.read(1 << 20)):
            parts.append(part)
            read += len(part)
    return b"".join(parts) if read <= most else None


def _kind(status: os.stat_result) -> str:
    if stat.S_ISDIR(status.st_mode):
        return "Is a directory"
    return "it is a pipe, a socket or a device: give a regular file"


def _size(count: int) -> str:
    return f"{count >> 30} GiB" if count >= 1 << 30 else f"{count >> 10} KiB"


def read_text(path: str | os.PathLike[str], what: str, largest: int = LARGEST) -> str:
    """Reads a UTF-8 text file; line breaks of all systems become newlines.

    Args:
        path: The file.
        what: Description of the file for the error message (``"label file"``).
        largest: Maximum size in bytes.

    Raises:
        InputError: If the file cannot be read (see :func:`read_bytes`), or is not UTF-8.
    """
    return _decoded(read_bytes(path, what, largest), path, what)


def _decoded(data: bytes, path: str | os.PathLike[str], what: str) -> str:
    try:
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig").read()
    except UnicodeDecodeError:
        line = _first_bad_line(data)
        raise InputError(
            f"cannot read the {what} {os.fspath(path)}: line {line} is not UTF-8 text"
        ) from None


def _first_bad_line(data: bytes) -> int:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:  # the stream's error counts from its last block
        return data.count(b"\n", 0, error.start) + 1
    return 1


def read_json(path: str | os.PathLike[str], what: str, largest: int = LARGEST) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.
        what: Description of the file for the error message.
        largest: Maximum size in bytes.

    Raises:
        InputError: If the file cannot be read (see :func:`read_bytes`), is not JSON, repeats a key
            in one object, is nested more than 100 deep, or has an integer beyond 64 bits; the
            message names the file and, if known, the line.
    """
    data = read_bytes(path, what, largest)
    text = _decoded(data, path, what)
    name = os.fspath(path)
    # only numbers of 19 digits may be too large; few files need the exact check
    long_numbers = b"0" * 19 in data.translate(_DIGITS_AS_ZERO)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_repeats,
            parse_int=_int64 if long_numbers else None,
        )
    except json.JSONDecodeError as error:
        raise InputError(
            f"the {what} {name} is not JSON: line {error.lineno}: {error.msg}"
        ) from error
    except RecursionError:
        raise InputError(f"the {what} {name} is nested more than {DEEPEST} deep") from None
    except ValueError as error:
        raise InputError(f"the {what} {name}: {error}") from error
    if _may_be_deep(data) and _depth_exceeds(value, DEEPEST):
        raise InputError(f"the {what} {name} is nested more than {DEEPEST} deep")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"the key {twice!r} appears twice in one object: remove one")
    return found


def _int64(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        shown = digits if len(digits) <= 24 else f"{digits[:20]}…"
        raise InputError(f"the number {shown} is beyond 64 bits")
    return int(digits)


def _may_be_deep(data: bytes) -> bool:
    """Whether JSON is nested too deeply, or has brackets in strings and needs an exact check.

    Only quotes and brackets are counted, at a small part of the cost of parsing.
    """
    left = data.translate(None, _ALL_BUT_STRUCTURE).replace(b'""', b"")
    if b'"' in left or b"\\" in left:
        return True
    for _ in range(DEEPEST):  # remove the innermost pairs, round by round
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    return bool(left)


def _depth_exceeds(value: Any, most: int) -> bool:
    level: list[dict[str, Any] | list[Any]] = [value] if isinstance(value, dict | list) else []
    for _ in range(most):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return bool(level)

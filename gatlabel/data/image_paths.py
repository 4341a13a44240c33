"""Checks that the images of an annotation file exist and are listed once."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from gatlabel.errors import InputError
from gatlabel.values import first_few


class Listed(Protocol):
    """An image as listed in an annotation file."""

    @property
    def image(self) -> str:
        """Its path, relative to the root."""

    @property
    def listed(self) -> str:
        """The file and line that list it."""


def is_file(path: Path) -> bool:
    """Whether there is such a file; unlike Path's method, it never raises for invalid names."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; unlike Path's method, it never raises for invalid names."""
    return os.path.isdir(path)  # noqa: PTH112


def refuse_repeats(root: Path, rows: Sequence[Listed]) -> None:
    """Checks that no path is empty or listed twice in different spellings.

    ``a.png``, ``./a.png``, ``x//../a.png`` and the absolute path are one path.

    Raises:
        InputError: If a path is empty or listed twice; both lines are named.
    """
    base = os.path.abspath(root)  # noqa: PTH100 - Path has no lexical form
    seen: dict[str, Listed] = {}
    for row in rows:
        if not row.image:
            raise InputError(f"{row.listed}: the image's path is empty")
        path = os.path.normpath(os.path.join(base, row.image))  # noqa: PTH118
        first = seen.setdefault(path, row)
        if first is not row:
            raise _repeated(row, first)


def find_images(
    root: Path, rows: Sequence[Listed], on_error: Literal["stop", "skip"]
) -> tuple[list[int], list[str]]:
    """Checks that the image files exist, and finds files listed under several paths.

    Links, and names that differ in case on some file systems, let two paths lead to one file, which
    would count twice or be in two splits. Hard links count as separate images, since tools that
    save space create them for equal files; a note counts them.

    Args:
        root: The folder that paths are relative to.
        rows: All images.
        on_error: Treatment of missing files: stop, or skip them with a note.

    Returns:
        The positions of the images that exist, and notes.

    Raises:
        InputError: If there is no such folder, two paths lead to one file, or files are missing
            and ``on_error`` is ``"stop"``; lines are named.
    """
    if not is_folder(root):
        raise InputError(f"there is no folder {root}")
    there: list[int] = []
    missing: list[tuple[Listed, str]] = []
    files: dict[tuple[int, int], Listed] = {}
    linked = 0
    for position, row in enumerate(rows):
        status = _status(root, row.image)
        if isinstance(status, str):
            missing.append((row, status))
            continue
        there.append(position)
        first = files.setdefault((status.st_dev, status.st_ino), row) if status.st_ino else row
        if first is not row:
            if status.st_nlink < 2:
                raise _repeated(row, first)
            linked += 1
    notes = [f"{linked} images are hard links to others that are listed too"] if linked else []
    return there, notes + _missing(root, missing, len(rows), on_error)


def _status(root: Path, image: str) -> os.stat_result | str:
    """Returns the status of an image file, or the reason why it is not usable."""
    try:
        status = os.stat(root / image)  # noqa: PTH116 - one call tells everything
    except OSError as error:
        return error.strerror or "cannot be read"
    except ValueError:
        return "invalid file name"
    if stat.S_ISREG(status.st_mode):
        return status
    return "it is a folder" if stat.S_ISDIR(status.st_mode) else "it is not a regular file"


def _missing(
    root: Path, missing: Sequence[tuple[Listed, str]], total: int, on_error: str
) -> list[str]:
    if not missing:
        return []
    shown = first_few([printable(row.image) for row, _ in missing], 3)
    message = f"{len(missing)} of {total} images are missing below {root}: {shown}"
    row, reason = missing[0]
    first = f"first listed at {row.listed}: {reason}"
    if "\\" in row.image and os.sep != "\\":
        first += "; write / between folders, not \\"
    if on_error == "stop":
        raise InputError(f"{message} ({first}); on-error skip omits them")
    if len(missing) == total:
        raise InputError(f"{message} ({first})")
    return [f"skipped: {message}"]


def _repeated(row: Listed, first: Listed) -> InputError:
    image, other = printable(row.image), printable(first.image)
    same = "is" if image == other else f"is the same file as {other},"
    return InputError(f"{row.listed}: {image} {same} already listed at {first.listed}; keep one")


def printable(text: str, most: int = 200) -> str:
    """Returns a path for a message: on one line and of limited length."""
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= most else f"{text[:most]}…"

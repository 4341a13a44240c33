"""Lazy expansion of files, folders, patterns and iterables to single images."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from gatlabel.data.image_files import shown_name
from gatlabel.deploy.inputs import ImageInput, Unreadable, is_single

#: Files with these suffixes count as images in a folder.
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif")

_PATTERN = frozenset("*?[")

Sources: TypeAlias = "ImageInput | Iterable[ImageInput]"


def is_one_image(sources: Any) -> bool:
    """Whether a source is one image: anything but a folder, a pattern or an iterable of images."""
    if isinstance(sources, str | os.PathLike):
        path = os.fsdecode(sources)
        return not (os.path.isdir(path) or _is_pattern(path))  # noqa: PTH112
    return is_single(sources) or not isinstance(sources, Iterable)


def images_of(sources: Any) -> Iterator[ImageInput | Unreadable]:
    """Yields the images of a source one by one; an iterable is read lazily.

    Args:
        sources: One image, the path of a folder (searched with its subfolders, in the order of
            names), a pattern such as ``"photos/**/*.jpg"``, or an iterable of all of these. An
            iterable may be infinite.
    """
    if isinstance(sources, str | os.PathLike):
        yield from _of_path(sources)
    elif is_single(sources) or not isinstance(sources, Iterable):
        yield sources
    else:
        for source in sources:
            if isinstance(source, str | os.PathLike):
                yield from _of_path(source)
            else:
                yield source


def _of_path(path: str | os.PathLike[Any]) -> Iterator[ImageInput | Unreadable]:
    text = os.fsdecode(path)
    if os.path.isdir(text):  # noqa: PTH112 - Path("") is the working directory
        yield from _of_folder(text)
    elif _is_pattern(text):
        found = sorted(glob.iglob(text, recursive=True))  # noqa: PTH207 - absolute patterns too
        if not found:
            yield Unreadable(text, f"no file matches the pattern {shown_name(text)}")
        for name in found:
            if not os.path.isdir(name):  # noqa: PTH112
                yield name
            elif "**" not in text:  # otherwise its files were matched too
                yield from _of_folder(name)
    else:
        yield path


def _is_pattern(path: str) -> bool:
    return not _PATTERN.isdisjoint(path) and not os.path.lexists(path)


def _of_folder(folder: str) -> Iterator[ImageInput | Unreadable]:
    empty = True
    for found in _walk(folder):
        empty = False
        yield found
    if empty:
        endings = ", ".join(ENDINGS)
        yield Unreadable(folder, f"the folder {shown_name(folder)} has no images ({endings})")


def _walk(folder: str) -> Iterator[str | Unreadable]:
    """Yields the image files of a folder by name; links to folders are not followed."""
    try:
        with os.scandir(folder) as entries:
            # name and kind only: entries are larger, and a folder may contain a million
            found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        reason = f"cannot list the folder {shown_name(folder)}: {error.strerror or error}"
        yield Unreadable(folder, reason)
        return
    for name, is_folder in found:
        path = os.path.join(folder, name)  # noqa: PTH118 - keeps "./"
        if is_folder:
            yield from _walk(path)
        elif name.lower().endswith(ENDINGS):
            yield path

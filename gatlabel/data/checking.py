"""Checks before training that all images can be decoded."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from gatlabel.data.file_images import FileImages
from gatlabel.data.image_files import shown_name
from gatlabel.data.memory_budget import DECODING
from gatlabel.data.source import DataSplits, ImageSource
from gatlabel.errors import InputError, unknown_choice
from gatlabel.values import first_few


def check_images(
    source: ImageSource,
    on_error: Literal["stop", "skip"] = "stop",
    *,
    threads: int | None = None,
    name: str = "the data",
    max_pixels: int | None = None,
) -> tuple[ImageSource, tuple[str, ...]]:
    """Decodes every image file once (JPEGs at 1/8 of their size, which reads the whole file).

    Args:
        source: The images; a source without files is returned unchanged.
        on_error: Treatment of images that cannot be decoded: stop, or skip them.
        threads: Number of decoding threads. Default: the number of CPU cores.
        name: Name of the source in messages.
        max_pixels: Maximum number of pixels of an image, here and whenever it is loaded later.
            Default: the limit of the source.

    Returns:
        The source without the damaged images, and notes that count and name them. Images are
        never replaced by other images.

    Raises:
        InputError: If images cannot be decoded and ``on_error`` is ``"stop"``, or if none can.
    """
    if on_error not in ("stop", "skip"):
        raise unknown_choice("on-error", on_error, ("stop", "skip"))
    if not isinstance(source, FileImages):
        return source, ()
    if max_pixels is not None and max_pixels != source.max_pixels:
        source = source.with_max_pixels(max_pixels)

    def complaint(index: int) -> str | None:
        try:
            with DECODING.scope():  # decoded pixels are freed at the end
                source.load_at_least(index, 1)
        except InputError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        complaints = list(pool.map(complaint, range(len(source))))
    good = [index for index, reason in enumerate(complaints) if reason is None]
    bad = [index for index, reason in enumerate(complaints) if reason is not None]
    if not bad:
        return source, ()
    shown = first_few([shown_name(source.ids[index]) for index in bad])
    message = f"{len(bad)} of {len(source)} images of {name} cannot be decoded: {shown}"
    if on_error == "stop":
        raise InputError(f"{message} ({complaints[bad[0]]}); on-error skip omits them")
    if not good:
        raise InputError(
            f"none of the {len(source)} images of {name} can be decoded ({complaints[0]})"
        )
    return source.subset(good), (f"skipped: {message}",)


def check_splits(
    splits: DataSplits,
    on_error: Literal["stop", "skip"] = "stop",
    *,
    threads: int | None = None,
    max_pixels: int | None = None,
) -> DataSplits:
    """Applies :func:`check_images` to every split and adds its notes to the existing ones."""
    checked = {
        part: check_images(
            source, on_error, threads=threads, name=f"the {part} split", max_pixels=max_pixels
        )
        for part, source in splits.items()
        if len(source)
    }
    notes = tuple(note for _, added in checked.values() for note in added)
    sources = {part: source for part, (source, _) in checked.items()}
    return DataSplits(
        splits.name,
        sources.get("train", splits.train),
        sources.get("val", splits.val),
        sources.get("test", splits.test),
        (*splits.notes, *notes),
    )

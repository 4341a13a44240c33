"""Batches of images, decoded in threads while the model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Literal

from gatlabel.data.memory_budget import DECODING
from gatlabel.deploy.inputs import ImageInput, image_name, read_image
from gatlabel.deploy.prefetch import map_ahead
from gatlabel.deploy.resizing import Pixels
from gatlabel.deploy.sources import Sources, Unreadable, images_of, is_one_image
from gatlabel.errors import InputError

OnError = Literal["stop", "skip"]
#: Name, pixels at the model's size, and the error if there are none.
Decoded = tuple[str, Pixels | None, InputError | None]


class Decoder:
    """Reads images and resizes them for a model.

    Args:
        prepare: From pixels ``(h, w, 3)`` to pixels of the model's size.
        side: The model's size.
        max_pixels: Maximum number of pixels of an image.
    """

    def __init__(self, prepare: Callable[[Pixels], Pixels], side: int, max_pixels: int) -> None:
        self.prepare, self.side, self.max_pixels = prepare, side, max_pixels

    def __call__(self, numbered: tuple[int, ImageInput | Unreadable]) -> Decoded:
        """Reads one image; runs in threads."""
        position, image = numbered
        if isinstance(image, Unreadable):
            return image.name, None, InputError(image.reason)
        name = image_name(image, position)
        try:
            with DECODING.scope():  # until the image has its final size
                # as in evaluation: a JPEG is decoded at twice the required size, then resized
                pixels = read_image(image, name, 2 * self.side, self.max_pixels)
                return name, self.prepare(pixels), None
        except InputError as error:
            return name, None, error


def decoded_batches(
    images: Sources, decoder: Decoder, *, on_error: OnError, batch_size: int, workers: int
) -> Iterator[list[Decoded]]:
    """Yields batches of decoded images; an iterable is read at most two batches ahead.

    Args:
        images: The images of the caller.
        decoder: Reads one image.
        on_error: ``"stop"`` raises at the first image that cannot be read.
        batch_size: Maximum batch size.
        workers: Decoding threads; a single image is decoded without threads.

    Raises:
        InputError: If an image cannot be read, and ``on_error`` is ``"stop"``.
    """
    ahead = batch_size if is_one_image(images) else 2 * batch_size
    workers = 0 if is_one_image(images) else workers
    decoded = map_ahead(decoder, enumerate(images_of(images)), workers=workers, ahead=ahead)
    while batch := list(islice(_unless_stopped(decoded, on_error), batch_size)):
        yield batch


def _unless_stopped(decoded: Iterator[Decoded], on_error: OnError) -> Iterator[Decoded]:
    for each in decoded:
        if each[2] is not None and on_error == "stop":
            raise each[2]
        yield each

"""Conversion of images of any supported type to RGB at the size of a model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.decoding import decode_pixels
from gatlabel.data.image_files import (
    FORMATS,
    MAX_PIXELS,
    reason_of,
    require_all_tiles,
    require_few_pixels,
    shown_name,
)
from gatlabel.data.memory_budget import DECODING
from gatlabel.data.modes import image_to_pixels
from gatlabel.deploy.resizing import Pixels
from gatlabel.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | NDArray[np.uint8] | Image | Tensor"
#: Name, pixels at the model's size, and the error if there are none.
Decoded: TypeAlias = "tuple[str, Pixels | None, InputError | None]"


@dataclass(frozen=True)
class Unreadable:
    """A source without images, such as an empty folder or a pattern that matches nothing.

    Attributes:
        name: The source.
        reason: What is wrong with it, in one line.
    """

    name: str
    reason: str


def read_image(
    image: ImageInput, name: str, at_least: int | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Converts one image to uint8 ``(height, width, 3)``, RGB, 0 to 255.

    Args:
        image: A path, the bytes of an image file, a Pillow image of any mode, a uint8 array
            ``(height, width, 3)`` or ``(height, width)``, or a uint8 tensor ``(3, height, width)``.
        name: Name of the image in error messages.
        at_least: JPEG files may be decoded at reduced size as long as neither side becomes
            shorter than this.
        max_pixels: Maximum number of pixels of the image.

    Raises:
        InputError: If the image cannot be read, has too many pixels, or is something else; the
            message names it.
    """
    if _is_tensor(image):
        return _of_tensor(image, name, max_pixels)
    if isinstance(image, np.ndarray):
        return _of_array(image, name, max_pixels)
    if isinstance(image, (str, bytes, os.PathLike)):
        return decode_pixels(image, at_least=at_least, name=name, max_pixels=max_pixels)
    from PIL.Image import Image

    if isinstance(image, Image):
        return _of_pillow(image, name, max_pixels)
    raise InputError(
        f"{name} is of type {type(image).__name__}: give a path, the bytes of an image file, a "
        "Pillow image, a uint8 array (height, width, 3) or a uint8 tensor (3, height, width)"
    )


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


def is_single(image: Any) -> bool:
    """Whether an object is one image although it may be iterable."""
    return (
        isinstance(image, str | bytes | bytearray | os.PathLike | np.ndarray | Mapping)
        or _is_tensor(image)
        or hasattr(image, "read")  # an open file would iterate over lines
    )


def image_name(image: Any, position: int) -> str:
    """Returns the name of an image in messages: its path, or its position."""
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image)
    filename = getattr(image, "filename", "")  # Pillow images that were opened from a file
    is_path = isinstance(filename, (str, bytes)) and filename
    return os.fsdecode(filename) if is_path else f"image {position}"


def _is_tensor(image: Any) -> TypeGuard[Tensor]:
    kind = getattr(sys.modules.get("torch"), "Tensor", None)  # no tensors without torch
    return kind is not None and isinstance(image, kind)


def _of_pillow(image: Image, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Converts a Pillow image; one that is not decoded yet must have a known format."""
    from PIL.ImageFile import ImageFile

    if isinstance(image, ImageFile) and image.format not in FORMATS:
        raise InputError(
            f"{shown_name(name)} is an image file in the format {image.format}: only "
            f"{', '.join(FORMATS)} are decoded; give image.copy() if you trust it"
        )
    try:
        require_few_pixels(*image.size, max_pixels)
        with DECODING.scope():
            DECODING.take(12 * image.width * image.height)
            if isinstance(image, ImageFile):
                require_all_tiles(image)
            return image_to_pixels(image)
    except Exception as error:  # Pillow decodes lazily and raises various errors for damaged files
        reason = reason_of(error)
        raise InputError(f"cannot decode the image {shown_name(name)}: {reason}") from error


def _of_array(image: NDArray[Any], name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Converts an array as from Pillow, matplotlib, or OpenCV after conversion to RGB."""
    fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
    if image.dtype != np.uint8 or not fits or not image.size:
        raise InputError(
            f"{name} is an array of type {image.dtype} and shape {image.shape}: expected uint8 "
            "(height, width, 3) or (height, width), RGB or grey, 0 to 255; several images go in a "
            "list"
        )
    _require_few(image.shape[1], image.shape[0], name, max_pixels)
    grey = image if image.ndim == 3 else image[:, :, None]
    full = np.broadcast_to(grey, (*grey.shape[:2], 3))
    return np.require(full, requirements=("C", "W"))  # torch requires writable memory


def _require_few(width: int, height: int, name: str, max_pixels: int) -> None:
    try:
        require_few_pixels(width, height, max_pixels)
    except ValueError as error:
        raise InputError(f"cannot take the image {name}: {error}") from error


def _of_tensor(image: Tensor, name: str, max_pixels: int) -> NDArray[np.uint8]:
    import torch

    plain = image.layout == torch.strided and not image.is_meta
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3 or not plain:
        raise InputError(_of_another_form(image, name))
    if not image.numel():
        raise InputError(_of_another_form(image, name))
    _require_few(image.shape[2], image.shape[1], name, max_pixels)
    return image.detach().cpu().permute(1, 2, 0).numpy()  # (3, H, W) -> (H, W, 3)


def _of_another_form(image: Tensor, name: str) -> str:
    kind = str(image.dtype).removeprefix("torch.")
    import torch

    where = "meta " if image.is_meta else ""
    form = "" if image.layout == torch.strided else f"{image.layout} "
    return (
        f"{name} is a {where}{form}{kind} tensor of shape {tuple(image.shape)}: expected uint8 "
        "(3, height, width), RGB, 0 to 255; several images go in a list"
    )

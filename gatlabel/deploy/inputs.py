"""Pictures in any of the forms that callers have them in, to uint8 tensors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from gatlabel.data.decoding import decode_image, image_to_tensor
from gatlabel.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | Image | Tensor"


def read_image(image: ImageInput, name: str, at_least: int | None = None) -> Tensor:
    """Brings one picture to uint8 ``(3, height, width)``, RGB, 0 to 255.

    Args:
        image: A path, the bytes of a picture file, a Pillow image of any mode, or a uint8 tensor
            ``(3, height, width)``.
        name: What to call the picture in errors.
        at_least: JPEG files may be decoded smaller than they are as long as neither side becomes
            shorter than this.

    Raises:
        InputError: If the picture cannot be read, or is something else; the message names it.
    """
    if isinstance(image, Tensor):
        return _checked(image, name)
    if isinstance(image, (str, os.PathLike)):
        return decode_image(Path(image), at_least=at_least)
    if isinstance(image, bytes):
        return decode_image(image, at_least=at_least, name=name)
    from PIL.Image import Image

    if isinstance(image, Image):
        try:
            return image_to_tensor(image)
        except (OSError, ValueError, SyntaxError) as error:  # Pillow reads lazily: broken files too
            raise InputError(f"cannot decode the picture {name}: {error}") from error
    raise InputError(
        f"{name} is of type {type(image).__name__}: give a path, the bytes of a picture file, a "
        "Pillow image or a uint8 tensor (3, height, width)"
    )


def image_name(image: Any, position: int) -> str:
    """Returns what to call a picture: its path, or its position among those given."""
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    filename = getattr(image, "filename", "")  # Pillow images that were opened from a file
    return os.fspath(filename) if isinstance(filename, str) and filename else f"image {position}"


def _checked(image: Tensor, name: str) -> Tensor:
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        raise InputError(
            f"{name} is a {str(image.dtype).removeprefix('torch.')} tensor of shape "
            f"{tuple(image.shape)}: expected uint8 (3, height, width), RGB, 0 to 255; "
            "several pictures go in a list"
        )
    return image.detach().cpu()

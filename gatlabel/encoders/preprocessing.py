"""Preprocessing of decoded images for an encoder: size, resizing and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatlabel.encoders.sizes import MOST_PIXELS, RESIZES
from gatlabel.errors import unknown_choice
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.encoders.resizing import ImageTransform

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of images in evaluation; saved with models and bundles.

    Attributes:
        size: Side S of the images in pixels.
        resize: How whole images are resized: ``"squash"`` ignores their aspect ratio; ``"pad"``
            keeps it and fills the rest with the mean colour; ``"crop"`` keeps it and crops the
            ends of the longer side, with the objects there.
        mean: Mean of each RGB channel, pixels scaled to 0..1.
        std: Standard deviation of each RGB channel, pixels scaled to 0..1.

    Raises:
        InputError: If a value is out of range.
    """

    size: int = 224
    resize: str = "squash"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        size = whole_number(self.size, "image_size", 1, MOST_PIXELS)
        object.__setattr__(self, "size", size)
        if self.resize not in RESIZES:
            raise unknown_choice("resize", self.resize, RESIZES)

    def transform(self) -> ImageTransform:
        """Returns the deterministic transform from uint8 ``(3, h, w)`` to uint8 ``(3, S, S)``.

        Normalisation is done by the encoder, on the device: :meth:`Encoder.normalize`.
        """
        from gatlabel.encoders.resizing import resized_whole

        return resized_whole(self.size, self.resize)

"""Resizing of images in uint8, which takes most of the loading time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gatlabel.encoders.sizes import LONGEST, MEAN_COLOUR

Box = tuple[int, int, int, int]


def resize_part(image: Tensor, box: Box, size: tuple[int, int], mirror: bool = False) -> Tensor:
    """Crops and resizes, bilinear and antialiased, within one level of torchvision and Pillow.

    Decoded images are channels-last. Only the crop is copied, in the same layout, because torch
    resizes that layout in half the time of separate planes. The result keeps it as well, as the
    model computes in this layout.

    Args:
        image: uint8 ``(3, h, w)``.
        box: top, left, height and width of the crop, in pixels, inside the image.
        size: height and width of the result.
        mirror: Whether to flip left and right, at no extra cost while copying.

    Returns:
        uint8 ``(3, *size)``; it may share memory with ``image`` if nothing was resized.
    """
    top, left, height, width = box
    part = image[:, top : top + height, left : left + width]
    if mirror:
        part = part.flip(-1)
    if (height, width) == size:
        return part
    # set strides as for a channels-last batch: torch also checks the batch stride of a batch of
    # one, and takes twice as long if it is not the size of an image
    batch = part.permute(1, 2, 0).contiguous()[None].permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return resized[0]


class ImageTransform(nn.Module):
    """A chain of transforms from uint8 ``(3, h, w)`` to uint8 ``(3, size, size)``.

    Args:
        steps: Modules or functions from image to image, such as those of ``transforms.v2``.
        size: Side of the result in pixels.
        decode_side: Sufficient length of the shorter side of the decoded image: JPEG files may be
            decoded at reduced size, and caches store no more than this.
    """

    def __init__(
        self, steps: list[Callable[[Tensor], Tensor]], size: int, decode_side: int
    ) -> None:
        super().__init__()
        self.steps = steps
        self.size = size
        self.decode_side = decode_side

    def forward(self, image: Tensor) -> Tensor:
        """Returns the transformed image, uint8 ``(3, size, size)``."""
        for step in self.steps:
            image = step(image)
        return image

    def extra_repr(self) -> str:
        """Lists the steps."""
        return "\n".join(str(step) for step in self.steps)


def resized_whole(size: int, resize: str) -> ImageTransform:
    """Returns the deterministic transform that resizes whole images.

    Args:
        size: Side of the result in pixels.
        resize: See :class:`~gatlabel.encoders.preprocessing.Preprocessing`.
    """
    if resize == "squash":
        return ImageTransform([Squash(size)], size, size)
    if resize == "pad":
        return ImageTransform([FitInSquare(size, MEAN_COLOUR)], size, size)
    from torchvision.transforms import v2

    shorter = v2.Resize(size, antialias=True)
    return ImageTransform([CutEnds(), shorter, v2.CenterCrop(size)], size, size)


class Squash(nn.Module):
    """Resizes the whole image to a square, ignoring its aspect ratio.

    Args:
        size: Side of the square in pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        """Returns uint8 ``(3, size, size)``."""
        _, height, width = image.shape
        return resize_part(image, (0, 0, height, width), (self.size, self.size))

    def extra_repr(self) -> str:
        """Shows the size."""
        return f"size={self.size}"


class CutEnds(nn.Module):
    """Crops the ends of very long images evenly, as the centre crop that follows would.

    Otherwise, resizing the shorter side would enlarge them first: an image of 1 by 65,500 pixels
    would take 10 GB at 224 pixels.

    Args:
        ratio: Largest ratio of the longer side to the shorter one.
    """

    def __init__(self, ratio: int = LONGEST) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, image: Tensor) -> Tensor:
        """Returns uint8 ``(3, h, w)``."""
        height, width = image.shape[-2:]
        most = self.ratio * min(height, width)
        top, left = max(0, height - most) // 2, max(0, width - most) // 2
        return image[:, top : top + most, left : left + most]

    def extra_repr(self) -> str:
        """Shows the ratio."""
        return f"ratio={self.ratio}"


class FitInSquare(nn.Module):
    """Resizes the longer side to that of a square, and pads the shorter one at both ends.

    Args:
        size: Side of the square in pixels.
        colour: RGB, 0 to 255, of the padding.
    """

    def __init__(self, size: int, colour: tuple[int, int, int]) -> None:
        super().__init__()
        self.size = size
        self.colour = colour

    def forward(self, image: Tensor) -> Tensor:
        """Returns uint8 ``(3, size, size)``."""
        longer = max(image.shape[-2:])
        height, width = (max(1, round(side * self.size / longer)) for side in image.shape[-2:])
        colour = torch.tensor(self.colour, dtype=image.dtype)[:, None, None]
        padded = colour.repeat(1, self.size, self.size)
        top, left = (self.size - height) // 2, (self.size - width) // 2
        whole = (0, 0, *image.shape[-2:])
        padded[:, top : top + height, left : left + width] = resize_part(
            image, whole, (height, width)
        )
        return padded

    def extra_repr(self) -> str:
        """Shows size and colour."""
        return f"size={self.size}, colour={self.colour}"

"""Images brought to size in uint8: what loading spends its time on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gatlabel.encoders.sizes import LONGEST, MEAN_COLOUR

Box = tuple[int, int, int, int]


def resize_part(image: Tensor, box: Box, size: tuple[int, int], mirror: bool = False) -> Tensor:
    """Crops and resizes, bilinear and antialiased, as torchvision and Pillow do to one level.

    Decoded images have their three colours side by side. Only the part is copied, still so,
    because torch's resize of that form takes half as long as that of separate planes; and the
    result stays so, the form in which the model computes.

    Args:
        image: uint8 ``(3, h, w)``.
        box: top, left, height and width of the part, in pixels, inside the image.
        size: height and width of the result.
        mirror: Whether left and right are exchanged, which costs nothing while it is copied.

    Returns:
        uint8 ``(3, *size)``; it may share memory with ``image`` if nothing was resized.
    """
    top, left, height, width = box
    part = image[:, top : top + height, left : left + width]
    if mirror:
        part = part.flip(-1)
    if (height, width) == size:
        return part
    # colours first come last before the batch is made: torch asks the stride of a batch of one as
    # well, and takes twice as long where that is not the size of an image
    batch = part.permute(1, 2, 0).contiguous()[None].permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return resized[0]


class ImageTransform(nn.Module):
    """A chain of steps from uint8 ``(3, h, w)`` to uint8 ``(3, size, size)``.

    Args:
        steps: Modules or functions from image to image, such as ``transforms.v2`` has.
        size: Side of the result in pixels.
        decode_side: How long the shorter side of the decoded image should be: JPEG files may
            be decoded smaller than they are, and caches keep no more than this.
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
    """Brings whole images to a size, without chance.

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
    """Resizes the whole image to a square, whatever its ratio.

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
    """Cuts the ends of very long images off, evenly, as the centre crop that follows does anyway.

    A resize of the shorter side would first make them larger by its factor: an image of 1 by 65,500
    pixels would take 10 GB at 224 pixels.

    Args:
        ratio: The longest the longer side may be, in shorter sides.
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
    """Resizes the longer side to that of a square, and pads the shorter one on both ends.

    Args:
        size: Side of the square in pixels.
        colour: RGB, 0 to 255, of what is added.
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

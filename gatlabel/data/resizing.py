"""Part of a picture, brought to size in uint8: what loading spends its time on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Box = tuple[int, int, int, int]


def resize_part(image: Tensor, box: Box, size: tuple[int, int], mirror: bool = False) -> Tensor:
    """Crops and resizes, bilinear and antialiased, as torchvision and Pillow do to one level.

    Decoded pictures have their three colours side by side. Only the part is copied, still so,
    because torch's resize of that form takes half as long as that of separate planes; and the
    result stays so, the form in which the model computes.

    Args:
        image: uint8 ``(3, h, w)``.
        box: top, left, height and width of the part, in pixels, inside the picture.
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
    # well, and takes twice as long where that is not the size of a picture
    batch = part.permute(1, 2, 0).contiguous()[None].permute(0, 3, 1, 2)
    resized = nn.functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return resized[0]


class Squash(nn.Module):
    """Resizes the whole picture to a square, whatever its ratio.

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


class RandomPart(nn.Module):
    """A random part of the picture, resized to a square, and perhaps its mirror image.

    Chooses as torchvision's ``RandomResizedCrop`` (Szegedy et al., CVPR 2015, section 6): area
    uniform, ratio log-uniform, ten attempts, else the largest central part of a legal ratio.

    Args:
        size: Side of the square in pixels.
        area: Smallest and largest share of the picture's area.
        ratio: Smallest and largest width over height.
        mirror: Probability of a mirror image.
    """

    def __init__(
        self,
        size: int,
        area: tuple[float, float],
        ratio: tuple[float, float],
        mirror: float = 0.0,
    ) -> None:
        super().__init__()
        from torchvision.transforms import v2

        self.size = size
        self.choice = v2.RandomResizedCrop(size, area, ratio)
        self.mirror = mirror

    def forward(self, image: Tensor) -> Tensor:
        """Returns uint8 ``(3, size, size)``."""
        chosen = self.choice.make_params([image])
        box = (chosen["top"], chosen["left"], chosen["height"], chosen["width"])
        mirror = self.mirror > 0 and float(torch.rand(())) < self.mirror
        return resize_part(image, box, (self.size, self.size), mirror)

    def extra_repr(self) -> str:
        """Shows the options."""
        options = f"size={self.size}, area={self.choice.scale}, ratio={self.choice.ratio}"
        return f"{options}, mirror={self.mirror}"


class RandomMirror(nn.Module):
    """Left and right exchanged, with a probability.

    Args:
        probability: 0 to 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, image: Tensor) -> Tensor:
        """Returns uint8 ``(3, h, w)``."""
        return image.flip(-1) if float(torch.rand(())) < self.probability else image

    def extra_repr(self) -> str:
        """Shows the probability."""
        return f"probability={self.probability}"

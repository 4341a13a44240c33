"""Crops and padding that ``transforms.v2`` does not have."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatlabel.data.resizing import resize_part
from gatlabel.encoders.sizes import LONGEST


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


class Multiscale(nn.Module):
    """A crop of one of a few sizes at one of thirteen places, resized to a square.

    Follows the ``MultiScaleCrop`` of ML-GCN's training code (Chen et al., CVPR 2019), which took
    it from temporal segment networks (Wang et al., ECCV 2016): height and width are drawn from
    neighbouring scales (at most two steps apart in the list), the place from the corners, the
    centre, the middles of the sides and the four quarter points. That code squashes the picture
    to a square first; here one resize does both, so the same parts are seen, once interpolated.

    Args:
        size: Side of the result in pixels.
        scales: Sides of the crop as shares of the picture's, in descending order.
    """

    def __init__(self, size: int, scales: tuple[float, ...]) -> None:
        super().__init__()
        self.size = size
        self.scales = scales
        count = range(len(scales))
        self.pairs = [
            (scales[row], scales[column])
            for row in count
            for column in count
            if abs(row - column) <= 2
        ]
        quarters = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]  # in quarters of what is left over
        middles = [(2, 0), (2, 4), (4, 2), (0, 2)]
        inner = [(1, 1), (1, 3), (3, 1), (3, 3)]
        self.places = [*quarters, *middles, *inner]

    def forward(self, image: Tensor) -> Tensor:
        """Returns uint8 ``(3, size, size)``."""
        _, height, width = image.shape
        tall, wide = self.pairs[int(torch.randint(len(self.pairs), ()))]
        down, right = self.places[int(torch.randint(len(self.places), ()))]
        crop_h, crop_w = max(1, round(height * tall)), max(1, round(width * wide))
        top = (height - crop_h) * down // 4
        left = (width - crop_w) * right // 4
        return resize_part(image, (top, left, crop_h, crop_w), (self.size, self.size))

    def extra_repr(self) -> str:
        """Shows size and scales."""
        return f"size={self.size}, scales={self.scales}"

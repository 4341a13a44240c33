"""Random crops and horizontal flips."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatlabel.encoders.resizing import resize_part


class RandomPart(nn.Module):
    """A random crop, resized to a square and perhaps flipped.

    The crop is chosen as in torchvision's ``RandomResizedCrop`` (Szegedy et al., CVPR 2015,
    section 6): uniform area, log-uniform ratio, ten attempts, else the largest central crop with a
    valid ratio.

    Args:
        size: Side of the square in pixels.
        area: Smallest and largest share of the image area.
        ratio: Smallest and largest ratio of width to height.
        mirror: Probability of a horizontal flip.
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
    """Flips left and right with a probability.

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


class Multiscale(nn.Module):
    """A crop with one of several sizes at one of thirteen positions, resized to a square.

    Follows ``MultiScaleCrop`` in ML-GCN's training code (Chen et al., CVPR 2019), taken from
    temporal segment networks (Wang et al., ECCV 2016). Height and width are drawn from
    neighbouring scales (at most two steps apart in the list). The position is a corner, the
    centre, the middle of a side or a quarter point. That code first resizes the image to a square;
    here a single resize does both, with the same crops and one interpolation.

    Args:
        size: Side of the result in pixels.
        scales: Sides of the crop relative to the image, in descending order.
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
        quarters = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]  # in quarters of the margin
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

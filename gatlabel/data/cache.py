"""Decoded pictures kept in memory, shrunk to what is needed of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from gatlabel.data.resizing import resize_part

_BLOCK = 256  # pictures a tensor: few enough tensors to share between processes by handle


class PictureCache:
    """uint8 pictures of different sizes, packed into few tensors.

    Packed so that worker processes can share the memory: thousands of single tensors would each
    need a file handle, and copying a list of them touches every page.

    Args:
        count: Number of pictures.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._blocks: list[Tensor] = []
        self._shapes: list[tuple[int, int]] = []
        self._starts: list[int] = []

    @property
    def filled(self) -> bool:
        """Whether all pictures are in the cache."""
        return len(self._shapes) == self._count

    @property
    def bytes(self) -> int:
        """Memory taken by the pictures."""
        return sum(block.numel() for block in self._blocks)

    def get(self, index: int, decode: Callable[[int], Tensor], side: int | None) -> Tensor:
        """Returns a picture, after filling the cache if that has not been done."""
        if not self.filled:
            self.fill(decode, side, threads=1)
        height, width = self._shapes[index]
        block = self._blocks[index // _BLOCK]
        pixels = block[self._starts[index] :][: 3 * height * width]
        return pixels.view(height, width, 3).permute(2, 0, 1)  # (3, H, W)

    def fill(self, decode: Callable[[int], Tensor], side: int | None, threads: int) -> None:
        """Decodes all pictures.

        Args:
            decode: From position to uint8 ``(3, h, w)``.
            side: Pictures with a longer shorter side are shrunk to this one; ``None``: kept.
            threads: How many pictures are decoded at a time.
        """
        if self.filled:
            return
        self._blocks, self._shapes, self._starts = [], [], []
        with ThreadPoolExecutor(max(1, threads)) as pool:
            for first in range(0, self._count, _BLOCK):
                positions = range(first, min(first + _BLOCK, self._count))
                pictures = list(pool.map(lambda index: shrink(decode(index), side), positions))
                start = 0
                for picture in pictures:
                    self._shapes.append((picture.shape[1], picture.shape[2]))
                    self._starts.append(start)
                    start += picture.numel()
                packed = [picture.permute(1, 2, 0).reshape(-1) for picture in pictures]
                self._blocks.append(torch.cat(packed))


def shrink(image: Tensor, side: int | None) -> Tensor:
    """Resizes uint8 ``(3, h, w)`` so that its shorter side is ``side``, if it is longer."""
    if side is None or min(image.shape[-2:]) <= side:
        return image
    _, height, width = image.shape
    shorter = min(height, width)
    size = (int(side * height / shorter), int(side * width / shorter))
    return resize_part(image, (0, 0, height, width), size)

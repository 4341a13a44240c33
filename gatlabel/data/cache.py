"""An in-memory cache of decoded images at reduced size."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from gatlabel.data.memory_budget import DECODING, usable_memory
from gatlabel.encoders.resizing import resize_part

_BLOCK = 256  # images per tensor: few tensors can be shared between processes by handle


class ImageCache:
    """uint8 images of different sizes, packed into a few tensors.

    Worker processes can share packed memory. Thousands of single tensors would each need a file
    handle, and copying a list of them would touch every page.

    Args:
        count: Number of images.
        most: Maximum number of bytes. Images beyond it are decoded each time, and a log message
            counts them. Default: a third of the memory available to this process.
    """

    def __init__(self, count: int, most: int | None = None) -> None:
        self._count = count
        self._most = usable_memory() // 3 if most is None else most
        self._blocks: list[Tensor] = []
        self._shapes: list[tuple[int, int]] = []
        self._starts: list[int] = []
        self.filled = False
        """Whether all images that fit are in the cache."""

    @property
    def bytes(self) -> int:
        """Memory used by the images."""
        return sum(block.numel() for block in self._blocks)

    def get(self, index: int, decode: Callable[[int], Tensor], side: int | None) -> Tensor:
        """Returns an image; fills the cache first if necessary."""
        if not self.filled:
            self.fill(decode, side, threads=1)
        if index >= len(self._shapes):
            return decoded_to_side(decode, index, side)
        height, width = self._shapes[index]
        block = self._blocks[index // _BLOCK]
        pixels = block[self._starts[index] :][: 3 * height * width]
        return pixels.view(height, width, 3).permute(2, 0, 1)  # (3, H, W)

    def fill(self, decode: Callable[[int], Tensor], side: int | None, threads: int) -> None:
        """Decodes all images.

        Args:
            decode: Maps a position to uint8 ``(3, h, w)``.
            side: Images with a longer shorter side are shrunk to it; ``None`` keeps their size.
            threads: Number of decoding threads.
        """
        if self.filled:
            return
        self._blocks, self._shapes, self._starts = [], [], []
        taken, block = 0, list[Tensor]()
        for image in decoded_in_order(decode, self._count, side, threads):
            if taken + image.numel() > self._most:
                self._log_capacity()
                break
            taken += image.numel()
            self._shapes.append((image.shape[1], image.shape[2]))
            self._starts.append(sum(earlier.numel() for earlier in block))
            block.append(image.permute(1, 2, 0).reshape(-1))
            if len(block) == _BLOCK:
                self._blocks.append(torch.cat(block))
                block = []
        if block:
            self._blocks.append(torch.cat(block))
        self.filled = True

    def _log_capacity(self) -> None:
        logging.getLogger(__name__).warning(
            "the memory cache contains %d of %d images, %.1f GB; the others are decoded in every "
            "epoch: use cache=disk for all",
            *(len(self._shapes), self._count, self._most / 1e9),
        )


def decoded_in_order(
    decode: Callable[[int], Tensor], count: int, side: int | None, threads: int
) -> Iterator[Tensor]:
    """Decodes and shrinks images in threads, a few ahead of the consumer.

    Args:
        decode: Maps a position to uint8 ``(3, h, w)``.
        count: Number of images.
        side: Images with a longer shorter side are shrunk to it; ``None`` keeps their size.
        threads: Number of decoding threads.
    """
    with ThreadPoolExecutor(max(1, threads)) as pool:
        ahead: deque[Future[Tensor]] = deque()
        try:
            for index in range(count):
                ahead.append(pool.submit(decoded_to_side, decode, index, side))
                if len(ahead) > 2 * max(1, threads):
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def decoded_to_side(decode: Callable[[int], Tensor], index: int, side: int | None) -> Tensor:
    """Decodes one image and shrinks it, both within the memory budget."""
    with DECODING.scope():
        return shrink(decode(index), side)


def shrink(image: Tensor, side: int | None) -> Tensor:
    """Resizes uint8 ``(3, h, w)`` so that its shorter side is ``side``, if it is longer."""
    if side is None or min(image.shape[-2:]) <= side:
        return image
    _, height, width = image.shape
    shorter = min(height, width)
    size = (int(side * height / shorter), int(side * width / shorter))
    return resize_part(image, (0, 0, height, width), size)

"""Random changes of brightness, contrast and saturation in one pass over the pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Weights of red, green and blue in the grey of a pixel (ITU-R BT.601), rounded as in torchvision.
GREY = (0.2989, 0.587, 0.114)


class ColourJitter(nn.Module):
    """Changes brightness, contrast and saturation by random factors, in random order.

    The changes are those of torchvision's ``ColorJitter``: brightness multiplies an image,
    contrast blends it with its mean grey, saturation blends each pixel with its own grey. All are
    linear and are composed into ``a·pixel + b·grey + c``. Values outside 0 to 255 are clipped once
    at the end, not after each change.

    Args:
        strength: Factors are uniform in 1 ± ``strength``, 0 to 1.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, image: Tensor) -> Tensor:
        """Returns uint8 ``(3, h, w)``, channels-last, of an image in the same layout."""
        factors = (1 + self.strength * (2 * torch.rand(3) - 1)).tolist()
        order = torch.randperm(3).tolist()
        pixels = torch.empty(image.shape).copy_(image)  # as planes, since colours are treated alike
        grey = GREY[0] * pixels[0]
        for channel in (1, 2):
            grey.add_(pixels[channel], alpha=GREY[channel])
        a, b, c = joined(order, factors, float(grey.mean()))
        pixels.mul_(a).add_(grey.mul_(b).add_(c)).round_().clamp_(0, 255)
        height, width = image.shape[1:]
        result = torch.empty(height, width, 3, dtype=torch.uint8).permute(2, 0, 1)
        return result.copy_(pixels)

    def extra_repr(self) -> str:
        """Shows the strength."""
        return f"strength={self.strength}"


def joined(order: list[int], factors: list[float], mean: float) -> tuple[float, float, float]:
    """Composes the changes into one.

    Args:
        order: Order of the changes: 0 brightness, 1 contrast, 2 saturation.
        factors: Factors of brightness, contrast and saturation (not in ``order``).
        mean: The image's mean grey.

    Returns:
        a, b and c of ``a·pixel + b·grey + c``.
    """
    a, b, c = 1.0, 0.0, 0.0
    for change in order:
        factor = factors[change]
        if change == 2:  # the current grey: a, b and c times the grey
            a, b = factor * a, factor * b + (1 - factor) * (a + b)
            continue
        blend = 0.0 if change == 0 else (1 - factor) * ((a + b) * mean + c)
        a, b, c = factor * a, factor * b, factor * c + blend
    return a, b, c

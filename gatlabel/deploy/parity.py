"""Comparison of the logits of an exported model with those of the original."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.deploy.description import Parity
from gatlabel.errors import InputError

#: Allowed difference of a logit, relative to max(1, largest logit). Runtimes sum in another order
#: and merge batch norms into convolutions: float32 differs by 1e-6 to 1e-5.
TOLERANCE = 1e-4
#: One and several, to detect models that were specialised to the batch size of their example.
BATCH_SIZES = (1, 3)
#: The same for half precision, which has 11 significant bits.
HALF_TOLERANCE = 2e-2


def check_tolerance(tolerance: float) -> None:
    """Refuses a tolerance with which every comparison, or none, would pass.

    Raises:
        InputError: If it is negative, infinite or NaN.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"tolerance {tolerance}: expected a finite number, at least 0")


@torch.inference_mode()
def compare(
    exported: Callable[[Tensor], Tensor],
    original: Callable[[Tensor], Tensor],
    image_size: int,
    tolerance: float = TOLERANCE,
    batch_sizes: tuple[int, ...] = BATCH_SIZES,
) -> Parity:
    """Runs both models on the same images.

    Args:
        exported: From uint8 ``(B, 3, S, S)`` to logits ``(B, L)``.
        original: The same for the model before folding and export.
        image_size: S, in pixels.
        tolerance: See :class:`~gatlabel.deploy.description.Parity`.
        batch_sizes: The batches to run.
    """
    difference = largest = 0.0
    for seed, count in enumerate(batch_sizes):
        images = sample_images(count, image_size, seed)
        ours, theirs = exported(images).double(), original(images).double()
        if ours.shape != theirs.shape:
            difference = float("inf")
        else:
            # unlike max(), these propagate a NaN in the second argument
            difference = float(torch.tensor([difference, (ours - theirs).abs().max()]).max())
        largest = float(torch.tensor([largest, theirs.abs().max()]).max())
    return Parity(difference, largest, tolerance, batch_sizes)


def sample_images(count: int, size: int, seed: int = 0) -> Tensor:
    """Makes images with statistics like photographs: large and small shapes, contrast, noise.

    Args:
        count: Number of images.
        size: Side of the images in pixels.
        seed: Random seed.

    Returns:
        uint8 ``(count, 3, size, size)``, with values from the whole range 0 to 255.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, 3, size, size)
    for cells in (2, 5, 13):  # from large-scale lighting to edges of objects
        field = torch.randn(count, 3, cells, cells, generator=generator)
        images += F.interpolate(field, (size, size), mode="bilinear", align_corners=False)
    images += 0.1 * torch.randn(count, 3, size, size, generator=generator)
    return (127.5 + 80 * images).clamp(0, 255).to(torch.uint8)

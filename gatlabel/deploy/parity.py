"""Whether an exported model gives the logits of the one it was made from."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.deploy.description import Parity
from gatlabel.errors import InputError

#: Allowed difference of a logit, as a share of the largest one (at least of 1). Runtimes add up in
#: another order, and batch norms are merged into convolutions: float32 differs by 1e-6 to 1e-5.
TOLERANCE = 1e-4
#: One and several: a model that has grown fast to the size of its example fails at one of them.
BATCH_SIZES = (1, 3)
#: The same for half precision, whose numbers have 11 bits.
HALF_TOLERANCE = 2e-2


def check_tolerance(tolerance: float) -> None:
    """Refuses a tolerance with which no comparison would fail, or none pass.

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
        original: The same, of the model before folding and export.
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
            # max() would drop a NaN that comes second: these keep it
            difference = float(torch.tensor([difference, (ours - theirs).abs().max()]).max())
        largest = float(torch.tensor([largest, theirs.abs().max()]).max())
    return Parity(difference, largest, tolerance, batch_sizes)


def sample_images(count: int, size: int, seed: int = 0) -> Tensor:
    """Makes images with what photographs have: shapes large and small, contrast, some noise.

    Args:
        count: How many.
        size: Their side in pixels.
        seed: Other images for another seed.

    Returns:
        uint8 ``(count, 3, size, size)``, the whole range from 0 to 255 in use.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.zeros(count, 3, size, size)
    for cells in (2, 5, 13):  # from the light of a scene to the edges of things
        field = torch.randn(count, 3, cells, cells, generator=generator)
        images += F.interpolate(field, (size, size), mode="bilinear", align_corners=False)
    images += 0.1 * torch.randn(count, 3, size, size, generator=generator)
    return (127.5 + 80 * images).clamp(0, 255).to(torch.uint8)

"""Random seeds as functions of run, epoch and image, independent of earlier draws.

With them, a resumed run, or one with another number of workers, sees the same batches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15


def mixed(*numbers: int) -> int:
    """Mixes integers into one seed below 2^63; it depends on their order and number.

    Each step is the finaliser of SplitMix64 (Steele, Lea and Flood, *Fast splittable pseudorandom
    number generators*, OOPSLA 2014, figure 17).

    Args:
        numbers: Integers; only their lowest 64 bits are used.
    """
    state = 0
    for number in numbers:
        state = _finalised((state + _GAMMA + number) & _MASK)
    return state >> 1


def image_seeds(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Returns ``mixed(seed, epoch, i)`` for every image i: int64 ``(count,)``.

    The seed of an image depends neither on its position in the order nor on the number of images.
    """
    state = 0
    for number in (seed, epoch):
        state = _finalised((state + _GAMMA + number) & _MASK)
    with np.errstate(over="ignore"):
        values = np.arange(count, dtype=np.uint64) + np.uint64((state + _GAMMA) & _MASK)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        values ^= values >> np.uint64(31)
    return (values >> np.uint64(1)).astype(np.int64)


def _finalised(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)

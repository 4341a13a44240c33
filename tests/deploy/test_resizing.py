"""Preprocessing in NumPy gives the same bits as that of evaluation in torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gatlabel.deploy.resizing import prepared
from gatlabel.encoders import Preprocessing
from gatlabel.encoders.sizes import RESIZES

sides = st.integers(1, 600)


def in_torch(pixels: NDArray[np.uint8], size: int, resize: str) -> NDArray[np.uint8]:
    image = torch.from_numpy(pixels).permute(2, 0, 1)
    return Preprocessing(size, resize).transform()(image).permute(1, 2, 0).numpy()  # type: ignore[arg-type]


def noise(height: int, width: int, seed: int = 0, top: int = 256) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, top, (height, width, 3), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(sides, sides, st.integers(1, 300), st.sampled_from(RESIZES), st.booleans())
def test_equals_torch_bit_for_bit(
    height: int, width: int, size: int, resize: str, extremes: bool
) -> None:
    pixels = noise(height, width)
    if extremes:
        pixels = (pixels >> 7) * np.uint8(255)
    np.testing.assert_array_equal(prepared(pixels, size, resize), in_torch(pixels, size, resize))


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize(
    ("height", "width"), [(375, 500), (1200, 900), (224, 224), (448, 448), (1, 9000), (9000, 2)]
)
def test_equals_torch_on_sizes_that_occur(height: int, width: int, resize: str) -> None:
    pixels = noise(height, width, seed=height)
    found = prepared(pixels, 224, resize)
    assert found.shape == (224, 224, 3)
    np.testing.assert_array_equal(found, in_torch(pixels, 224, resize))


def test_one_colour_stays_that_colour() -> None:
    pixels = np.full((300, 200, 3), (255, 0, 17), np.uint8)
    assert (prepared(pixels, 64, "squash") == (255, 0, 17)).all()

"""Image files: decoded, checked, and labelled by a model."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import torch

from gatlabel.data import FileImages, check_images, decode_image
from gatlabel.deploy import Predictor
from gatlabel.labels import LabelSet
from tests.deploy import models
from tests.fuzz.case import Case, WrongError
from tests.fuzz.image_headers import corrupt_sides, with_checksums
from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.samples import HEIGHT, WIDTH

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".ppm", ".avif", ".eps", "")


def images(case: Case) -> None:
    """Corrupts one image and opens it in one of the ways there are."""
    rng = case.rng
    name = rng.choice(sorted(case.samples.images))
    data = corrupted_image(rng, case.samples.images, name)
    suffix = Path(name).suffix if rng.random() < 0.8 else rng.choice(SUFFIXES)
    path = case.put(f"image{suffix}", data)
    rng.choice((_decode, _decode, _label, _check))(case, path, data)


def corrupted_image(rng: Random, samples: dict[str, bytes], name: str) -> bytes:
    """Returns an image with changed bytes, sizes or checksums, or as it is."""
    data, other = samples[name], rng.choice(sorted(samples.values()))
    kind = rng.choice(("bytes", "bytes", "checked", "sides", "sides", "both", "whole"))
    if kind in ("sides", "both"):
        data = corrupt_sides(rng, data, WIDTH, HEIGHT)
    if kind in ("bytes", "checked", "both"):
        data = corrupt(rng, data, other)
    return with_checksums(data) if kind in ("checked", "both") else data


def _decode(case: Case, path: Path, data: bytes) -> None:
    file = path if case.rng.random() < 0.5 else data
    at_least = case.rng.choice((None, None, 1, 8, 30, 100))
    pixels = case.call(decode_image, file, at_least=at_least)
    if pixels is not None and not (
        pixels.dtype == torch.uint8 and pixels.ndim == 3 and len(pixels) == 3 and min(pixels.shape)
    ):
        raise WrongError(f"decoded as {pixels.dtype} {tuple(pixels.shape)}")


def _label(case: Case, path: Path, data: bytes) -> None:
    found = case.call(_predictor(), [path, data], on_error=case.rng.choice(("stop", "skip")))
    for prediction in found or ():
        case.refused |= not prediction.ok
        if prediction.ok and not all(0 <= p <= 1 for p in prediction.probabilities.values()):
            raise WrongError(f"predicted {prediction.probabilities}")


def _check(case: Case, path: Path, data: bytes) -> None:
    labels = LabelSet(["cat"])
    good = case.put("good.png", case.samples.images["plain.png"])
    targets = np.array([[1.0], [0.0]], np.float32)
    source = FileImages(case.given, labels, [path.name, good.name], targets)
    checked = case.call(check_images, source, case.rng.choice(("stop", "skip")), threads=1)
    if checked is not None:
        case.refused |= bool(checked[1])
        for index in range(len(checked[0])):  # what was found good loads whole, or is refused
            case.call(checked[0].load, index)


@cache
def _predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(models.make("linear"))

"""From JPEG files of 500 x 375 to training images of 224 and 448, against torchvision's way.

    python benchmarks/speed/pipeline.py [--quick]

The peer opens the file with Pillow and applies transforms.v2: PILToTensor, RandomResizedCrop
(antialias), RandomHorizontalFlip, ToDtype(float32, scale), Normalize. A second peer, without a
target, converts to float before it crops. Ours is an ImageDataset with training_transform, the
same crops and mirrors, up to the uint8 image that is sent to the device, where the model
normalises it; rows of their own count the model's normalisation too, on the same core, so that both
end at the same floats. "cached" is from the second epoch on. "decoding alone" is what would
remain of ours if all else took no time.

Each round loads every image once by every method in turn, each in a process of its own, as the
workers of a loader are: processor time, one thread. (In one process they share a memory allocator,
and what the others keep saves a method the cost of fresh memory: "float first" then takes three
quarters of its time.) Last, what it takes to make of 16 such images a batch as the model computes
with it, normalised and channels last, stacked by our loader and by torch's; and brightness,
contrast and saturation of 16 cropped images in uint8 (ColourJitter), with colours side by side as
our crop leaves them, against torchvision's ColorJitter on planes, as its own crop leaves them.
Images are mosaics of nine photographs of ../shared/data if they are there (GATLABEL_SHARED says
where), else drawn scenes; JPEG quality 90. Writes benchmarks/results/pipeline.json.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kernels.timing import serve, served
from measuring import Row, against, arguments, finish
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate
from torchvision.transforms import v2

from gatlabel import LabelSet
from gatlabel.batch import stack_images
from gatlabel.data import (
    Augmentation,
    FileImages,
    ImageDataset,
    training_transform,
)
from gatlabel.data.colours import ColourJitter
from gatlabel.data.scenes import SceneImages, scene_config
from gatlabel.encoders import Encoder, Preprocessing

HEIGHT, WIDTH = 375, 500
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
TARGETS = {"file": {224: 2, 448: 4}, "cached": {224: 7, 448: 8}}
BATCH = 16
CROP = Augmentation(area=(0.08, 1.0), flip=0.5)  # torchvision's own choice of crops


def photographs() -> list[Path]:
    shared = Path(os.environ.get("GATLABEL_SHARED", Path(__file__).parents[3] / "shared"))
    return sorted((shared / "data" / "voc2007-part").rglob("*.jpg"))


def mosaic(files: list[Path], number: int) -> Image.Image:
    """Nine photographs, each 167 x 125, as rich in detail as one photograph of the whole size."""
    whole = Image.new("RGB", (WIDTH, HEIGHT))
    for place in range(9):
        part = Image.open(files[(9 * number + place) % len(files)]).convert("RGB")
        whole.paste(part.resize((167, 125)), (place % 3 * 167, place // 3 * 125))
    return whole


def write_images(folder: Path, count: int) -> FileImages:
    files = photographs()
    names = [f"{number}.jpg" for number in range(count)]
    drawn = None if files else SceneImages(scene_config("coco", size=WIDTH), "train", count)
    for number, name in enumerate(names):
        if drawn is None:
            image = mosaic(files, number)
        else:
            pixels = drawn.load(number).permute(1, 2, 0).contiguous().numpy()
            image = Image.fromarray(pixels).resize((WIDTH, HEIGHT))
        image.save(folder / name, "JPEG", quality=90)
    return images(folder, count)


def images(folder: Path, count: int) -> FileImages:
    """What :func:`write_images` has written there."""
    names = [f"{number}.jpg" for number in range(count)]
    return FileImages(folder, LabelSet(["any"]), names, np.ones((count, 1), np.float32))


def compose(size: int, train: bool, float_first: bool) -> Callable[[Image.Image], Tensor]:
    """The peer's steps."""
    cut: list[torch.nn.Module] = [v2.Resize((size, size), antialias=True)]
    if train:
        cut = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
    to_float = v2.ToDtype(torch.float32, scale=True)
    middle = [to_float, *cut] if float_first else [*cut, to_float]
    return v2.Compose([v2.PILToTensor(), *middle, v2.Normalize(MEAN, STD)])


def peer(source: FileImages, size: int, train: bool, float_first: bool) -> Callable[[], None]:
    steps = compose(size, train, float_first)

    def load() -> None:
        for index in range(len(source)):
            with Image.open(source.path(index)) as image:
                steps(image.convert("RGB"))

    return load


def epoch(dataset: ImageDataset, normalise: bool = False) -> Callable[[], None]:
    encoder = Encoder("none", torch.nn.Identity(), 3, mean=MEAN, std=STD)

    def load() -> None:
        for index in range(len(dataset)):
            image = dataset[index, index][0]
            if normalise:
                encoder.normalize(image[None])

    return load


def decode_only(source: FileImages) -> Callable[[], None]:
    """What no pipeline that decodes these files in full can do without."""

    def load() -> None:
        for index in range(len(source)):
            source.load(index)

    return load


def batching(source: FileImages, size: int, ours: bool) -> Callable[[], None]:
    """From images to what the model computes with."""
    transform = training_transform(size, CROP)
    images_ = [transform(source.load(index % len(source))) for index in range(BATCH)]
    encoder = Encoder("none", torch.nn.Identity(), 3, mean=MEAN, std=STD)

    def make() -> None:
        batch = stack_images(images_) if ours else default_collate(images_)
        encoder.normalize(batch).contiguous(memory_format=torch.channels_last)

    return make


def jitter(source: FileImages, size: int, ours: bool) -> Callable[[], None]:
    """Brightness, contrast and saturation of cropped images."""
    transform = training_transform(size, CROP)
    cropped = [transform(source.load(index % len(source))) for index in range(BATCH)]
    change = ColourJitter(0.2) if ours else v2.ColorJitter(0.2, 0.2, 0.2)
    cropped = cropped if ours else [image.contiguous() for image in cropped]

    def run() -> None:
        for image in cropped:
            change(image)

    return run


def method(name: str, source: FileImages, size: int, train: bool) -> Callable[[], None]:
    """One epoch of a method, by its name; caches are full."""
    if name in ("peer", "float first"):
        return peer(source, size, train, float_first=name == "float first")
    if name == "decoding":
        return decode_only(source)
    if name in ("batch", "torch's batch"):
        return batching(source, size, ours=name == "batch")
    if name in ("jitter", "torchvision's jitter"):
        return jitter(source, size, ours=name == "jitter")
    transform = training_transform(size, CROP) if train else Preprocessing(size).transform()
    cache = {"memory cache": "memory", "disk cache": "disk", "normalised": "memory"}.get(name)
    dataset = ImageDataset(source, transform, cache or "none", source.root)
    dataset.fill_cache()
    return epoch(dataset, normalise="normalised" in name)


def rows_of(source: FileImages, size: int, train: bool, rounds: int) -> list[Row]:
    words = {
        "files": "files",
        "memory cache": "memory cache",
        "disk cache": "disk cache",
        "normalised": "memory cache, normalised on the CPU",
        "files, normalised": "files, normalised on the CPU",
        "decoding": "decoding alone (the bound)",
    }
    names = ("peer", "float first", *words)
    told = (source.root, len(source), size, int(train))
    times = served({name: (__file__, name, *told) for name in names}, rounds)
    per_image = {
        name: f"{1000 * found.median / len(source):.2f} ms" for name, found in times.items()
    }
    kind = "training" if train else "evaluation"
    rows = []
    groups = {"files": "file", "memory cache": "cached", "disk cache": "cached"}
    for name, what in words.items():
        target = TARGETS[groups[name]][size] if train and name in groups else None
        row = against(
            f"{kind} image {WIDTH}x{HEIGHT} -> {size}, {what}",
            times[name],
            times["peer"],
            target,
        )
        first = against("", times[name], times["float first"], None)
        row["against_float_first"], row["spread_float_first"] = first["ratio"], first["spread"]
        row["per_image"] = per_image
        rows.append(row)
    return rows


def pair(
    what: str, source: FileImages, size: int, rounds: int, names: tuple[str, str], **more: Any
) -> Row:
    """One method of ours against one of theirs, on training images."""
    told = (source.root, len(source), size, 1)
    ours, theirs = served({name: (__file__, name, *told) for name in names}, rounds).values()
    return against(what, ours, theirs, None, **more)


def batch_row(source: FileImages, size: int, rounds: int) -> Row:
    what = f"{BATCH} images of {size} -> a normalised batch, channels last"
    return pair(what, source, size, rounds, ("batch", "torch's batch"))


def jitter_row(source: FileImages, size: int, rounds: int) -> Row:
    what = f"brightness, contrast and saturation of {BATCH} images of {size}, uint8"
    names = ("jitter", "torchvision's jitter")
    return pair(what, source, size, rounds, names, against="transforms.v2.ColorJitter")


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    asked = arguments(__doc__)
    if asked.serve:
        name, folder, count, size, train = asked.serve
        source = images(Path(folder), int(count))
        serve(method(name, source, int(size), train == "1"))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = write_images(Path(folder), 12 if asked.quick else 48)
        size = sum(source.path(k).stat().st_size for k in range(len(source))) / len(source)
        for train in (True, False):
            for side in (224, 448):
                rounds = 3 if asked.quick else 9
                rows += rows_of(source, side, train, rounds)
        rows += [
            make(source, side, rounds) for make in (batch_row, jitter_row) for side in (224, 448)
        ]
    kind = "mosaics of photographs" if photographs() else "drawn scenes"
    finish("pipeline", rows, asked.quick, images=f"{kind}, {size / 1000:.0f} kB on average")


if __name__ == "__main__":
    main()

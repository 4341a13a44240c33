"""Files that are right, made once for all cases: images, data, runs, bundles, a benchmark."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from gatlabel.deploy import export_model
from gatlabel.engine.module import TrainingModule
from gatlabel.errors import Interrupted
from gatlabel.experiments.runner import run_on
from gatlabel.training import TrainConfig, plain, train
from tests.colours import write_colours
from tests.deploy import models
from tests.experiments.synthetic import benchmark, config

WIDTH, HEIGHT = 61, 43  # of the sample images: numbers that seldom stand for anything else


@dataclass(frozen=True)
class Samples:
    """The folder of samples.

    Attributes:
        folder: Where they are; each is made when it is first asked for, by any process.
        cases: Where cases have their folders.
    """

    folder: Path
    cases: Path | None = None

    @property
    def secret(self) -> Path:
        """A file that nothing but its own name on a command line may open."""
        path = self.folder.resolve() / "secret.txt"
        if not path.is_file():
            path.write_text("cat 1 2 3\ndog 4 5 6\nred 1 2 3\ngreen 1 2 3\nblue 1 2 3\n")
        return path

    @cached_property
    def images(self) -> dict[str, bytes]:
        """Images of every format and of most modes, by name."""
        return _images()

    @cached_property
    def data(self) -> Path:
        """A folder with a csv of labels and 24 images."""
        folder = self.folder / "data"
        return folder if folder.is_dir() else write_colours(folder)

    @cached_property
    def run(self) -> Path:
        """A finished run on these data."""
        folder = self.folder / "run"
        if not folder.is_dir():
            train(self._config(folder, 1))
        return folder

    @cached_property
    def begun(self) -> Path:
        """A run of two epochs that was interrupted in the second."""
        folder = self.folder / "begun"
        if not folder.is_dir():
            with pytest.MonkeyPatch.context() as patch:
                _interrupt(patch, step=6)
                with pytest.raises(Interrupted):
                    train(self._config(folder, 2))
        return folder

    @cached_property
    def bundles(self) -> dict[str, Path]:
        """A bundle of each format, by format."""
        found = {}
        for form in ("onnx", "pt2"):
            found[form] = self.folder / form
            if not found[form].is_dir():
                export_model(models.make("gat"), found[form], format=form)
        return found

    @cached_property
    def benchmark(self) -> Path:
        """A finished benchmark on made-up features."""
        folder = self.folder / "benchmark"
        if not folder.is_dir():
            task, backend = benchmark(self.folder / "features")
            options = config(folder, graphs=("conditional:top_k=1",), trials=1, seeds=1)
            run_on(options, dataclasses.replace(task, name="made up"), lambda: backend, _quiet)
        return folder

    def _config(self, folder: Path, epochs: int) -> TrainConfig:
        given = {"data.root": self.data, "run.output": folder, "run.epochs": epochs}
        return plain().with_options({**_OPTIONS, **given})

    def make_all(self) -> None:
        """Makes every sample now, so that several processes can share them."""
        _ = self.secret, self.data, self.run, self.begun, self.bundles, self.benchmark


_OPTIONS = {
    "data": "csv",
    "encoder.backbone": "shufflenet_v2_x0_5",
    "encoder.weights": "none",
    "images.size": 32,
    "head.hidden": 8,
    "head.heads": 2,
    "run.batch_size": 4,
    "run.workers": 0,
    "run.compare": "no",
    "run.progress": False,
}


def _quiet(line: str) -> None:
    """Says nothing."""


def _interrupt(patch: pytest.MonkeyPatch, step: int) -> None:
    original, calls = TrainingModule.training_step, []

    def training_step(self: TrainingModule, batch: object, index: int) -> object:
        calls.append(index)
        if len(calls) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, batch, index)

    patch.setattr(TrainingModule, "training_step", training_step)


def _images() -> dict[str, bytes]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([x * 4, y * 5, (x * y) % 256], axis=-1).astype(np.uint8)
    colour = Image.fromarray(pixels)
    alpha = colour.convert("RGBA")
    alpha.putalpha(Image.fromarray(pixels[..., 2]))
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    grey, palette = colour.convert("L"), colour.quantize(16)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    exif[0x010F] = "maker"
    found = {
        "plain.jpg": _encoded(colour, "JPEG"),
        "progressive.jpg": _encoded(colour, "JPEG", progressive=True, quality=95),
        "turned.jpg": _encoded(colour, "JPEG", exif=exif, icc_profile=b"x" * 200),
        "inks.jpg": _encoded(colour.convert("CMYK"), "JPEG"),
        "grey.jpg": _encoded(grey, "JPEG", comment=b"hello"),
        "several.mpo": _encoded(colour, "MPO", save_all=True, append_images=[colour]),
        "plain.png": _encoded(colour, "PNG"),
        "alpha.png": _encoded(alpha, "PNG", exif=exif),
        "palette.png": _encoded(palette, "PNG", transparency=3),
        "deep.png": _encoded(deep, "PNG"),
        "bits.png": _encoded(colour.convert("1"), "PNG"),
        "moving.png": _encoded(colour, "PNG", save_all=True, append_images=[colour.rotate(90)]),
        "plain.webp": _encoded(colour, "WEBP", exif=exif),
        "exact.webp": _encoded(alpha, "WEBP", lossless=True),
        "moving.webp": _encoded(colour, "WEBP", save_all=True, append_images=[colour.rotate(90)]),
        "plain.bmp": _encoded(colour, "BMP"),
        "palette.bmp": _encoded(palette, "BMP"),
        "plain.gif": _encoded(palette, "GIF"),
        "moving.gif": _encoded(palette, "GIF", save_all=True, append_images=[palette.rotate(90)]),
        "plain.ppm": _encoded(colour, "PPM"),
        "grey.pgm": _encoded(grey, "PPM"),
        "float.pfm": _encoded(grey.convert("F"), "PPM"),
        "text.ppm": f"P3\n{WIDTH} {HEIGHT}\n255\n".encode() + b"1 2 3\n" * (WIDTH * HEIGHT),
        "float.tiff": _encoded(grey.convert("F"), "TIFF"),
        "lab.tiff": _encoded(Image.new("LAB", (WIDTH, HEIGHT)), "TIFF"),
        "several.tiff": _encoded(colour, "TIFF", save_all=True, append_images=[colour]),
        # formats that are not ours, and files that are no images
        "foreign.ico": _encoded(colour, "ICO"),
        "foreign.pcx": _encoded(colour, "PCX"),
        "foreign.tga": _encoded(colour, "TGA"),
        "foreign.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 100,
        "foreign.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n\nshowpage\n",
        "foreign.pdf": _encoded(colour, "PDF"),
        "foreign.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///x"/></svg>',
        "foreign.html": b"<html>404 not found</html>",
    }
    for kind in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        found[f"{kind}.tiff"] = _encoded(colour, "TIFF", compression=kind)
    if features.check("avif"):
        found["plain.avif"] = _encoded(colour, "AVIF")
    return found


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()

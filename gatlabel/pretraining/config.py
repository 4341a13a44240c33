"""The options of ``gatlabel pretrain``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatlabel.options import Options, option

_MANY = 10**7
#: Images per step, and the same for dcl with fewer than ``FEW_IMAGES`` images: at equal time, more
#: steps are worth more than large batches (docs/studies/little-labels.md).
BATCH_SIZE, SMALL_BATCH_SIZE, FEW_IMAGES = 64, 16, 10_000


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Options):
    """All options of a pre-training run."""

    method: Literal["dcl", "simclr", "vicreg", "dino"] = option(
        "dcl",
        "The self-supervised loss: dcl and simclr (contrastive), vicreg or dino. dcl suits small "
        "batches.",
        short="method",
    )
    backbone: str = option(
        "auto",
        "A torchvision CNN, efficientnet_lite0/1/2, timm:NAME or auto. auto takes "
        "efficientnet_lite0 if the extra lite is installed, else resnet18.",
        short="backbone",
    )
    weights: str | None = option(
        "none",
        "Weights to start from: none (random), default (ImageNet), a file, or a run folder. "
        "Starting from ImageNet takes far fewer images and steps.",
        short="weights",
    )
    stride: int | None = option(
        None, "Pixels per cell of the encoder's feature map; by default all stages.",
        least=1, most=8192, short="stride",
    )  # fmt: skip
    image_size: int = option(
        64, "Side of a view in pixels.", least=32, most=4096, short="image-size"
    )
    smallest_crop: float = option(
        0.4,
        "Smallest share of an image's area in a view. Small crops may show different objects, and "
        "training would still treat them as similar.",
        above=0, least=0, most=1, short="smallest-crop",
    )  # fmt: skip
    colour: float = option(
        0.5,
        "Strength of the random changes of colour. More if colours tell nothing about the labels.",
        least=0, most=2, short="colour",
    )  # fmt: skip
    grey: float = option(
        0.2, "Probability that a view loses its colours.", least=0, most=1, short="grey"
    )
    epochs: int = option(20, "Passes over the images.", least=1, most=_MANY, short="epochs")
    batch_size: int | None = option(
        None, "Images per step; by default 64, and 16 for dcl with fewer than 10,000 images.",
        least=2, most=_MANY, short="batch-size",
    )  # fmt: skip
    lr: float = option(1e-3, "Largest learning rate.", above=0, least=0, most=1e9, short="lr")
    weight_decay: float = option(1e-4, "Weight decay.", least=0, most=1e9, short="weight-decay")
    warmup: float = option(
        0.1, "Share of the steps with a rising learning rate.", least=0, below=1, short="warmup"
    )
    labels: Path | None = option(
        None,
        "CSV file of some labelled images, with paths relative to it. The features are evaluated "
        "on them after every epoch, by nearest neighbours and ridge regression.",
        short="labels",
    )
    on_error: Literal["stop", "skip"] = option(
        "skip", "What to do with images that cannot be read.", short="on-error"
    )
    seed: int = option(0, "Seed of everything random.", least=0, most=2**32 - 1, short="seed")
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps.", short="device", resume=True)
    amp: Literal["auto", "on", "off"] = option(
        "auto", "Mixed precision: auto (on CUDA), on or off.", short="amp"
    )
    workers: int | None = option(
        None, "Processes that load images; by default chosen by the number of cores.",
        least=0, most=_MANY, short="workers", resume=True,
    )  # fmt: skip
    output: Path | None = option(
        None, "Run folder; by default a new one below runs/.", short="output", resume=True
    )
    overwrite: bool = option(
        False, "Write into a run folder that exists already.", short="overwrite", resume=True
    )
    progress: bool = option(True, "Show a progress bar.", short="progress", resume=True)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.output or Path("runs") / f"pretrain-{self.method}"

    def images_per_step(self, images: int) -> int:
        """Returns the number of images per step, for a total number of images."""
        if self.batch_size is not None:
            return self.batch_size
        return SMALL_BATCH_SIZE if self.method == "dcl" and images < FEW_IMAGES else BATCH_SIZE

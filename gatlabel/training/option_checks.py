"""Whether options are in range and go together, before anything is read or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.errors import InputError

if TYPE_CHECKING:
    from gatlabel.training.config import TrainConfig


def check_options(config: TrainConfig) -> None:
    """Checks what the types of the options leave open.

    Raises:
        InputError: If a value is out of range, or a set of files lacks its root; it is named.
    """
    at_least = {
        "batch_size": 1,
        "layers": 1,
        "steps": 0,
        "step_epochs": 1,
        "train_pictures": 1,
        "test_pictures": 1,
        "weight_decay": 0,
        "shrinkage": 0,
        "clip_gradient": 0,
        "patience": 0,
        "gamma_positive": 0,
        "gamma_negative": 0,
        "seed": 0,
        "max_pixels": 1,
    }
    at_least |= {name: 0 for name in ("encoder_lr", "lam") if getattr(config, name) is not None}
    for name, least in at_least.items():
        if getattr(config, name) < least:
            raise InputError(f"{name}={getattr(config, name)}: must be at least {least}")
    sizes = ("image_size", "stride", "hidden", "heads", "decoder_layers", "graph_top_k", "epochs")
    for name in sizes:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise InputError(f"{name}={value}: must be at least 1")
    if min(config.fractions) < 0 or abs(sum(config.fractions) - 1) > 1e-6:
        raise InputError(f"fractions={list(config.fractions)}: three shares that add up to 1")
    if config.workers is not None and config.workers < 0:
        raise InputError(f"workers={config.workers}: must be at least 0")
    for name in ("ema", "dropout", "kinship", "clip", "warmup", "label_noise"):
        value = getattr(config, name)
        if value is not None and not 0 <= value < 1:
            raise InputError(f"{name}={value}: must be at least 0 and below 1")
    if config.hide_labels != "single" and not 0 <= config.hide_labels < 1:
        raise InputError(
            f"hide_labels={config.hide_labels}: must be at least 0 and below 1, or single"
        )
    if config.seed >= 2**32:
        raise InputError(f"seed={config.seed}: must be below 2^32")
    if not config.lr > 0:
        raise InputError(f"lr={config.lr}: must be above 0")
    if config.data != "scenes" and config.root is None:
        raise InputError(f"data={config.data} needs root: the folder of the pictures")

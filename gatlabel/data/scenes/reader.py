"""Scenes as a data set with splits."""

from __future__ import annotations

from typing import Any

from gatlabel.data.scenes.config import scene_config
from gatlabel.data.scenes.images import SceneImages
from gatlabel.data.scenes.label_models import label_model
from gatlabel.data.scenes.statistics import published_statistics
from gatlabel.data.source import DataSplits


def read_scenes(
    preset: str = "voc",
    *,
    train: int = 2000,
    val: int = 500,
    test: int = 1000,
    seed: int = 0,
    **overrides: Any,
) -> DataSplits:
    """Creates the built-in data set: images drawn from a seed, without a download.

    Args:
        preset: ``"voc"`` or ``"coco"``; see :data:`gatlabel.data.scenes.PRESETS`.
        train: Number of training images.
        val: Number of validation images.
        test: Number of test images.
        seed: Seed of the set; splits have separate random streams.
        **overrides: Options of :class:`gatlabel.data.scenes.SceneConfig` to change.

    Raises:
        InputError: If a name is unknown or a number out of range.

    Example:
        >>> splits = read_scenes("voc", train=8, val=4, test=4, size=64)
        >>> splits.train.load(0).shape, len(splits.labels)
        (torch.Size([3, 64, 64]), 20)
    """
    config = scene_config(preset, **overrides)
    published = published_statistics(config.statistics)
    parts = {
        name: SceneImages(config, name, count, seed=seed)
        for name, count in (("train", train), ("val", val), ("test", test))
    }
    changed = "".join(f", {name} {value}" for name, value in overrides.items())
    notes: tuple[str, ...] = (
        f"Drawn scenes, preset {preset}{changed}, seed {seed}; label sets from an Ising model "
        f"fitted to: {published.source}.",
        f"A present label is hidden with probability {config.hidden:g}; images without any "
        "label are kept.",
    )
    if published.left_out:
        notes += (
            "Labels not drawn (rarer than 1 % or without a silhouette): "
            f"{', '.join(published.left_out)}.",
        )
    if config.labels is not None and config.labels < len(published.names):
        notes += (f"The {len(label_model(config).names)} most frequent labels only.",)
    return DataSplits(f"scenes ({preset})", **parts, notes=notes)

"""Recipes: functions that return a full set of options.

Change some of them with ``asl().with_options({"data": CSV(root="photos"), "run.epochs": 40})``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gatlabel.data.options import ImageOptions
from gatlabel.encoders.options import EncoderOptions
from gatlabel.engine.options import OptimizerOptions, Step
from gatlabel.errors import InputError, unknown_choice
from gatlabel.losses.options import ASL
from gatlabel.nn.options import GCN
from gatlabel.option_values import from_yaml
from gatlabel.options import updated
from gatlabel.training.config import TrainConfig, read_options
from gatlabel.training.options import MLGCN, ASLRecipe, Auto, RunOptions


def auto() -> TrainConfig:
    """Options by data, time limit and machine; see :mod:`gatlabel.training.planning`.

    Every unset option is set before training and written to ``config.yaml``.
    """
    return TrainConfig(
        recipe=Auto(),
        images=ImageOptions(augmentation=None),
        encoder=EncoderOptions(freeze=None),
        optimizer=OptimizerOptions(lr=None),
        run=RunOptions(batch_size=None, keep=None, refit=None),
    )


def plain() -> TrainConfig:
    """AdamW, one-cycle schedule, moving average of the weights: for small and medium data sets.

    The learning rate of the encoder is a tenth of the head's; for scenes they are equal.
    ``docs/studies/voc2007-part.md`` has results.
    """
    return TrainConfig()


def mlgcn() -> TrainConfig:
    """ML-GCN's recipe (Chen et al., CVPR 2019, arXiv:1904.03582, section 4.1).

    ResNet-101 at 448 pixels, global max-pooling, the two-layer GCN head on the authors' matrix,
    SGD with momentum 0.9, rate 0.1 (0.01 for the encoder), weight decay 1e-4, decayed tenfold
    every 40 epochs, multi-scale crops and flips. By default the authors' code starts from random
    weights and never decays the rate; the paper and this recipe use pretrained weights and decay.
    """
    return TrainConfig(
        recipe=MLGCN(),
        images=ImageOptions(size=448, augmentation="mlgcn"),
        encoder=EncoderOptions(backbone="resnet101", pooling="max"),
        graph="mlgcn_code",
        head=GCN(),
        optimizer=OptimizerOptions(
            name="sgd",
            lr=0.1,
            encoder_lr=0.1,
            weight_decay=1e-4,
            schedule=Step(epochs=40),
            clip_gradient=10.0,
            ema=0.0,
        ),
        run=RunOptions(epochs=100, batch_size=32),
    )


def asl() -> TrainConfig:
    """The recipe of the asymmetric loss (Ridnik et al., ICCV 2021, arXiv:2009.14119).

    Asymmetric loss with its own gamma- 4, gamma+ 0 and clip 0.05, RandAugment and Cutout, AdamW
    with rate 1e-4 for all weights and weight decay 1e-2 as in Query2Label, one-cycle, EMA 0.9997.
    """
    return TrainConfig(
        recipe=ASLRecipe(),
        images=ImageOptions(size=448, augmentation="asl"),
        encoder=EncoderOptions(backbone="resnet101"),
        loss=ASL(),
        optimizer=OptimizerOptions(lr=1e-4, encoder_lr=1.0, weight_decay=1e-2, ema=0.9997),
        run=RunOptions(epochs=40, batch_size=56),
    )


#: The recipe of ``gatlabel train`` if none is given.
DEFAULT_RECIPE = "auto"
RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "auto": auto,
    "plain": plain,
    "mlgcn": mlgcn,
    "asl": asl,
}


def recipe_named(name: str) -> TrainConfig:
    """Returns the options of a recipe.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in RECIPES:
        raise unknown_choice("recipe", name, RECIPES)
    return RECIPES[name]()


def read_config(path: Path, recipe: str | None = None) -> TrainConfig:
    """Reads a YAML file of options, which override those of its recipe.

    Args:
        path: The file.
        recipe: The recipe to use instead of the one that the file names.

    Raises:
        InputError: If the file, an option or the recipe is wrong.
    """
    options = read_options(path)
    try:
        if recipe is not None:
            options["recipe"] = recipe
        return config_from(options)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def config_from(options: Mapping[str, Any]) -> TrainConfig:
    """Builds a config from the contents of a YAML file, which override the recipe's options.

    Raises:
        InputError: If an option is unknown (the message gives the nearest) or wrong.
    """
    found: TrainConfig = updated(recipe_named(recipe_in(options)), options, from_yaml)
    return found


def recipe_in(options: Mapping[str, Any]) -> str:
    """Returns the name of the recipe in nested options, or the default."""
    recipe = options.get("recipe", DEFAULT_RECIPE)
    name = recipe.get("name", DEFAULT_RECIPE) if isinstance(recipe, Mapping) else recipe
    if not isinstance(name, str):
        raise InputError(f"recipe={name}: give a name: {', '.join(RECIPES)}")
    return name

"""The options of a training run, as one typed record of the options of each part.

The same names stand in ``config.yaml``, on the command line (``--optimizer.lr 0.001``) and here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gatlabel.data.options import DATA, DataOptions, ImageOptions
from gatlabel.encoders.options import EncoderOptions
from gatlabel.errors import InputError
from gatlabel.files import write_text
from gatlabel.graph.spec import GraphSpec
from gatlabel.losses.options import LOSSES, LossOptions
from gatlabel.missing.options import MissingOptions
from gatlabel.nn.options import HEADS, HeadOptions
from gatlabel.option_values import from_yaml
from gatlabel.options import Options, choice, group, option, updated
from gatlabel.reading import read_text
from gatlabel.training.options import RECIPES, OptimizerOptions, RecipeOptions, RunOptions
from gatlabel.yaml_reading import parse_yaml

LARGEST_CONFIG = 1 << 20  # bytes; one with every option has four thousand
#: What ``gatlabel train`` takes where no recipe is given.
DEFAULT_RECIPE = "auto"


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Options):
    """All options of ``gatlabel train``.

    Where an option is a choice, a plain name stands for the choice with its defaults::

        TrainConfig(head="conditioned")
        TrainConfig(head=GAT(hidden=128), data=CSV(root="photos"))
        TrainConfig().with_options({"head.hidden": 128, "optimizer.lr": 1e-3})
    """

    recipe: RecipeOptions = choice(
        RECIPES, "plain", "Where the defaults come from.", benchmark=False
    )
    data: DataOptions = choice(DATA, "scenes", "Kind of data set.")
    images: ImageOptions = group(ImageOptions, "What is done to images.")
    encoder: EncoderOptions = group(EncoderOptions, "The network from images to features.")
    graph: str = option(
        "conditional",
        "Label graph: a variant with options, or the file of a graph. A variant is conditional, "
        "npmi, lift, knn, mlgcn_code, mlgcn_paper, complete, identity, random or permuted, with "
        "options as in npmi:top_k=5,threshold=0.1; a file is graph.json, or an edge list, as "
        "edges.csv:relation=similarity.",
        benchmark=False,
    )
    head: HeadOptions = choice(HEADS, "gat", "From features to logits.", benchmark=False)
    loss: LossOptions = choice(LOSSES, "bce", "What training minimises.", training=True)
    missing: MissingOptions = group(MissingOptions, "Unknown and wrong training labels.")
    optimizer: OptimizerOptions = group(
        OptimizerOptions, "The optimiser, and its rates.", training=True
    )
    run: RunOptions = group(RunOptions, "How long, where and with what care a run trains.")

    def __post_init__(self) -> None:
        super().__post_init__()
        GraphSpec.parse(self.graph)

    def resolved(self) -> TrainConfig:
        """Returns the config with every choice that was left open made, so that it can be repeated.

        See :func:`gatlabel.training.resolving.resolved`.
        """
        from gatlabel.training.resolving import resolved

        return resolved(self)

    def save(self, path: Path) -> None:
        """Writes a YAML file that ``gatlabel train --config`` runs again."""
        write_text(path, self.to_yaml())

    def to_yaml(self) -> str:
        """Returns all options as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def read_options(path: Path) -> dict[str, Any]:
    """Reads the options that a YAML file sets, unchecked.

    Raises:
        InputError: If the file cannot be read, or is no mapping.
    """
    text = read_text(path, "config file", LARGEST_CONFIG)
    options = parse_yaml(text, f"the config file {path}")
    if options is not None and not isinstance(options, dict):
        raise InputError(f"the config file {path} holds no options: expected lines 'name: value'")
    return options or {}


def read_config(path: Path, recipe: str | None = None) -> TrainConfig:
    """Reads a YAML file of options, over those of its recipe.

    Args:
        path: The file.
        recipe: The recipe to take instead of the one that the file names.

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
    """Builds a config from the primitives of a YAML file, over the options of its recipe.

    Raises:
        InputError: If an option is unknown (the message gives the nearest) or wrong.
    """
    from gatlabel.training.recipes import recipe_named

    found: TrainConfig = updated(recipe_named(recipe_in(options)), options, from_yaml)
    return found


def recipe_in(options: Mapping[str, Any]) -> str:
    """Returns the name of the recipe that nested options name, or the default."""
    recipe = options.get("recipe", DEFAULT_RECIPE)
    name = recipe.get("name", DEFAULT_RECIPE) if isinstance(recipe, Mapping) else recipe
    if not isinstance(name, str):
        raise InputError(f"recipe={name}: give a name: {', '.join(RECIPES)}")
    return name

"""The options of a run on the command line: one for every field of the config."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from gatlabel.errors import InputError, unknown_choice
from gatlabel.training.config import TrainConfig, read_options
from gatlabel.training.recipes import RECIPES

# The first option of each group of the help text.
GROUPS = {
    "recipe": "recipe",
    "data": "data",
    "backbone": "encoder and pictures",
    "head": "head and label graph",
    "loss": "training",
    "device": "run",
}


def add_options(parser: ArgumentParser) -> None:
    """Adds an option for every field of :class:`TrainConfig`, in its order and with its text."""
    hints = get_type_hints(TrainConfig)
    texts = option_texts()
    group: Any = parser
    for field in dataclasses.fields(TrainConfig):
        if field.name in GROUPS:
            group = parser.add_argument_group(GROUPS[field.name])
        group.add_argument(
            flag(field.name),
            type=hints[field.name],
            default=field.default,
            help=texts[field.name],
        )


def flag(name: str) -> str:
    """Returns the flag of an option: ``image_size`` -> ``--image-size``."""
    return "--" + name.replace("_", "-")


def option_texts(config: type = TrainConfig) -> dict[str, str]:
    """Returns the text of each option, from the docstring of the config."""
    document = config.__doc__ or ""
    found = re.findall(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", document, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def set_defaults(parser: ArgumentParser, recipe: str, config: Path | None) -> None:
    """Takes the defaults from a recipe, and over them from a YAML file.

    Raises:
        InputError: If there is no such recipe, or the file is wrong.
    """
    parser.set_defaults(_file_over_recipe(recipe, config))


def read_config(path: Path) -> TrainConfig:
    """Reads a YAML file of options, over those of the recipe that it names.

    Raises:
        InputError: If the file, an option or the recipe is wrong.
    """
    return config_from(_file_over_recipe("default", path))


def _file_over_recipe(recipe: str, config: Path | None) -> dict[str, Any]:
    options = {} if config is None else read_options(config)
    recipe = str(options.get("recipe", recipe)) if recipe == "default" else recipe
    if recipe not in RECIPES:
        raise unknown_choice("recipe", recipe, RECIPES)
    return {**RECIPES[recipe]().to_dict(), **options, "recipe": recipe}


def config_from(options: Mapping[str, Any] | Namespace) -> TrainConfig:
    """Builds the config from options as text or typed values, checking each.

    Raises:
        InputError: If a value is of the wrong type or out of range; the message names the option.
    """
    parser = ArgumentParser(exit_on_error=False)
    add_options(parser)
    given = options.as_dict() if isinstance(options, Namespace) else dict(options)
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    given = {name: value for name, value in given.items() if name in known}
    try:
        parsed = parser.parse_object(given)
    except Exception as error:  # jsonargparse raises several kinds, all about a value
        raise InputError(plain_message(str(error))) from error
    values = parsed.as_dict()
    return TrainConfig(**{name: values[name] for name in known})


def plain_message(message: str) -> str:
    """Turns a message of the parser into one line that names the option and what it takes."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = " ".join(lines)
    found = re.search(r'(?:key|Key|argument|Argument) "?(-*[\w.-]+)"?', text)
    reason = re.sub(r"^.*?Problem with given value[^:]*:\s*", "", text)
    reason = re.sub(r"^Parser key \"[\w.-]+\":\s*", "", reason)
    name = f"option {flag(found.group(1).lstrip('-'))}: " if found else ""
    return name + re.sub(r"\s+", " ", reason)

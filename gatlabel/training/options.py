"""The options of a run on the command line: one for every field of the config."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from gatlabel.errors import InputError, unknown_choice
from gatlabel.printing import clipped
from gatlabel.training.config import TrainConfig, read_options
from gatlabel.training.odd_names import hidden, shown
from gatlabel.training.recipes import DEFAULT_RECIPE, RECIPES

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


def set_defaults(parser: ArgumentParser, recipe: str | None, config: Path | None) -> None:
    """Takes the defaults from a recipe, and over them from a YAML file.

    Raises:
        InputError: If there is no such recipe, or the file is wrong.
    """
    defaults = _file_over_recipe(recipe, config)
    try:
        parser.set_defaults(hidden(defaults))
    except Exception as error:  # as for values on the command line
        raise InputError(f"{config}: {plain_message(str(error))}") from error


def read_config(path: Path) -> TrainConfig:
    """Reads a YAML file of options, over those of the recipe that it names.

    Raises:
        InputError: If the file, an option or the recipe is wrong.
    """
    return config_from(_file_over_recipe(None, path))


def _file_over_recipe(recipe: str | None, config: Path | None) -> dict[str, Any]:
    options = {} if config is None else read_options(config)
    recipe = str(options.get("recipe", DEFAULT_RECIPE)) if recipe is None else recipe
    recipe = "plain" if recipe == "default" else recipe  # as earlier versions called it
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
        parsed = parser.parse_object(hidden(given))
    except Exception as error:  # jsonargparse raises several kinds, all about a value
        raise InputError(plain_message(str(error))) from error
    values = shown(parsed.as_dict())
    refuse_odd_numbers(values)
    return TrainConfig(**{name: values[name] for name in known})


def refuse_odd_numbers(options: Mapping[str, Any]) -> None:
    """Checks that every number is finite and fits 64 bits, as torch and NumPy need it.

    Raises:
        InputError: If one is not or does not; the message names the option.
    """
    for name, value in options.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int) and not -(2**63) <= number < 2**63:
                raise InputError(f"option {flag(name)}: a number beyond 64 bits")
            if isinstance(number, float) and not math.isfinite(number):
                raise InputError(f"option {flag(name)}: {number} is no finite number")


_EXPECTED = re.compile(
    r"Expected an? (<class '\w+'>|typing\.Literal\[[^]]*\]|[^.<]+?)(?=\.| - | Given|$)"
)
_FOUND = re.compile(r"(?:Got value|Given value): ?(.*)$")
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_KINDS |= {"NoneType": "none", "Path": "a path", "tuple": "a list", "list": "a list"}


def plain_message(message: str, arguments: Collection[str] = ()) -> str:
    """Turns a message of the parser into one line that names the option and what it takes.

    Args:
        message: The parser's.
        arguments: Names of those arguments that are no options.
    """
    text = " ".join(message.split())
    found = re.search(r'(?:key|Key|argument|Argument) "?(-*[\w.-]+)"?', text)
    name = ""
    if found:
        bare = found[1].lstrip("-")
        name = f"{bare}: " if bare in arguments else f"option {flag(bare)}: "
    if "integer string conversion" in text:
        return f"{name}a number of too many digits"
    wanted = list(dict.fromkeys(map(_in_words, _EXPECTED.findall(text))))
    value = _FOUND.search(text)
    if wanted and value:
        return f"{name}expected {' or '.join(wanted)}, found {clipped(value[1], 200) or 'nothing'}"
    reason = re.sub(r"^.*?Problem with given value[^:]*:\s*", "", text)
    reason = re.sub(r"^Parser key \"[\w.-]+\":\s*", "", reason)
    return name + clipped(
        re.sub(rf"^argument -*{re.escape(bare)}: ", "", reason) if found else reason, 400
    )


def _in_words(kind: str) -> str:
    if kind.startswith("typing.Literal"):
        return ", ".join(re.findall(r"'([^']*)'", kind)) or kind
    return _KINDS.get(kind.removeprefix("<class '").removesuffix("'>"), f"a {kind}")

"""Options of a command from its command line, over those of a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from gatlabel.cli.options import Flag, add_options, flags_of, given_options, long_help, short_help
from gatlabel.cli.output import show_block
from gatlabel.cli.parsing import Namespace, Parser, make_parser
from gatlabel.errors import InputError
from gatlabel.option_values import from_text, from_yaml
from gatlabel.options import Options, nested, updated
from gatlabel.training.config import read_options

O = TypeVar("O", bound=Options)  # noqa: E741 - the options of a command
CONFIG_HELP = {
    "--config": "YAML file of options",
    "--print-config": "Print all options as YAML, and do nothing",
}


def config_parser(
    command: str, description: str, kind: type[Options], places: Mapping[str, str], **more: str
) -> Parser:
    """Makes the parser of a command whose options are one dataclass.

    Args:
        command: Its name.
        description: What it does.
        kind: Its options.
        places: Options that are given by place, without a flag, with their help.
        more: Switches beside the options, with their help.
    """
    flags = command_flags(kind, places)
    usage = f"gatlabel {command} [options] {' '.join(name.upper() for name in places)}"
    others = {**{name.upper(): text for name, text in places.items()}, **CONFIG_HELP}
    others |= {f"--{name}": text for name, text in more.items()}
    parser = make_parser(
        command,
        description,
        lambda topic: f"{short_help(usage, description, [], others)}\n\n{long_help(flags)}",
    )
    for name, text in places.items():
        parser.add_argument(name, type=Path | None, nargs="?", help=text)
    add_config_arguments(parser)
    for name, text in more.items():
        parser.add_argument(f"--{name}", type=bool, default=False, help=text)
    add_options(parser, flags)
    return parser


def add_config_arguments(parser: Parser) -> None:
    """Adds ``--config`` and ``--print-config``."""
    parser.add_argument("--config", type=Path | None, help=CONFIG_HELP["--config"])
    parser.add_argument(
        "--print-config", type=bool, default=False, help=CONFIG_HELP["--print-config"]
    )


def command_flags(kind: type[Options], places: Mapping[str, str]) -> list[Flag]:
    """Lists the options of a command that have flags."""
    return flags_of(kind, lambda field: field.name not in places)


def configured(kind: type[O], options: Namespace, places: Mapping[str, str]) -> O:
    """Returns the options of the command line, over those of the file.

    Raises:
        InputError: If the file cannot be read, or an option is unknown or wrong.
    """
    named = given_options(options, command_flags(kind, places))
    named |= {name: options[name] for name in places if options[name] is not None}
    base = kind() if options.config is None else options_in(kind, options.config)
    found: O = updated(base, nested(named), from_text)
    return found


def options_in(kind: type[O], path: Path, content: Mapping[str, Any] | None = None) -> O:
    """Returns the options that a YAML file sets; the message of an error names the file.

    Args:
        kind: The options.
        path: The file.
        content: What it holds, if it has been read.

    Raises:
        InputError: If the file cannot be read, or an option is unknown or wrong.
    """
    given = read_options(path) if content is None else content
    try:
        found: O = updated(kind(), nested(given), from_yaml)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return found


def show_config(content: Mapping[str, Any]) -> None:
    """Prints options as YAML."""
    import yaml

    show_block(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def require_options(config: Options, command: str, **what: str) -> None:
    """Refuses options that are left open but needed.

    Raises:
        InputError: If one is; the message names the command and the option.
    """
    for name, text in what.items():
        if getattr(config, name) is None:
            raise InputError(f"{command}: give {text}")

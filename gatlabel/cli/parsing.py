"""A parser whose mistakes are one clear line, with the nearest option for an unknown one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

from jsonargparse import ArgumentParser, Namespace

from gatlabel.cli.output import show_block
from gatlabel.errors import InputError, nearest
from gatlabel.files import check_drawing
from gatlabel.printing import clipped
from gatlabel.training.odd_names import hidden, shown
from gatlabel.training.options import plain_message, refuse_odd_numbers


def make_parser(command: str, description: str) -> ArgumentParser:
    """Makes the parser of one command."""
    return ArgumentParser(prog=f"gatlabel {command}", description=description, exit_on_error=False)


def parse(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """Parses the words after a command.

    ``--image_size`` and ``--image-size`` are the same; a switch needs no value (``--download``) and
    ``--no-download`` turns it off.

    Raises:
        InputError: If an option is unknown, lacks its value, or has one of the wrong type.
        SystemExit: With 0, after printing the help that was asked for.
    """
    if "-h" in words or "--help" in words:  # argparse would not say that it could not print it
        show_block(parser.format_help())
        raise SystemExit(0)
    _refuse_nul(words)
    words = normalised(parser, words)
    try:
        parsed = parser.parse_args(hidden(words))
    except Exception as error:  # whatever kind it is of: it is about the words
        arguments = [action.dest for action in parser._actions if not action.option_strings]
        reason = shown(plain_message(str(error) or type(error).__name__, arguments))
        if not isinstance(error, argparse.ArgumentError):
            reason = f"the arguments cannot be read: {reason}"
        raise InputError(reason) from error
    options = Namespace(**shown(parsed.as_dict()))
    refuse_odd_numbers(options.as_dict())
    return options


def _refuse_nul(words: Iterable[str]) -> None:
    for word in words:
        if "\0" in word:
            raise InputError(f"the argument {clipped(repr(word), 200)} has a NUL character")


def normalised(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """Brings flags to the form the parser knows, and refuses unknown ones."""
    actions = {flag: action for action in parser._actions for flag in action.option_strings}
    result: list[str] = []
    for position, word in enumerate(words):
        if not word.startswith("--") or word == "--":
            if not word:
                before = words[position - 1] if position else ""
                raise InputError(_empty(before if before.startswith("--") else "an argument"))
            result.append(word)
            continue
        name, equals, value = word.partition("=")
        flag = name.replace("_", "-")
        positive = "--" + flag.removeprefix("--no-")
        if flag not in actions and flag != positive and _is_switch(actions.get(positive)):
            result.append(f"{positive}=false")
            continue
        if flag not in actions:
            raise InputError(
                f"unknown option {name}{nearest(flag, actions)} ({parser.prog} --help lists them)"
            )
        if equals and not value:
            raise InputError(_empty(flag))
        if equals and actions[flag].nargs == 0:
            raise InputError(f"option {flag} takes no value")
        following = words[position + 1] if position + 1 < len(words) else ""
        if _is_switch(actions[flag]) and not equals and following not in ("true", "false"):
            result.append(f"{flag}=true")
        else:
            result.append(flag + equals + value)
    return result


def _empty(what: str) -> str:
    option = "option " if what.startswith("--") else ""
    return f"{option}{what}: the value is empty; leave it out, or give one"


def _is_switch(action: argparse.Action | None) -> bool:
    kinds = {getattr(action, "_typehint", None), getattr(action, "type", None)}
    return any(kind is bool or bool in get_args(kind) for kind in kinds)


def at_least_one(options: Namespace, *names: str) -> None:
    """Refuses a number below 1.

    Raises:
        InputError: The message names the option.
    """
    for name in names:
        if options[name] < 1:
            raise InputError(f"--{name} {options[name]}: must be at least 1")


def check_outputs(options: Namespace, *names: str) -> None:
    """Refuses files that cannot be written, before the work whose result they are to hold.

    Args:
        options: The parsed options.
        names: Those that name a file to write; a drawing if its name is ``draw``.

    Raises:
        InputError: If a folder, pipe or device stands there, which would be replaced by a file, or
            a drawing is of no known format; the message names the option.
    """
    for name in names:
        path: Path | None = options[name]
        if path is None:
            continue
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "a pipe or a device"
            raise InputError(f"cannot write {path}: it is {kind}, give the name of a file")
        if name == "draw":
            check_drawing(path)

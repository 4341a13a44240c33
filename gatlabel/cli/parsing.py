"""An argument parser with one-line errors that suggest the nearest option."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from gatlabel.cli.output import show_block
from gatlabel.cli.verbosity import GENERAL, is_quiet
from gatlabel.errors import InputError
from gatlabel.files import check_drawing
from gatlabel.option_values import from_text, kinds_of
from gatlabel.printing import clipped
from gatlabel.values import of_type

#: Returns help on a topic (``--help head``), or the short help for ``None``.
Help = Callable[[str | None], str]


class Namespace(argparse.Namespace):
    """Parsed options, by attribute or by name."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in vars(self)

    def as_dict(self) -> dict[str, Any]:
        """Returns all options by name."""
        return dict(vars(self))


class Parser(argparse.ArgumentParser):
    """A parser with annotations as argument types: ``int | None``, ``Path``, a ``Literal``.

    Args:
        prog: The command.
        description: Description of the command.
        help_on: Returns the help; by default argparse's.

    Attributes:
        hints: Types by argument name.
        words: Accepted words by argument name, for arguments with a fixed choice.
    """

    def __init__(self, prog: str, description: str, help_on: Help | None = None) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.help_on = help_on or (lambda topic: self.format_help())
        self.hints: dict[str, Any] = {}
        self.words: dict[str, Sequence[str]] = {}

    def add_argument(self, *flags: Any, type: Any = str, **options: Any) -> argparse.Action:
        """Adds an argument whose type is an annotation."""
        action = super().add_argument(*flags, **options)
        if options.get("action") in (None, "store"):
            self.hints[action.dest] = type
        return action

    def error(self, message: str) -> NoReturn:
        """Raises argparse's message as an :class:`InputError`."""
        raise InputError(re.sub(r"^argument (\S+): ", r"option \1: ", message))


def make_parser(command: str, description: str, help_on: Help | None = None) -> Parser:
    """Creates the parser of one command, with the options of every command."""
    parser = Parser(f"gatlabel {command}", description, help_on)
    general = parser.add_argument_group("options of every command")
    for flag, text in GENERAL.items():  # removed from the arguments before they are parsed
        general.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=f"{text}.")
    return parser


def parse(parser: Parser, words: Sequence[str]) -> Namespace:
    """Parses the arguments of a command.

    ``--image_size`` and ``--image-size`` are the same; a switch needs no value (``--download``) and
    ``--no-download`` turns it off.

    Raises:
        InputError: If an option is unknown, has no value, or has a value of the wrong type.
        SystemExit: With 0, after printing help.
    """
    for place, word in enumerate(words):  # argparse ignores errors in printing the help
        if word in ("-h", "--help"):
            topic = words[place + 1] if place + 1 < len(words) else None
            show_block(parser.help_on(topic))
            raise SystemExit(0)
    _refuse_nul(words)
    given = normalised(parser, words)
    if is_quiet():
        given = _without_progress(parser, given)
    options: Namespace = parser.parse_args(given, Namespace())
    for action in parser._actions:
        value = getattr(options, action.dest, None)
        if action.dest not in parser.hints or value is None or value is action.default:
            continue
        hint = parser.hints[action.dest]
        what = f"option {action.option_strings[0]}" if action.option_strings else action.dest
        many = isinstance(value, list)
        values = [_typed(each, what, hint) for each in (value if many else [value])]
        setattr(options, action.dest, values if many else values[0])
    return options


def _without_progress(parser: Parser, words: list[str]) -> list[str]:
    """Turns off the progress bar of a quiet command, unless it was set explicitly."""
    for action in parser._actions:
        flags = action.option_strings
        if "--progress" in flags and not any(word.partition("=")[0] in flags for word in words):
            return [*words, "--progress=false"]
    return words


def _typed(text: str, what: str, hint: Any) -> Any:
    return text if hint is str else of_type(from_text(text, hint), what, hint)


def _refuse_nul(words: Iterable[str]) -> None:
    for word in words:
        if "\0" in word:
            raise InputError(f"the argument {clipped(repr(word), 200)} contains a NUL character")


def normalised(parser: Parser, words: Sequence[str]) -> list[str]:
    """Converts flags to the form of the parser, and refuses unknown ones."""
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
        positive = re.sub(r"^(--(?:[\w.-]+\.)?)no-", r"\1", flag)
        if flag not in actions and flag != positive and _is_switch(parser, actions.get(positive)):
            result.append(f"{positive}=false")
            continue
        if flag not in actions:
            hint = _nearest(flag, list(actions))
            raise InputError(f"unknown option {name}{hint} ({parser.prog} --help lists them)")
        if equals and not value:
            raise InputError(_empty(flag))
        if equals and actions[flag].nargs == 0:
            raise InputError(f"option {flag} takes no value")
        following = words[position + 1] if position + 1 < len(words) else ""
        switch = _is_switch(parser, actions[flag])
        if switch and not equals and following not in ("true", "false"):
            result.append(f"{flag}=true")
        else:
            result.append(flag + equals + value)
    return result


def _nearest(flag: str, flags: Sequence[str]) -> str:
    """Like :func:`gatlabel.errors.nearest`; the last part of a dotted name also matches."""
    by_last: dict[str, list[str]] = {}
    for known in flags:
        by_last.setdefault(f"--{known[2:].rpartition('.')[2]}", []).append(known)
    close = difflib.get_close_matches(flag, [*by_last, *flags], n=1)
    if not close:
        return ""
    found = close if close[0] in flags else by_last[close[0]]
    return f"; did you mean {' or '.join(map(repr, found))}?"


def _empty(what: str) -> str:
    option = "option " if what.startswith("--") else ""
    return f"{option}{what}: the value is empty: give one, or omit the option"


def _is_switch(parser: Parser, action: argparse.Action | None) -> bool:
    return action is not None and bool in kinds_of(parser.hints.get(action.dest))


def at_least_one(options: Namespace, *names: str) -> None:
    """Refuses a number below 1.

    Raises:
        InputError: The message names the option.
    """
    for name in names:
        if options[name] < 1:
            raise InputError(f"--{name} {options[name]}: must be at least 1")


def check_outputs(options: Namespace, *names: str) -> None:
    """Checks output files before the work starts.

    Args:
        options: The parsed options.
        names: Names of the options for output files; the file of ``draw`` is a drawing.

    Raises:
        InputError: If the path is a folder, pipe or device, which a file would replace, or the
            format of a drawing is unknown; the message names the path.
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

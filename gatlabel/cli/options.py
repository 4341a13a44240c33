"""Option trees on the command line: one flag per option, and help by topic."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any, NamedTuple

from gatlabel.cli.parsing import Namespace, Parser
from gatlabel.cli.verbosity import GENERAL
from gatlabel.errors import unknown_choice
from gatlabel.option_values import words_of
from gatlabel.options import Leaf, Options, leaves

WIDTH = 79
_TEXT = 26  # column at which the help of an option starts
_SHORT = 19  # the same for options with short names
Keep = Callable[[Field[Any]], bool]


class Flag(NamedTuple):
    """An option on the command line, possibly of several groups of a choice.

    Attributes:
        path: Its dotted name; for the ``name`` of a group, the name of the group.
        leaves: The option in each group.
        has_short: Whether it may have a short name too.
    """

    path: str
    leaves: list[Leaf]
    has_short: bool = True

    @property
    def names(self) -> list[str]:
        """The dotted flag, and the short one if there is one."""
        short = self.leaves[0].field.metadata.get("short")
        dotted = "--" + self.path.replace("_", "-")
        return (
            [dotted] if not self.has_short or short in (None, self.path) else [dotted, f"--{short}"]
        )


def flags_of(kind: type[Options], keep: Keep = lambda field: True) -> list[Flag]:
    """Lists the flags of a tree of options."""
    found: dict[str, Flag] = {}
    for leaf in leaves(kind, keep):
        path = leaf.path.removesuffix(".name")
        found.setdefault(path, Flag(path, [])).leaves.append(leaf)
    return list(found.values())


def add_options(parser: Parser, flags: Sequence[Flag]) -> None:
    """Adds a flag for every option; :func:`given_options` returns the values."""
    for flag in flags:
        leaf = flag.leaves[0]
        parser.add_argument(
            *flag.names,
            dest=flag.path,
            type=bool if leaf.hint is bool else str,
            help=_first_sentence(leaf.field.metadata["help"]).replace("%", "%%"),
        )
        choices = leaf.field.metadata.get("choices", ())
        parser.words[flag.path] = [*choices, *map(str, words_of(leaf.hint))]


def given_options(options: Namespace, flags: Sequence[Flag]) -> dict[str, Any]:
    """Returns the options that were given, by dotted names."""
    values = {flag.path: options[flag.path] for flag in flags}
    return {path: value for path, value in values.items() if value is not None}


def short_help(usage: str, description: str, flags: Sequence[Flag], more: Mapping[str, str]) -> str:
    """Returns help on the options with a short name and on the choices, one line each.

    Args:
        usage: The text after ``usage:``.
        description: Description of the command.
        flags: All options; those without a short name are listed by topic only.
        more: Further arguments, with their help.
    """
    lines = [f"usage: {usage}", "", *textwrap.wrap(description, WIDTH), ""]
    for name, text in more.items():
        lines += _wrapped(name, text, _SHORT)
    for flag in flags:
        field = flag.leaves[0].field
        if field.metadata.get("short") or "choices" in field.metadata or flag.path == "graph":
            if flag.path.count(".") > 1 or not flag.has_short or flag.path == "optimizer.schedule":
                continue
            name = f"--{field.metadata.get('short') or flag.path}"
            text = _first_sentence(field.metadata["help"])
            if choices := field.metadata.get("choices"):
                text += f": {', '.join(choices)}"
            lines += _wrapped(name, text, _SHORT)
    for name, text in GENERAL.items():
        lines += _wrapped(name, text, _SHORT)
    if not any("." in flag.path for flag in flags):  # all options have been listed
        return "\n".join(lines)
    topics = ", ".join(topics_of(flags))
    command = usage.partition(" [")[0]
    lines += ["", *textwrap.wrap(f"{command} --help TOPIC lists all options of: {topics}.", WIDTH)]
    return "\n".join(lines)


def topic_help(topic: str, flags: Sequence[Flag]) -> str:
    """Returns help on every option of a topic.

    Raises:
        InputError: If there is no such topic.
    """
    topics = topics_of(flags)
    topic = topic.removeprefix("--")
    if topic not in topics:
        raise unknown_choice("topic", topic, topics)
    lines: list[str] = []
    for flag in flags:
        if flag.path.partition(".")[0] != topic:
            continue
        for entry in _entries(flag):
            lines += entry
    return "\n".join(lines)


def long_help(flags: Sequence[Flag]) -> str:
    """Returns help on every option, without topics."""
    return "\n".join(line for flag in flags for entry in _entries(flag) for line in entry)


def topics_of(flags: Sequence[Flag]) -> list[str]:
    """Lists the groups of options."""
    return list(dict.fromkeys(flag.path.partition(".")[0] for flag in flags))


def _entries(flag: Flag) -> Iterator[list[str]]:
    """Yields the help on an option: several entries if it differs between groups."""
    same: dict[tuple[Any, ...], list[Leaf]] = {}
    for leaf in flag.leaves:
        key = leaf.field.metadata["help"], leaf.field.default, str(leaf.hint)
        same.setdefault(key, []).append(leaf)
    for group in same.values():
        leaf = group[0]
        text = leaf.field.metadata["help"]
        if takers := [name for each in group for name in each.names]:
            text = f"[{', '.join(takers)}] {text}"
        if choices := leaf.field.metadata.get("choices"):
            text += f" One of {', '.join(choices)}."
        if words := words_of(leaf.hint):
            text += f" One of {', '.join(words)}."
        yield _wrapped(", ".join(flag.names), text + _default(leaf))
        for name, kind in (choices or {}).items():
            yield _wrapped(f"  {name}", (kind.__doc__ or "").splitlines()[0])


def _wrapped(flags: str, text: str, column: int = _TEXT) -> list[str]:
    lines = textwrap.wrap(text, WIDTH - column)
    if len(flags) > column - 4:
        lines = ["", *lines]
    first, *others = lines
    return [f"  {flags.ljust(column - 2)}{first}".rstrip(), *(" " * column + o for o in others)]


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")


def _default(leaf: Leaf) -> str:
    value = leaf.field.default
    if leaf.hint is bool:
        return f" ({'on' if value else 'off'})"
    if "choices" in leaf.field.metadata or value is None:
        return ""
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return f" (default: {value.as_posix() if isinstance(value, Path) else value})"

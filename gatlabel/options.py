"""Options as frozen dataclasses: defined and checked once, read from words, YAML or Python.

A group of options is a dataclass below :class:`Options`. Each of its fields is an :func:`option`,
with default, help and range in one place, or a :func:`group` or :func:`choice` of further options.
A choice is one of several dataclasses, selected by name; a dictionary in the package that uses them
maps names to dataclasses. These are equivalent:

- on the command line: ``--head gat --head.hidden 128``
- in YAML: ``head: {name: gat, hidden: 128}``; ``head: gat`` if nothing else is set
- in Python: ``head=GAT(hidden=128)``, ``head="gat"``,
  ``config.with_options({"head": "gat", "head.hidden": 128})``

Importing this module loads the standard library only.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple, Self, TypeVar, get_type_hints

from gatlabel.errors import InputError, unknown_choice
from gatlabel.option_values import words_of
from gatlabel.values import finite_number, of_type, shown

#: Converts a value from a file or a command line to the type of an annotation.
Read = Callable[[Any, Any], Any]
_Group = TypeVar("_Group", bound="Options")
_hints: Callable[[type], dict[str, Any]] = functools.cache(get_type_hints)


def option(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    short: str | None = None,
    argument: str | bool = True,
    resume: bool = False,
    moves: bool = False,
    source: bool = False,
    training: bool = False,
    benchmark: bool = True,
    absolute: Callable[[str], str] | bool = True,
) -> Any:
    """Defines an option: a field of a dataclass below :class:`Options`.

    Args:
        default: The default value.
        help: Description. The short help shows its first sentence only.
        least: Minimum of a number.
        most: Maximum of a number.
        above: Exclusive lower bound of a number.
        below: Exclusive upper bound of a number.
        short: A short name on the command line, besides the dotted one.
        argument: Name of the argument in :meth:`Options.arguments`; ``False`` for none.
        resume: The option concerns the machine, not the results: ``--resume`` accepts it.
        moves: The option is a location, which may change when a run is resumed.
        source: The option selects the data, as opposed to how they are read.
        training: The option affects the training of whole networks only, not heads on frozen
            features.
        benchmark: Benchmarks accept the option, and their results depend on it.
        absolute: What :func:`with_absolute_paths` does to a path; ``False`` leaves it as it is. For
            an option that takes other texts too: a function that makes those absolute that name a
            place.
    """
    bounds = {"least": least, "most": most, "above": above, "below": below}
    flags = {"resume": resume, "moves": moves, "source": source, "training": training}
    return dataclasses.field(
        default=default,
        metadata={
            **{"help": help, "short": short, "argument": argument, "benchmark": benchmark},
            **{name: bound for name, bound in bounds.items() if bound is not None},
            **flags,
            "absolute": absolute,
        },
    )


def group(kind: type[Options], help: str, *, training: bool = False, benchmark: bool = True) -> Any:
    """Defines a field that holds a group of options.

    Args:
        kind: The group.
        help: Description.
        training: See :func:`option`.
        benchmark: See :func:`option`.
    """
    flags = {"training": training, "benchmark": benchmark}
    return dataclasses.field(default_factory=kind, metadata={"group": kind, "help": help, **flags})


def choice(
    choices: Mapping[str, type[Options]],
    default: str,
    help: str,
    *,
    elsewhere: Mapping[str, str] | None = None,
    training: bool = False,
    benchmark: bool = True,
) -> Any:
    """Defines a field that holds one of several groups of options.

    Args:
        choices: The groups by name; each has a field ``name`` whose default is its name.
        default: The name of the default.
        help: Description of the choice.
        elsewhere: Names that only other commands or options take, with a phrase that says which.
        training: See :func:`option`.
        benchmark: See :func:`option`.
    """
    flags = {"training": training, "benchmark": benchmark, "elsewhere": elsewhere or {}}
    return dataclasses.field(
        default_factory=choices[default], metadata={"choices": choices, "help": help, **flags}
    )


def several(kind: type[Options], help: str) -> Any:
    """Defines a field that holds a tuple of groups of one kind, empty by default.

    In YAML it is a list of mappings; it has no flags on the command line.

    Args:
        kind: The group.
        help: Description.
    """
    return dataclasses.field(default=(), metadata={"each": kind, "help": help})


@dataclass(frozen=True, kw_only=True)
class Options:
    """A group of options.

    Values are converted to plain Python: NumPy numbers to numbers, lists to tuples, texts to paths
    if the option is a path, names and mappings to the group they describe.

    Raises:
        InputError: If a value is of the wrong type or out of range; the message names the option.
    """

    def __post_init__(self) -> None:
        hints = _hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kinds = _kinds(field)
            if "each" in field.metadata:
                value = _each(field, value, _as_it_is, field.name)
            elif kinds is None:
                hint = hints[field.name]
                value = _checked(field, hint, of_type(value, field.name, hint))
            elif not isinstance(value, tuple(kinds.values())):
                value = _inner(field, _default(field), value, _as_it_is, field.name)
            object.__setattr__(self, field.name, value)

    def with_options(self, options: Mapping[str, Any]) -> Self:
        """Returns a copy with other options, by dotted names.

        A choice of another name starts from its own defaults.

        Args:
            options: ``{"head": "gat", "head.hidden": 128}``; values may be mappings too.

        Raises:
            InputError: If an option is unknown (the message gives the nearest) or wrong.
        """
        return updated(self, nested(options))

    def to_dict(self) -> dict[str, Any]:
        """Returns all options as primitives: paths as texts, tuples as lists, groups as dicts."""
        return {name: _primitive(getattr(self, name)) for name in _names(type(self))}

    def arguments(self) -> dict[str, Any]:
        """Returns the options that are set, by the argument names of the class they configure.

        Integers are converted to float where the option is a float: constructors rely on it.
        """
        found, hints = {}, _hints(type(self))
        for field in dataclasses.fields(self):
            name, value = field.metadata.get("argument", False), getattr(self, field.name)
            if type(value) is int and hints[field.name] in (float, float | None):
                value = float(value)
            if name and value is not None:
                found[field.name if name is True else name] = value
        return found


def updated(
    base: Any, given: Mapping[str, Any], read: Read = lambda value, hint: value, where: str = ""
) -> Any:
    """Returns a copy of options with some values replaced.

    Args:
        base: The options.
        given: New values; mappings for groups and choices, or the name of a choice.
        read: Converts a value to the type of its option.
        where: Dotted name of the group, with a dot at its end, for error messages.

    Raises:
        InputError: If an option is unknown or wrong.
    """
    return _built(type(base), vars(base), given, read, where)


def nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """Converts dotted names to nested mappings: ``{"head": {"name": "gat", "hidden": 128}}``."""
    found: dict[str, Any] = {}
    for path, value in options.items():
        *parents, last = path.split(".")
        place = found
        for parent in parents:
            place[parent] = place = _opened(place.get(parent, {}))
        before = place.get(last)
        place[last] = {**before, **_opened(value)} if isinstance(before, dict) else value
    return found


class Leaf(NamedTuple):
    """An option in a tree of groups.

    Attributes:
        path: Its dotted name.
        field: Its definition.
        hint: Its type.
        names: The names of the choice to which it belongs, if any.
    """

    path: str
    field: dataclasses.Field[Any]
    hint: Any
    names: tuple[str, ...]


def leaves(
    kind: type[Options],
    keep: Callable[[dataclasses.Field[Any]], bool] = lambda field: True,
    where: str = "",
    names: tuple[str, ...] = (),
) -> Iterator[Leaf]:
    """Yields every option below a group, including those of all choices; choices as names.

    Args:
        kind: The group.
        keep: Selects the options and groups to yield.
        where: Dotted name of the group, with a dot at its end.
        names: The names of the choice to which the group belongs.
    """
    hints = _hints(kind)
    for field in filter(keep, dataclasses.fields(kind)):
        path, kinds = where + field.name, _kinds(field)
        if "each" in field.metadata:
            continue
        if kinds is None:
            if not (names and field.name == "name"):
                yield Leaf(path, field, hints[field.name], names)
            continue
        if "choices" in field.metadata:
            yield Leaf(path, field, str, names)
        for name, inner in kinds.items():
            owner = (name,) if "choices" in field.metadata else ()
            yield from leaves(inner, keep, f"{path}.", owner)


def differing(one: Options, other: Options) -> list[str]:
    """Lists the dotted names of options in which two trees of the same kind differ.

    A choice with another name is one difference.
    """
    found = []
    for field in dataclasses.fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, Options) and type(mine) is type(theirs):
            found += [f"{field.name}.{name}" for name in differing(mine, theirs)]
        elif mine != theirs:
            found.append(field.name)
    return found


def flat(
    options: Options, keep: Callable[[dataclasses.Field[Any]], bool] = lambda field: True
) -> dict[str, Any]:
    """Returns options as JSON values by dotted names.

    Args:
        options: The options.
        keep: Selects the options and groups to return.
    """
    found: dict[str, Any] = {}
    for name in _names(type(options)):
        value = getattr(options, name)
        if not keep(options.__dataclass_fields__[name]):
            continue
        if isinstance(value, Options):
            found |= {f"{name}.{inner}": its for inner, its in flat(value, keep).items()}
        else:
            found[name] = _primitive(value)
    return found


def with_absolute_paths(options: _Group) -> _Group:
    """Returns options whose paths, in all groups, are absolute; see ``absolute`` of :func:`option`.

    Absolute paths mean the same in any working directory.
    """
    changes = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        found = _absolute(value, field.metadata.get("absolute", True))
        if found != value:
            changes[field.name] = found
    return dataclasses.replace(options, **changes) if changes else options


def _absolute(value: Any, how: Callable[[str], str] | bool) -> Any:
    if isinstance(value, Options):
        return with_absolute_paths(value)
    if isinstance(value, tuple):
        return tuple(_absolute(item, how) for item in value)
    if isinstance(value, Path):
        return value.absolute() if how else value
    return how(value) if isinstance(value, str) and callable(how) else value


def absolute_place(text: str, words: Container[str] = ()) -> str:
    """Returns the absolute path of a file or folder that exists; other texts unchanged.

    Args:
        text: A path, or something else.
        words: Texts that never mean a path.
    """
    there = text not in words and os.path.exists(text)  # noqa: PTH110 - never raises
    return str(Path(text).absolute()) if there else text


def find(options: Options, path: str) -> dataclasses.Field[Any]:
    """Returns the definition of an option by its dotted name.

    Raises:
        KeyError: If there is no such option.
    """
    first, _, rest = path.partition(".")
    return find(getattr(options, first), rest) if rest else options.__dataclass_fields__[first]


def _built(
    kind: type[Options],
    values: Mapping[str, Any],
    given: Mapping[str, Any],
    read: Read,
    where: str,
    choices: Mapping[str, type[Options]] | None = None,
) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    made = dict(values)
    for name, value in given.items():
        path = f"{where}{name}"
        if name not in fields:
            raise _unknown(kind, str(name), value, where, choices or {})
        if "each" in fields[name].metadata:
            made[name] = _each(fields[name], value, read, path)
        elif _kinds(fields[name]) is not None:
            current = made[name] if name in made else _default(fields[name])
            made[name] = _inner(fields[name], current, value, read, path)
        else:
            made[name] = read(value, _hints(kind)[name])
    try:
        return kind(**made)
    except InputError as error:
        raise InputError(f"{where}{error}") from error


def _inner(field: dataclasses.Field[Any], current: Any, value: Any, read: Read, path: str) -> Any:
    kinds = _kinds(field)
    assert kinds is not None
    if isinstance(value, Options):
        if type(value) not in kinds.values():
            raise InputError(f"{path}={shown(value)}: give one of {_listed(kinds.values())}")
        return value
    choices = field.metadata.get("choices")
    if not isinstance(value, str | Mapping) or not all(isinstance(name, str) for name in value):
        raise InputError(f"{path}={shown(value)}: give {'a name' if choices else 'options'}")
    given = _opened(value)
    if choices is None:
        return _built(type(current), vars(current), given, read, f"{path}.")
    name = given.pop("name", current.name)
    if not isinstance(name, str):
        raise InputError(f"{path}={shown(name)}: give a name: {', '.join(choices)}")
    if name in field.metadata.get("elsewhere", ()):
        raise InputError(f"{path}={name}: {field.metadata['elsewhere'][name]}")
    if name not in choices:
        raise unknown_choice(path, name, choices)
    values = vars(current) if type(current) is choices[name] else {}
    return _built(choices[name], values, given, read, f"{path}.", choices)


def _each(field: dataclasses.Field[Any], value: Any, read: Read, path: str) -> tuple[Any, ...]:
    """Returns the groups of a list."""
    kind = field.metadata["each"]
    if not isinstance(value, list | tuple):
        raise InputError(f"{path}={shown(value)}: give a list of options")
    found = []
    for number, one in enumerate(value):
        where = f"{path}[{number}]"
        if not isinstance(one, kind | Mapping):
            raise InputError(f"{where}={shown(one)}: give options")
        is_made = isinstance(one, kind)
        found.append(one if is_made else _built(kind, {}, nested(one), read, f"{where}."))
    return tuple(found)


def _unknown(
    kind: type[Options], name: str, value: Any, where: str, choices: Mapping[str, type[Options]]
) -> InputError:
    takers = [other for other, each in choices.items() if name in each.__dataclass_fields__]
    if takers:
        chosen = next(other for other, each in choices.items() if each is kind)
        text = value if isinstance(value, str) else shown(value)
        return InputError(
            f"{where}{name}={text}: not for {where[:-1]}={chosen}, only for {', '.join(takers)}"
        )
    known = {path.rpartition(".")[2]: path for path in (leaf.path for leaf in leaves(kind))}
    known |= {field: field for field in kind.__dataclass_fields__}
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {where + known[close[0]]!r}?" if close else ""
    return InputError(f"unknown option {where + name!r}{hint}")


def _opened(value: Any) -> dict[str, Any]:
    if isinstance(value, Options):
        return dict(vars(value))
    return {"name": value} if isinstance(value, str) else dict(value)


def _checked(field: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    """Checks the range of numbers; words and ``None`` have none."""
    limits = field.metadata
    words = "".join(f", or {word}" for word in words_of(hint))
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if "below" in limits:
            if not limits["least"] <= number < limits["below"]:
                within = f"at least {limits['least']} and below {limits['below']}"
                raise InputError(f"{field.name}={shown(number)}: must be {within}{words}")
        elif "above" in limits and not number > limits["above"]:
            above = f"must be above {limits['above']}{words}"
            raise InputError(f"{field.name}={shown(number)}: {above}")
        elif "most" in limits:
            finite_number(number, field.name, limits.get("least", -limits["most"]), limits["most"])
    return value


def _kinds(field: dataclasses.Field[Any]) -> Mapping[str, type[Options]] | None:
    if "group" in field.metadata:
        return {field.name: field.metadata["group"]}
    return field.metadata.get("choices")


def _default(field: dataclasses.Field[Any]) -> Any:
    assert field.default_factory is not dataclasses.MISSING
    return field.default_factory()


def _names(kind: type[Options]) -> list[str]:
    return sorted(kind.__dataclass_fields__, key=lambda name: name != "name")  # "name" comes first


def _listed(kinds: Any) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


def _as_it_is(value: Any, hint: Any) -> Any:
    return value


def _primitive(value: Any) -> Any:
    if isinstance(value, Options):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_primitive(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value

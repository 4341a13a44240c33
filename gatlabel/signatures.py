"""Options derived from the signature and docstring of the class or function they configure.

An argument with a default is an option if options support its type, for example
``power: Annotated[float, Range(1, 10)] = 2.0``. Its entry under ``Args`` in the docstring is the
help text. :func:`derived` reads the source of a module without importing it, as
:mod:`gatlabel.lazy` does, so that help and errors need no torch. Importing this module loads the
standard library only.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_type_hints

from gatlabel.errors import InputError
from gatlabel.options import Options, option
from gatlabel.values import shown

Kind = TypeVar("Kind", bound=Options)


class Range(NamedTuple):
    """The range of a number, given after its type in ``Annotated``.

    Attributes:
        least: Minimum.
        most: Maximum; not used if ``below`` is given.
        below: Exclusive upper bound.
    """

    least: float
    most: float = 0.0
    below: float | None = None

    def bounds(self) -> dict[str, float]:
        """Returns the range as keywords of :func:`~gatlabel.options.option`."""
        last = {"most": self.most} if self.below is None else {"below": self.below}
        return {"least": self.least, **last}

    def __contains__(self, value: object) -> bool:
        """Whether a value is a number in the range."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.below is not None:
            return self.least <= value < self.below
        return self.least <= value <= self.most


class Argument(NamedTuple):
    """An argument that can be set as an option.

    Attributes:
        name: Name of the argument.
        hint: Its type.
        default: Its default.
        range: Range of a number; ``None`` if it is not limited.
        help: Its entry in the docstring.
    """

    name: str
    hint: Any
    default: Any
    range: Range | None
    help: str


#: The names that annotations of options may contain.
_NAMES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (bool, float, int, str, tuple, Path, Range)},
    **{"Annotated": Annotated, "Literal": Literal},
}


def check_ranges(function: Callable[..., Any], **values: Any) -> None:
    """Checks arguments against the ranges in the signature of their function.

    Args:
        function: The function with the annotations.
        values: The arguments.

    Raises:
        InputError: If a value is not a number in its range; the message names the argument.
    """
    for name, allowed in _ranges(function).items():
        if name in values and values[name] not in allowed:
            last = f"below {allowed.below}" if allowed.below is not None else f"{allowed.most}"
            raise InputError(
                f"{name} is {shown(values[name])}: it must be a number from {allowed.least} to "
                f"{last}"
            )


@functools.cache
def _ranges(function: Callable[..., Any]) -> dict[str, Range]:
    hints = get_type_hints(function, include_extras=True)
    found = {name: [a for a in get_args(h) if isinstance(a, Range)] for name, h in hints.items()}
    return {name: ranges[0] for name, ranges in found.items() if ranges}


def derived(
    module: str,
    dictionary: str,
    written: Mapping[str, type[Kind]],
    bases: Mapping[str, type[Kind]],
    base: type[Kind],
    ignored: Collection[str] = (),
) -> dict[str, type[Kind]]:
    """Returns the options of all classes in a dictionary: written by hand, or derived.

    Args:
        module: The module with the dictionary of classes or functions by name. It is not imported.
        dictionary: Name of the dictionary in the module.
        written: Options written by hand, for runs with more options than the constructor has
            arguments.
        bases: Base of the options of classes derived from a base class, by the name of that class.
        base: Base of the options of all other classes.
        ignored: Arguments that are not options.

    Returns:
        Options by name, in the order of the dictionary in the module.
    """
    table = _source(module)
    modules = {
        alias.name: line.module or ""
        for line in table.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    found: dict[str, type[Kind]] = {}
    for name, target in _entries(table, dictionary):
        if name in written:
            found[name] = written[name]
            continue
        node = _definition(_source(modules[target]), target)
        parents = _ancestors(_source(modules[target]), node)
        kind = next((bases[parent] for parent in parents if parent in bases), base)
        arguments = [each for each in arguments_of(node) if each.name not in ignored]
        found[name] = options_type(name, arguments, kind, ast.get_docstring(node) or "")
    return found


def options_type(
    name: str, arguments: Iterable[Argument], base: type[Kind], doc: str = ""
) -> type[Kind]:
    """Creates the dataclass of the options of one choice.

    Args:
        name: The name of the choice.
        arguments: Its options.
        base: The base of the dataclass.
        doc: Docstring of the choice; its first line is used.
    """
    fields: list[tuple[str, Any, Any]] = [("name", Literal[name], dataclasses.field(default=name))]
    for each in arguments:
        if each.name not in base.__dataclass_fields__:
            bounds: dict[str, Any] = {} if each.range is None else each.range.bounds()
            fields.append((each.name, each.hint, option(each.default, each.help, **bounds)))
    title = f"{name.title().replace('_', '')}Options"
    kind = dataclasses.make_dataclass(title, fields, bases=(base,), frozen=True, kw_only=True)
    kind.__module__ = base.__module__
    kind.__doc__ = doc.partition("\n")[0].partition(";")[0]
    return kind


def arguments_of(node: ast.ClassDef | ast.FunctionDef) -> list[Argument]:
    """Lists the arguments of a class or function that are options, with their defaults and help.

    Raises:
        TypeError: If options do not support the type of an ``Annotated`` argument.
    """
    help_of = _described(ast.get_docstring(node) or "")
    function: ast.ClassDef | ast.FunctionDef | None = node
    if isinstance(node, ast.ClassDef):
        inits = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
        function = inits[0] if inits else None
    if not isinstance(function, ast.FunctionDef):
        return []
    given = function.args
    pairs = zip(given.args[::-1], given.defaults[::-1], strict=False)
    with_default = [*list(pairs)[::-1], *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    found = []
    for argument, default in with_default:
        if default is None or argument.annotation is None:
            continue
        try:
            hint = eval(ast.unparse(argument.annotation), {"__builtins__": {}}, _NAMES)
        except NameError as error:
            if ast.unparse(argument.annotation).startswith("Annotated"):
                raise TypeError(f"{node.name}: {argument.arg}: {error}") from error
            continue  # a tensor or a graph: not an option
        if isinstance(hint, str):
            continue  # a quoted type, which is not imported
        extra = get_args(hint)[1:] if hasattr(hint, "__metadata__") else ()
        ranges = [item for item in extra if isinstance(item, Range)]
        kind = get_args(hint)[0] if extra else hint
        text = help_of.get(argument.arg, "")
        value = ast.literal_eval(default)
        found.append(Argument(argument.arg, kind, value, ranges[0] if ranges else None, text))
    return found


def options_of(target: type | Callable[..., Any], name: str, base: type[Kind]) -> type[Kind]:
    """Creates the options of a class or function of your own program.

    Args:
        target: The class or function; its source must be available.
        name: The name of the choice.
        base: The dataclass that the options derive from.
    """
    node = ast.parse(textwrap.dedent(inspect.getsource(target))).body[0]
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    return options_type(name, arguments_of(node), base, ast.get_docstring(node) or "")


@functools.cache
def _source(module: str) -> ast.Module:
    spec = find_spec(module)
    source = getattr(spec.loader, "get_source", lambda _: None)(module) if spec else None
    if source is None:
        raise ImportError(f"the source of {module} is missing: its options are read from it")
    return ast.parse(source)


def _entries(table: ast.Module, dictionary: str) -> list[tuple[str, str]]:
    """Returns the pairs of choice and class name of a dictionary in a module."""
    for line in table.body:
        if (
            isinstance(line, ast.AnnAssign)
            and ast.unparse(line.target) == dictionary
            and isinstance(line.value, ast.Dict)
        ):
            pairs = zip(line.value.keys, line.value.values, strict=True)
            return [(ast.literal_eval(key), ast.unparse(value)) for key, value in pairs if key]
    raise ImportError(f"no dictionary {dictionary}")


def _definition(module: ast.Module, name: str) -> ast.ClassDef | ast.FunctionDef:
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
    raise ImportError(f"no class or function {name}")


def _ancestors(module: ast.Module, node: ast.ClassDef | ast.FunctionDef) -> list[str]:
    """Returns the names of base classes, and of their bases that are defined in the same module."""
    found = []
    for name in map(ast.unparse, node.bases if isinstance(node, ast.ClassDef) else []):
        found.append(name)
        above = [n for n in module.body if isinstance(n, ast.ClassDef) and n.name == name]
        found += [other for each in above for other in _ancestors(module, each)]
    return found


def _described(doc: str) -> dict[str, str]:
    """Returns the entries of a docstring's section ``Args``, each as one line."""
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", doc, re.MULTILINE)
    if section is None:
        return {}
    found: dict[str, list[str]] = {}
    lines = [line for line in section[1].splitlines() if line.strip()]
    depth = len(lines[0]) - len(lines[0].lstrip())
    name = ""
    for line in lines:
        start = re.match(rf"[ ]{{{depth}}}(\w+): (.*)", line)
        if start:
            name = start[1]
        found.setdefault(name, []).append(start[2] if start else line.strip())
    return {name: " ".join(parts) for name, parts in found.items()}

"""The text form of a label graph with its options, the same in every command, config and call.

``npmi:top_k=5,threshold=0.1`` is a variant with options. ``knn:vectors=words.txt`` is a variant
that reads a file. ``random:base=npmi,top_k=5`` is a control of another variant. ``graph.json`` and
``edges.csv:relation=similarity`` are graphs read from files.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from gatlabel.errors import InputError, unknown_choice
from gatlabel.graph.controls import Control
from gatlabel.graph.record import Relation
from gatlabel.graph.variants import VARIANTS, build_graph, make_variant
from gatlabel.values import of_type

if TYPE_CHECKING:
    from gatlabel.graph.counts import Counts
    from gatlabel.graph.label_graph import LabelGraph

GRAPH_FILES = (".json", ".csv", ".tsv", ".txt")
_NAME = r"\s*([A-Za-z_]\w*)\s*=\s*"  # of an option
_QUOTED = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"\s*'  # as in JSON


@dataclass(frozen=True)
class GraphSpec:
    """Describes the label graph to build: a variant or a file, and its options.

    Attributes:
        name: A variant, or the file of a graph: ``.json``, or an edge list in ``.csv``, ``.tsv``
            or ``.txt``.
        options: The options given, as numbers and texts. An edge list has one option:
            ``relation``, the meaning of its edges, ``cooccurrence`` or ``similarity``.

    Raises:
        InputError: If there is no such variant or option, or a value is wrong; the message names
            the nearest name, or the variants that take the option.

    Example:
        >>> spec = GraphSpec.parse("npmi:top_k=5,threshold=0.1")
        >>> spec.name, spec.options, str(spec)
        ('npmi', {'top_k': 5, 'threshold': 0.1}, 'npmi:top_k=5,threshold=0.1')
    """

    name: str = "conditional"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.is_file:
            plain = self._file_options()
        elif self.name not in VARIANTS:
            raise unknown_choice("graph variant", self.name, VARIANTS)
        else:
            made = make_variant(self.name, self.options)
            inner = made.base if isinstance(made, Control) else made
            plain = {
                name: value if name == "base" else getattr(made, name, getattr(inner, name, None))
                for name, value in self.options.items()
            }
        for name, value in plain.items():
            if not isinstance(value, str | int | float | None):
                kind = type(value).__name__
                raise InputError(f"graph {self.name}: {name} is a {kind}: give a text or a number")
        object.__setattr__(self, "options", plain)

    @property
    def is_file(self) -> bool:
        """Whether the graph is read from a file."""
        return self.name.endswith(GRAPH_FILES)

    def _file_options(self) -> dict[str, Any]:
        for name in self.options:
            if name != "relation":
                takers = [n for n, kind in VARIANTS.items() if name in kind.option_types()]
                only = f"only for {', '.join(takers)}, not " if takers else "not "
                raise InputError(f"{name}: {only}for the file {self.name}")
        if self.options and self.name.endswith(".json"):
            raise InputError(f"relation: the file {self.name} stores its relation")
        return {name: of_type(value, name, Relation) for name, value in self.options.items()}

    @classmethod
    def parse(cls, text: str) -> GraphSpec:
        """Parses the text form; see the module.

        A name or value with a comma, a quotation mark or surrounding blanks must be quoted as in
        JSON; so must a path that could be read as ``name:option=value``.

        Raises:
            InputError: As the class, or if an option has no value.
        """
        name, rest = _parted(text)
        options: dict[str, Any] = {}
        for option, value, quoted in _options(text, rest):
            if option in options:
                raise InputError(f"graph {text!r}: {option} is given twice")
            options[option] = value if quoted else _typed(value, _hint(name, options, option))
        try:
            return cls(name, options)
        except InputError as error:
            raise InputError(f"graph {text!r}: {error}" if options else str(error)) from None

    def __str__(self) -> str:
        name = self.name
        if _quoted(name) != name or re.match(_NAME, name) or _parted(name) != (name, None):
            name = json.dumps(name)
        options = ",".join(f"{option}={_text(value)}" for option, value in self.options.items())
        return f"{name}:{options}" if options else name

    def absolute(self) -> GraphSpec:
        """Returns the same graph with absolute paths, so that it can be read from any folder."""
        vectors = self.options.get("vectors")
        moved = {} if vectors is None else {"vectors": _absolute(vectors)}
        name = _absolute(self.name) if self.is_file else self.name
        return GraphSpec(name, {**self.options, **moved})

    @classmethod
    def absolute_text(cls, text: str) -> str:
        """Returns a text form with absolute paths; see :meth:`absolute`."""
        return str(cls.parse(text).absolute())

    def build(self, counts: Counts, seed: int = 0) -> LabelGraph:
        """Builds the graph, or reads it and reorders its labels as in the counts.

        Args:
            counts: Counts of the training images; heads take base rates and label vectors from
                them, whatever the source of the edges.
            seed: Seed of ``random`` and ``permuted``, unless the options give one.

        Raises:
            InputError: If a file cannot be read or has other labels, or counts are missing.

        Warns:
            IsolatedLabelsWarning: As :func:`build_graph`.
        """
        if not self.is_file:
            kind = VARIANTS[self.name]
            seeded = {"seed": seed} if issubclass(kind, Control) else {}
            return build_graph(counts, self.name, **{**seeded, **self.options})
        from gatlabel.graph.label_graph import LabelGraph

        if self.name.endswith(".json"):
            graph = LabelGraph.load(self.name)
        else:
            graph = LabelGraph.from_edge_file(self.name, counts.names, **self.options)
        counts.labels.require_same_names(graph.names, f"the graph {self.name}")
        return graph.reorder(counts.names).with_counts(counts)


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if os.path.isfile(path) else path  # noqa: PTH113 - never raises


def split_specs(text: str) -> list[str]:
    """Splits a list of text forms: ``npmi:top_k=5,threshold=0.1,complete`` has two."""
    found: list[str] = []
    for part in re.findall(rf"(?:{_QUOTED}|[^,])+", text):
        if found and ":" in found[-1] and re.match(_NAME, part):
            found[-1] += f",{part}"
        elif part.strip():
            found.append(part.strip())
    return found


def _parted(text: str) -> tuple[str, str | None]:
    """Splits a text form into the name and the text of the options, if there are any."""
    if found := re.fullmatch(rf"({_QUOTED})(?::(.*))?", text, re.DOTALL):
        return json.loads(found[1]), found[2]
    first, colon, rest = text.partition(":")
    if colon and (first.strip() in VARIANTS or re.match(_NAME, rest)):
        return first.strip(), rest
    path, colon, rest = text.rpartition(":")  # a path may have colons itself
    return (path, rest) if colon and re.match(_NAME, rest) else (text.strip(), None)


def _options(text: str, rest: str | None) -> Iterator[tuple[str, str, bool]]:
    """Parses ``option=value,…``: yields each option, its value, and whether it was quoted."""
    at, more = 0, rest is not None
    while more:
        found = re.compile(rf"{_NAME}({_QUOTED}|[^,\"]*)(,|$)").match(rest or "", at)
        if not found:
            part = (rest or "")[at:]
            raise InputError(f"graph {text!r}: expected name=value,name=value, found {part!r}")
        quoted = found[2].startswith('"')
        yield found[1], json.loads(found[2]) if quoted else found[2].strip(), quoted
        at, more = found.end(), bool(found[3])


def _hint(name: str, options: Mapping[str, Any], option: str) -> Any:
    """Returns the type of an option, also of the base of a control; text if it is unknown."""
    kinds = [VARIANTS[name]] if name in VARIANTS else []
    if kinds and issubclass(kinds[0], Control):
        kinds += [kind for kind in VARIANTS.values() if option in kind.option_types()]
    return next((k.option_types()[option] for k in kinds if option in k.option_types()), str)


def _typed(text: str, hint: Any) -> Any:
    """Parses a value according to its type. Invalid values remain text and are refused later."""
    several = isinstance(hint, UnionType) or get_origin(hint) is Union
    kinds = get_args(hint) if several else (hint,)
    if type(None) in kinds and text in ("none", "null"):
        return None
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return "none" if value is None else repr(value)


def _quoted(text: str) -> str:
    return json.dumps(text) if text != text.strip() or not text or set(',"') & set(text) else text

"""The heads of saved models, restored from untrusted data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from gatlabel.errors import InputError, unknown_choice
from gatlabel.nn import GraphAblatable, Head
from gatlabel.nn.heads.table import SAVED_HEADS
from gatlabel.nn.old_names import current_options
from gatlabel.values import finite_number, line_of_text, shown, truth_value, whole_number

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

MOST = 2**16  # limit of any width, number of heads or layers
PLAUSIBLE_WIDTH = 2**12  # widths up to this are accepted even if no weight has them
MOST_STEPS = 1000  # limit of a head's iterations, a Python loop
#: Annotations that a JSON value can have.
_KINDS = {"int": int, "float": float, "bool": bool, "str": str, "None": type(None)}


@dataclass(frozen=True)
class HeadDescription:
    """The description of a head in a model file.

    Attributes:
        kind: Name of the head.
        head: Its class.
        in_features: Feature width D of the head.
        options: Its other options, as primitives.
        vectors: Width and trainability of the label vectors, which are in the weights; ``None``
            for a head without label vectors.
    """

    kind: str
    head: type[Head]
    in_features: int
    options: dict[str, Any]
    vectors: tuple[int, bool] | None

    @classmethod
    def read(cls, config: Mapping[str, Any], heads: Mapping[str, type[Head]] = SAVED_HEADS) -> Self:
        """Reads the object ``head`` of a file.

        Args:
            config: The object that contains it.
            heads: The supported heads.

        Raises:
            InputError: If a value is invalid; the message names it.
        """
        found = current_options(table(config, "head"))
        kind = choice(found.pop("kind", None), "head", heads)
        width = whole_number(found.pop("in_features", None), "head.in_features", 1, MOST)
        vectors = _vectors(found.pop("node_features", None))
        return cls(kind, heads[kind], width, _head_options(heads[kind], kind, found), vectors)

    @property
    def has_graph(self) -> bool:
        """Whether the head needs a label graph."""
        return issubclass(self.head, GraphAblatable)

    def make(self, names: Sequence[str], graph: LabelGraph | None) -> Head:
        """Makes the head, with random weights.

        Args:
            names: Its labels.
            graph: Its label graph, if it has one.
        """
        options = dict(self.options)
        if self.vectors is not None:
            width, trainable = self.vectors
            blank = torch.zeros(len(names), width)
            options["node_features"] = nn.Parameter(blank) if trainable else blank
        elif "node_features" in inspect.signature(self.head).parameters:
            options["node_features"] = None
        return build_head(self.head, self.in_features, names, graph, options)


def build_head(
    head: type[Head],
    width: int,
    names: Sequence[str],
    graph: LabelGraph | None,
    options: Mapping[str, Any],
) -> Head:
    """Makes a head for labels, over their graph if there is one.

    Raises:
        InputError: If it needs a graph and there is none, or an option does not fit.
    """
    if graph is None and issubclass(head, GraphAblatable):
        raise InputError(f"the head {head.kind!r} needs a label graph: give graph=…")
    # a head without edges takes names, and label vectors if it uses them, from the graph
    given = {"labels": names} if graph is None else {"graph": graph}
    return head(width, **given, **options)


def table(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns an object inside another.

    Raises:
        InputError: If it is missing, or not an object.
    """
    value = config.get(name)
    if not isinstance(value, dict):
        raise InputError(f"{name}={shown(value)}: give a table of options")
    return value


def choice(value: Any, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """Returns the value if it is known.

    Raises:
        InputError: If it is unknown.
    """
    text = line_of_text(value, name)
    if text not in known:
        raise unknown_choice(name, text, known)
    return text


def _vectors(value: Any) -> tuple[int, bool] | None:
    """Reads the description of label vectors; names and paths are refused."""
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"width", "trainable"}:
        raise InputError(
            f"head.node_features={shown(value)}: label vectors are in the weights; only their "
            "width and whether they are trainable may be given"
        )
    return (
        whole_number(value["width"], "head.node_features.width", 1, MOST),
        truth_value(value["trainable"], "head.node_features.trainable"),
    )


def _head_options(head: type[Head], kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Checks options against the annotations of the head's own arguments."""
    parameters = inspect.signature(head).parameters
    found = {}
    for name, value in options.items():
        if name not in parameters or name in ("in_features", "labels", "graph", "node_features"):
            raise unknown_choice(f"option of the head {kind!r}", name, parameters)
        found[name] = _option(f"head.{name}", value, str(parameters[name].annotation))
    return found


def _option(name: str, value: Any, annotation: str) -> Any:
    """Checks a JSON value against the text of an annotation."""
    kinds = [_KINDS.get(part.strip()) for part in annotation.split("|")]
    if value is None and type(None) in kinds:
        return None
    if bool in kinds:
        return truth_value(value, name)
    if int in kinds and float not in kinds:
        return whole_number(value, name, 0, MOST_STEPS if name == "head.steps" else MOST)
    if float in kinds:
        return finite_number(value, name, -MOST, MOST)
    if isinstance(value, str):
        return line_of_text(value, name)
    return primitive(name, value)


def primitive(name: str, value: Any) -> Any:
    """Checks a value that may be a list or table of numbers, texts and booleans.

    Raises:
        InputError: If a number is too large or not finite, or the value is nested more deeply than
            an object of lists.
    """
    return _primitive(name, value, depth=3)


def _primitive(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return line_of_text(value, name)
    if isinstance(value, int):
        return whole_number(value, name, -MOST, MOST)
    if isinstance(value, float):
        return finite_number(value, name, -MOST, MOST)
    if depth == 0:
        raise InputError(f"{name}={shown(value)}: is nested too deeply")
    if isinstance(value, list):
        return [_primitive(name, item, depth - 1) for item in value]
    return {
        line_of_text(key, name): _primitive(f"{name}.{key}", item, depth - 1)
        for key, item in value.items()
    }


def check_sizes(described: HeadDescription, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses sizes that the weights cannot have, before memory is allocated.

    Args:
        described: The head as described in the file.
        shapes: The shapes of the saved tensors by name.

    Raises:
        InputError: If a size is impossible; the message names the value.
    """
    widest = max([PLAUSIBLE_WIDTH, *(size for shape in shapes.values() for size in shape)])
    sizes = {f"head.{name}": value for name, value in described.options.items()}
    if described.vectors is not None:
        sizes["head.node_features.width"] = described.vectors[0]
    for name, value in _whole_numbers(sizes):
        most = max(len(shapes), 1) if name.endswith("layers") else widest
        if value > most:
            raise InputError(f"{name}={value}: no weights have that size")


def _whole_numbers(options: Mapping[str, Any]) -> list[tuple[str, int]]:
    found = []
    for name, value in options.items():
        inner = value if isinstance(value, dict) else {}
        items = value if isinstance(value, list) else [value]
        found += [(name, v) for v in items if isinstance(v, int) and not isinstance(v, bool)]
        found += _whole_numbers({f"{name}.{key}": item for key, item in inner.items()})
    return found

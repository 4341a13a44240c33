"""Reading of untrusted YAML: plain values of limited size; errors name the line."""

from __future__ import annotations

from typing import Any

import yaml

from gatlabel.errors import InputError, first_line
from gatlabel.printing import clipped
from gatlabel.reading import DEEPEST

MOST_VALUES = 10_000
"""Maximum number of values with all aliases (``*name``) expanded, which may be billions."""


def parse_yaml(text: str, where: str) -> Any:
    """Parses one YAML document of plain values.

    Args:
        text: The document.
        where: Description of the document for error messages (``"the config file run.yaml"``).

    Returns:
        Text, numbers, booleans, dates, ``None``, and lists and dicts of these.

    Raises:
        InputError: If it is not YAML, a value is invalid (31 February), a key appears twice,
            it is nested more than 100 deep, contains itself, or has more than 10,000 values.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count(node, {}, where, 0)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (InputError, MemoryError):
        raise
    except RecursionError:
        raise InputError(f"{where} is nested more than {DEEPEST} deep") from None
    except yaml.YAMLError as error:
        reason = clipped(" ".join(str(error).split()), 300)
        raise InputError(f"{where} is not YAML: {reason}") from error
    except Exception as error:  # PyYAML's constructors raise various errors for wrong values
        raise InputError(
            f"{where} contains a value that cannot be read: {first_line(error)}"
        ) from error


def _count(node: yaml.Node, counted: dict[int, int], where: str, depth: int) -> int:
    """Counts the values below a node with aliases expanded, and checks them.

    Args:
        node: The node.
        counted: Counts of visited nodes; 0 while a count is in progress.
        where: See :func:`parse_yaml`.
        depth: Nesting depth of the node.
    """
    if id(node) in counted:
        if not counted[id(node)]:
            raise InputError(f"{where}, line {_line(node)}: the value contains itself")
        return counted[id(node)]
    if depth > DEEPEST:
        raise InputError(f"{where} is nested more than {DEEPEST} deep")
    counted[id(node)] = 0
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _refuse_repeats(node, where)
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    count = 1 + sum(_count(child, counted, where, depth + 1) for child in children)
    if count > MOST_VALUES:
        raise InputError(f"{where} contains more than {MOST_VALUES} values")
    counted[id(node)] = count
    return count


def _refuse_repeats(node: yaml.MappingNode, where: str) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if (key.tag, key.value) in seen:
            raise InputError(f"{where}, line {_line(key)}: {key.value!r} appears twice: remove one")
        seen.add((key.tag, key.value))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

"""Changes of values that JSON and YAML hold: types, sizes, keys, nesting."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from random import Random
from typing import Any

import yaml

NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 255, 4096, 65536, 10**6, 2**31, 2**31 - 1, 2**63, -(2**63), 2**64),
    *(int("9" * 40), 0.5, -0.5, 1.5, -0.0, 1e-320, 1e38, 1e39, 1e300, -1e300),
    *(float("nan"), float("inf"), float("-inf")),
)
TEXTS = (
    *("", " ", "a", "cat", "1", "0.5", "NaN", "null", "true", "auto", "none", "-", ".", "..", "/"),
    *("../../x", "/dev/zero", "~", "$HOME", "\0", "\n", "\x1b[31m", "\u2028", "\u202e", "\ud800"),
    *("=1+1", "<b>", "{0}", "%s", "a" * 300, "a" * 70_000, "__class__", "os.system", "lambda: 0"),
)
VALUES: tuple[Any, ...] = (None, True, False, *NUMBERS, *TEXTS, [], {}, [[]], [1, 0], {"a": 1})


def corrupt_tree(rng: Random, tree: Any, words: Sequence[Any] = ()) -> Any:
    """Returns a copy of a tree with one to four changes.

    Args:
        rng: What decides.
        tree: Dictionaries, lists and primitives.
        words: Values that mean something to the reader, which are put in too.
    """
    holder = [copy.deepcopy(tree)]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(rng, holder, words)
    return holder[0]


def _change(rng: Random, holder: list[Any], words: Sequence[Any]) -> None:
    places = _places(holder)
    parent, key = rng.choice(places)
    kind = rng.choice(("value", "value", "near", "drop", "twice", "rename", "wrap", "move", "add"))
    if kind == "value":
        parent[key] = _value(rng, words)
    elif kind == "near":
        parent[key] = _near(rng, parent[key])
    elif kind == "drop" and parent is not holder:
        del parent[key]
    elif kind == "twice" and isinstance(parent, list) and parent is not holder:
        parent.insert(rng.randint(0, len(parent)), parent[key])
    elif kind == "rename" and isinstance(parent, dict):
        parent[_key(rng, words)] = parent.pop(key)
    elif kind == "wrap":
        for _ in range(rng.choice((1, 1, 3, 120))):
            parent[key] = rng.choice(([parent[key]], {"a": parent[key]}))
    elif kind == "move":
        other, where = rng.choice(places)
        if where in (other if isinstance(other, dict) else range(len(other))):
            parent[key] = copy.deepcopy(other[where])
    elif kind == "add":
        inside = parent[key]
        if isinstance(inside, dict):
            inside[_key(rng, words)] = _value(rng, words)
        elif isinstance(inside, list):
            inside.append(_value(rng, words))


def _places(holder: list[Any]) -> list[tuple[Any, Any]]:
    """Every place of a tree, as what holds it and its key there."""
    found: list[tuple[Any, Any]] = []
    left: list[Any] = [holder]
    while left:
        each = left.pop()
        keys = list(each) if isinstance(each, dict) else range(len(each))
        found += [(each, key) for key in keys]
        left += [each[key] for key in keys if isinstance(each[key], dict | list) and each[key]]
    return found


def _value(rng: Random, words: Sequence[Any]) -> Any:
    return copy.deepcopy(rng.choice(words if words and rng.random() < 0.5 else VALUES))


def _key(rng: Random, words: Sequence[Any]) -> str:
    return str(_value(rng, words))


def _near(rng: Random, value: Any) -> Any:
    """A value of the same type, or of one that looks like it."""
    if isinstance(value, bool):
        return rng.choice((not value, int(value), str(value).lower(), "no"))
    if isinstance(value, int | float):
        return rng.choice((value + 1, value - 1, -value, value * 2, str(value), [value], value / 3))
    if isinstance(value, str):
        sign = rng.choice(TEXTS)[:50]
        changed = (value + sign, sign + value, value[1:], value.upper(), [value], value + value)
        return rng.choice(changed)
    if isinstance(value, list):
        return rng.choice((value[::-1], value[1:], value * 2, dict(enumerate(map(str, value)))))
    return rng.choice(VALUES)


def json_bytes(rng: Random, tree: Any) -> bytes:
    """Writes a tree as JSON; halves of surrogate pairs are written as escapes."""
    pairs = rng.random() < 0.02 and isinstance(tree, dict)
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    if pairs and len(text) > 2:  # every key twice
        text = f"{text[:-1]}, {text[1:]}"
    return text.encode("utf-8", "surrogatepass")


def yaml_bytes(rng: Random, tree: Any) -> bytes:
    """Writes a tree as YAML, in one of its styles."""
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=rng.random() < 0.5,
                          default_flow_style=rng.choice((False, None, True)))  # fmt: skip
    return text.encode("utf-8", "surrogatepass")

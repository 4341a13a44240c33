"""Names of files that are not UTF-8, carried through a parser that takes only UTF-8.

Python writes a byte that it cannot decode as half of a surrogate pair, which the parser of options
refuses. On the way through it such a half is a character of the private use area.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_HALVES = range(0xD800, 0xE000)
_HIDDEN = {half: 0x10_0000 + half for half in _HALVES}
_SHOWN = {hidden: half for half, hidden in _HIDDEN.items()}


def hidden(value: Any) -> Any:
    """Returns text, paths, and lists and mappings of these, without halves of surrogate pairs."""
    return _translated(value, _HIDDEN)


def shown(value: Any) -> Any:
    """Returns what :func:`hidden` was given, after it went through the parser."""
    return _translated(value, _SHOWN)


def _translated(value: Any, table: dict[int, int]) -> Any:
    if isinstance(value, str):
        return value.translate(table) if not value.isascii() else value
    if isinstance(value, Path):
        return type(value)(_translated(str(value), table))
    if isinstance(value, dict):
        return {_translated(k, table): _translated(v, table) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_translated(each, table) for each in value)
    return value

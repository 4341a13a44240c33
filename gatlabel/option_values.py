"""Conversion of option values from files and command lines to the types of the options."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from gatlabel.errors import InputError

_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def from_yaml(value: Any, hint: Any) -> Any:
    """Converts a value read from YAML to the type of an annotation.

    YAML reads on, off, yes and no as booleans, a year as a number and ``1e-3`` as text. Values that
    cannot be converted are returned unchanged, for the option's own check.
    """
    kinds = kinds_of(hint)
    if isinstance(value, bool) and bool not in kinds:
        words = ("yes", "on") if value else ("no", "off")
        known = words_of(hint)
        return next((w for w in words if w in known), words[0] if str in kinds else value)
    if isinstance(value, int) and str in kinds and not {int, float} & set(kinds):
        return str(value) if not isinstance(value, bool) else value
    if isinstance(value, str) and not {str, Path} & set(kinds):
        return from_text(value, hint)
    return value


def from_text(text: Any, hint: Any) -> Any:
    """Converts a command-line word to the type of an annotation.

    ``none`` and ``null`` are ``None``; for an option that accepts any text, only ``null`` is.
    Values that cannot be converted are returned unchanged, for the option's own check.
    """
    kinds = kinds_of(hint)
    if not isinstance(text, str) or (get_origin(hint) is not tuple and text in words_of(hint)):
        return text
    textual = bool({str, Path} & set(kinds))
    if type(None) in kinds and (text == "null" or (text == "none" and not textual)):
        return None
    if bool in kinds:
        return _TRUTH.get(text.lower(), text)
    for number in (int, float):
        if number in kinds or (number is int and float in kinds):
            with suppress(ValueError):
                return number(text)
    for kind in kinds:
        if get_origin(kind) is tuple:
            return _items(text, get_args(kind)[0])
    return text


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """Returns the alternative types of an annotation."""
    several = isinstance(hint, UnionType) or get_origin(hint) is Union
    return get_args(hint) if several else (hint,)


def words_of(hint: Any) -> tuple[Any, ...]:
    """Returns the literal values of an annotation, also as items of a tuple."""
    if get_origin(hint) is tuple:
        return words_of(get_args(hint)[0])
    kinds = kinds_of(hint)
    return tuple(word for k in kinds if get_origin(k) is Literal for word in get_args(k))


def _items(text: str, kind: Any) -> Any:
    """Splits ``cat,dog``; in brackets it is a YAML list, whose items may contain commas."""
    if text.startswith("["):
        from gatlabel.yaml_reading import parse_yaml

        try:
            items = parse_yaml(text, "the list")
        except InputError:
            return text
        return tuple(str(i) if kind is str else i for i in items)
    return tuple(from_text(item.strip(), kind) for item in text.split(","))

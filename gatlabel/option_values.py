"""Values of options as files and command lines have them, in the types of the options."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from gatlabel.errors import InputError

_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


def from_yaml(value: Any, hint: Any) -> Any:
    """Turns what YAML made of a value into one of the type that an annotation names.

    YAML reads the words on, off, yes and no as truth values, a year as a number and ``1e-3`` as
    text. What cannot be turned comes back as it is, for the option's own check.
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
    """Turns a word of a command line into a value of the type that an annotation names.

    ``none`` and ``null`` are ``None``; where an option takes any text, ``null`` alone is. What
    cannot be turned comes back as it is, for the option's own check.
    """
    kinds = kinds_of(hint)
    if not isinstance(text, str) or text in words_of(hint):
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
    """Returns the types of which an annotation takes any one."""
    several = isinstance(hint, UnionType) or get_origin(hint) is Union
    return get_args(hint) if several else (hint,)


def words_of(hint: Any) -> tuple[Any, ...]:
    """Returns the words that an annotation takes, also as items of a tuple."""
    if get_origin(hint) is tuple:
        return words_of(get_args(hint)[0])
    kinds = kinds_of(hint)
    return tuple(word for k in kinds if get_origin(k) is Literal for word in get_args(k))


def _items(text: str, kind: Any) -> Any:
    """Splits ``cat,dog``; in brackets it is a list of YAML, whose items may have commas."""
    if text.startswith("["):
        from gatlabel.yaml_reading import parse_yaml

        try:
            items = parse_yaml(text, "the list")
        except InputError:
            return text
        return tuple(str(i) if kind is str else i for i in items)
    return tuple(from_text(item.strip(), kind) for item in text.split(","))

"""Type and range checks for values from files and callers."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path, PurePath
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from gatlabel.errors import InputError, nearest

LARGEST = 2**63 - 1
SHOWN = 60  # maximum length of a wrong value in a message


def shown(value: object) -> str:
    """Returns a value for a message: on one line and of limited length."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return "a number of thousands of digits"
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def first_few(names: Sequence[str], most: int = 10) -> str:
    """Returns names for a message: the first ones, and an ellipsis if there are more."""
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


def whole_number(value: Any, what: str, least: int = -LARGEST, most: int = LARGEST) -> int:
    """Returns an integer as an ``int``; booleans, texts and floats are refused.

    Args:
        value: The value.
        what: Name of the value for the error message: ``"image_size"``, ``"a.json: image_size"``.
        least: Minimum.
        most: Maximum.

    Raises:
        InputError: If it is not an integer, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{what}={shown(value)}: give a whole number")
    _refuse_outside(int(value), value, what, least, most)
    return int(value)


def finite_number(value: Any, what: str, least: float = -math.inf, most: float = math.inf) -> float:
    """Returns a finite number; booleans and texts are refused.

    Args:
        value: The value.
        what: Name of the value for the error message.
        least: Minimum.
        most: Maximum.

    Raises:
        InputError: If it is not a finite number, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{what}={shown(value)}: give a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{what}={shown(value)}: give a finite number")
    _refuse_outside(number, value, what, least, most)
    return number


def three_numbers(value: Any, name: str, *, above_zero: bool = False) -> tuple[float, ...]:
    """Reads mean or standard deviation of the three channels.

    Raises:
        InputError: If it is not a list of three finite numbers, or one is out of range.
    """
    if not isinstance(value, list) or len(value) != 3:
        raise InputError(f"{name}={shown(value)}: give three numbers, one per channel")
    least = 1e-6 if above_zero else -1e3
    return tuple(finite_number(item, name, least, 1e3) for item in value)


def truth_value(value: Any, what: str) -> bool:
    """Returns ``True`` or ``False``; numbers and texts are refused.

    Raises:
        InputError: If it is something else.
    """
    if not isinstance(value, bool):
        raise InputError(f"{what}={shown(value)}: give true or false")
    return value


def line_of_text(value: Any, what: str) -> str:
    """Returns a text without NUL characters, which file names cannot contain.

    Raises:
        InputError: If it is something else.
    """
    if not isinstance(value, str):
        raise InputError(f"{what}={shown(value)}: give a text")
    if "\0" in value:
        raise InputError(f"{what}={shown(value)}: contains a NUL character")
    return value


def of_type(value: Any, what: str, hint: Any) -> Any:
    """Converts a value to the type of an annotation: a plain Python number, tuple or path.

    Args:
        value: The value.
        what: Name of the value for the error message.
        hint: ``int``, ``float``, ``bool``, ``str``, ``Path``, ``None``, a ``Literal``, a tuple of
            these, or several with ``|`` between.

    Raises:
        InputError: If it has none of these types.
    """
    options = (
        get_args(hint) if isinstance(hint, UnionType) or get_origin(hint) is Union else (hint,)
    )
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    reasons: list[str] = []
    for option in options:
        try:
            return _of_kind(value, what, option)
        except InputError as error:
            reasons.append(str(error))
    # every message names the expected type; the first also has the value
    more = "".join(f", or {reason.rpartition(': give ')[2]}" for reason in reasons[1:])
    raise InputError(reasons[0] + more)


def _of_kind(value: Any, what: str, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        known = get_args(kind)
        if not isinstance(value, str) or value not in known:
            hint = nearest(value, known) if isinstance(value, str) else ""
            raise InputError(f"{what}={shown(value)}: give {' or '.join(map(str, known))}{hint}")
        return value
    if get_origin(kind) is tuple:
        return _tuple(value, what, get_args(kind))
    if kind is Path:
        return Path(line_of_text(os.fspath(value) if isinstance(value, PurePath) else value, what))
    if kind is int:
        return whole_number(value, what)
    if kind is float:
        number = finite_number(value, what)
        return value if isinstance(value, int) else number  # an integer stays an integer in files
    return truth_value(value, what) if kind is bool else line_of_text(value, what)


def _tuple(value: Any, what: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{what}={shown(value)}: give a list")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise InputError(f"{what}={shown(value)}: give {len(kinds)} values")
    each = kinds if kinds[-1] is not Ellipsis else kinds[:1] * len(value)
    return tuple(of_type(item, what, kind) for item, kind in zip(value, each, strict=True))


def _refuse_outside(number: float, value: Any, what: str, least: float, most: float) -> None:
    if number < least:
        raise InputError(f"{what}={shown(value)}: must be at least {least}")
    if number > most:
        raise InputError(f"{what}={shown(value)}: must be at most {most}")

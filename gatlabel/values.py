"""Whether a value that came from a file or a caller is of its type and in its range."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from gatlabel.errors import InputError

SHOWN = 60  # characters of a wrong value that a message repeats


def shown(value: object) -> str:
    """Returns a value as a message shows it: on one line, and not too long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print whole numbers of thousands of digits
        return "a number of thousands of digits"
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def whole_number(value: Any, what: str, least: int, most: int) -> int:
    """Returns a whole number as an ``int``; no truth value, text or float is one.

    Args:
        value: The value.
        what: What it is, for the error message: ``"image_size"``, ``"a.json: image_size"``.
        least: The smallest it may be.
        most: The largest it may be.

    Raises:
        InputError: If it is none, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{what}={shown(value)}: give a whole number")
    return int(_in_range(int(value), what, least, most))


def finite_number(
    value: Any, what: str, least: float = -math.inf, most: float = math.inf
) -> float:
    """Returns a finite number; no truth value or text is one.

    Args:
        value: The value.
        what: What it is, for the error message.
        least: The smallest it may be.
        most: The largest it may be.

    Raises:
        InputError: If it is none, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{what}={shown(value)}: give a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{what}={shown(value)}: give a finite number")
    _in_range(number, what, least, most)
    return number


def truth_value(value: Any, what: str) -> bool:
    """Returns ``True`` or ``False``; no number and no text is one.

    Raises:
        InputError: If it is something else.
    """
    if not isinstance(value, bool):
        raise InputError(f"{what}={shown(value)}: give true or false")
    return value


def line_of_text(value: Any, what: str) -> str:
    """Returns a text without NUL characters, which no file name can hold.

    Raises:
        InputError: If it is something else.
    """
    if not isinstance(value, str):
        raise InputError(f"{what}={shown(value)}: give a text")
    if "\0" in value:
        raise InputError(f"{what}={shown(value)}: holds a NUL character")
    return value


def _in_range(value: float, what: str, least: float, most: float) -> float:
    if value < least:
        raise InputError(f"{what}={shown(value)}: must be at least {least:g}")
    if value > most:
        raise InputError(f"{what}={shown(value)}: must be at most {most:g}")
    return value

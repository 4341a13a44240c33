"""Errors that a caller can act on, and the import of optional dependencies."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType

MOST = 100  # choices that a message lists


class InputError(ValueError):
    """Invalid input: the message names the file, row, label or option and the remedy.

    The command line prints it as one line and exits with code 2.
    """


class MissingExtraError(InputError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""


class Interrupted(KeyboardInterrupt):
    """A command was interrupted and has saved its work.

    It is a :class:`KeyboardInterrupt`, so that no ``except Exception`` catches it. The command line
    prints the message as one line and exits with the code.

    Args:
        message: What was interrupted, and how to resume.
        exit_code: 130 after an interrupt from the keyboard, 143 after SIGTERM.
    """

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def nearest(name: str, choices: Iterable[str]) -> str:
    """Returns ``"; did you mean 'x'?"`` for the closest choice, or an empty string."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown_choice(kind: str, name: str, choices: Iterable[str]) -> InputError:
    """Builds the error for a name that is not among the choices.

    Args:
        kind: Description of the choice (``"graph variant"``).
        name: The given name.
        choices: The available names.
    """
    known = sorted(choices)
    more = f" and {len(known) - MOST} more" if len(known) > MOST else ""
    hint = nearest(name, known) or f"; choose from {', '.join(known[:MOST])}{more}"
    return InputError(f"unknown {kind} {name!r}{hint}")


def first_line(error: Exception) -> str:
    """Returns the first line of another library's message, or the error's name if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def require_extra(module: str, extra: str) -> ModuleType:
    """Imports an optional dependency.

    Args:
        module: Name of the module to import.
        extra: The extra of gatlabel that installs it.

    Raises:
        MissingExtraError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"{module} is not installed; install it with: pip install 'gatlabel[{extra}]'"
        ) from error

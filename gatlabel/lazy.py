"""Lazy packages: the public names of a package import their modules on first use.

A package lists its names once, as ordinary imports that only type checkers and editors execute::

    if TYPE_CHECKING:
        from gatlabel.losses.bce import BCELoss
    else:
        __getattr__, __dir__ = lazy_names(__name__)

    __all__ = ["BCELoss"]

This is PEP 562 as in ``lazy_loader`` (SPEC 1 of Scientific Python), without its second file.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any


def lazy_names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Creates the ``__getattr__`` and ``__dir__`` of a package with lazy names.

    A public name must differ from all submodule names: importing the submodule would replace it.

    Args:
        package: The ``__name__`` of the package.
    """

    @cache
    def modules() -> dict[str, str]:
        return imported_names(package)

    def get(name: str) -> Any:
        if name not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules()[name]), name)
        setattr(sys.modules[package], name, value)  # found without this function afterwards
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules()})

    return get, names


def imported_names(package: str) -> dict[str, str]:
    """Returns name -> module of the imports under ``if TYPE_CHECKING`` in a package's source."""
    spec = find_spec(package)
    source = getattr(spec.loader, "get_source", lambda _: None)(package) if spec else None
    if source is None:
        raise ImportError(f"the source of {package} is missing: its names are read from it")
    return {
        alias.name: line.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for line in block.body
        if isinstance(line, ast.ImportFrom) and line.module
        for alias in line.names
    }

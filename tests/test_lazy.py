"""Packages are lazy: their names load when they are used, and all of them are there."""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gatlabel
from gatlabel.lazy import imported_names, lazy_names

PACKAGES = [
    "gatlabel",
    *(m.name for m in pkgutil.walk_packages(gatlabel.__path__, "gatlabel.") if m.ispkg),
]
LAZY = [name for name in PACKAGES if name not in ("gatlabel.cli", "gatlabel.baselines")]


@pytest.mark.parametrize("name", LAZY)
def test_every_public_name_is_there(name: str) -> None:
    package = importlib.import_module(name)
    assert sorted(package.__all__) == sorted(set(package.__all__))
    for public in package.__all__:
        assert getattr(package, public) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


@pytest.mark.parametrize("name", LAZY)
def test_public_names_are_the_imported_ones(name: str) -> None:
    package = importlib.import_module(name)
    assert set(package.__all__) - {"__version__"} == set(imported_names(name))


@pytest.mark.parametrize("name", PACKAGES)
def test_no_public_name_is_that_of_a_submodule(name: str) -> None:
    """Whoever imports the submodule would put it in the place of the function or class."""
    package = importlib.import_module(name)
    submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not submodules & set(getattr(package, "__all__", ()))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with one lazy name of a module that counts how often it is loaded."""
    folder = tmp_path / "lazy_example"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from gatlabel.lazy import lazy_names\n"
        "if TYPE_CHECKING:\n"
        "    from lazy_example.shapes import Circle\n"
        "else:\n"
        "    __getattr__, __dir__ = lazy_names(__name__)\n"
        "__all__ = ['Circle']\n"
    )
    (folder / "shapes.py").write_text("class Circle: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "lazy_example"
    for name in ("lazy_example", "lazy_example.shapes"):
        sys.modules.pop(name, None)


def test_a_name_loads_its_module_when_it_is_first_used(package: str) -> None:
    example = importlib.import_module(package)
    assert "lazy_example.shapes" not in sys.modules
    assert "Circle" in dir(example)
    assert "lazy_example.shapes" not in sys.modules
    circle = example.Circle
    assert circle is sys.modules["lazy_example.shapes"].Circle
    assert vars(example)["Circle"] is circle  # the second use asks nobody


def test_a_star_import_takes_every_public_name(package: str) -> None:
    names: dict[str, object] = {}
    exec(f"from {package} import *", names)
    assert isinstance(names["Circle"], type)


def test_a_package_without_source_is_reported(package: str) -> None:
    example = importlib.import_module(package)
    assert example.__spec__ is not None
    example.__spec__.loader = object()  # type: ignore[assignment]
    get, _ = lazy_names(package)
    with pytest.raises(ImportError, match="the source of lazy_example is missing"):
        get("Circle")

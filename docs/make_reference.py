"""Writes the generated pages of the manual: options, public names, and the list of all pages.

    python docs/make_reference.py            # make docs
    python docs/make_reference.py --check    # exit code 1 if a page is not current

Options come from the dataclasses of ``options.py`` files, names from the packages' ``__all__``.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gatlabel
from gatlabel.experiments.config import BenchmarkConfig
from gatlabel.multitask.config import MultiTaskConfig, TaskOptions
from gatlabel.option_values import words_of
from gatlabel.options import Leaf, Options, leaves
from gatlabel.training.config import TrainConfig

HERE = Path(__file__).resolve().parent
BENCHMARK = set(BenchmarkConfig.__dataclass_fields__) - {"kind", "train"}
NOTE = "<!-- Written by `make docs` from the code. Do not edit. -->\n"


def options_page() -> str:
    """Returns the reference of options, a section per part."""
    lines = [
        "# Reference of options\n",
        NOTE,
        "Options of `gatlabel train`, by part. On the command line an option is `--PART.NAME`, "
        "with `-` for `_`. Some have a short name too. In YAML and Python it is `PART.NAME` "
        "([how](training.md#options)). *For* names the choices that have an option. A default of "
        "none leaves it open.\n",
    ]
    for part in dataclasses.fields(TrainConfig):
        lines += [f"## {part.name}\n", *_section(part.metadata["help"], _below(part.name))]
    lines += [
        "## tasks\n",
        "A config file with a list `tasks` trains [several tasks](multi-task.md) on one encoder. "
        "Each task has the parts `data`, `graph`, `head`, `loss`, `missing`, `distillation` and "
        "`decision` above, and options of its own:\n",
        *_table([leaf for leaf in leaves(TaskOptions) if _is_own(leaf)]),
        "Beside `tasks` there are the parts `images`, `encoder`, `optimizer` and `run`, and:\n",
        *_table([leaf for leaf in leaves(MultiTaskConfig) if _is_of_tasks(leaf)]),
        "## benchmark\n",
        "`gatlabel benchmark graphs` and `heads` take the data, images, encoder and training parts "
        "above, and options of their own, without a part.\n",
        *_table([leaf for leaf in leaves(BenchmarkConfig) if leaf.path in BENCHMARK]),
    ]
    return "\n".join(lines)


def _is_own(leaf: Leaf) -> bool:
    """Whether an option of a task is in no part that a run with one task has too."""
    return "." not in leaf.path and leaf.path not in TrainConfig.__dataclass_fields__


def _is_of_tasks(leaf: Leaf) -> bool:
    """Whether only runs with several tasks have an option; those of a head are listed above."""
    first = leaf.path.partition(".")[0]
    return first not in TrainConfig.__dataclass_fields__ and leaf.path.count(".") < 2


def _below(part: str) -> list[Leaf]:
    return [leaf for leaf in leaves(TrainConfig) if leaf.path.partition(".")[0] == part]


def _section(help: str, found: list[Leaf]) -> Iterator[str]:
    yield f"{help}\n"
    for leaf in found:
        choices: dict[str, type[Options]] = leaf.field.metadata.get("choices", {})
        if choices:
            yield f"`{leaf.path}` is one of:\n"
            yield "| name | what it is |\n|---|---|"
            for name, kind in choices.items():
                yield f"| `{name}` | {_cell(_first_line(kind))} |"
            yield ""
    yield from _table([leaf for leaf in found if "choices" not in leaf.field.metadata])


def _table(found: list[Leaf]) -> Iterator[str]:
    """One row per option; groups of a choice share it if help and default are equal."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for leaf in found:
        help, short = leaf.field.metadata["help"], leaf.field.metadata.get("short")
        words = ", ".join(f"`{word}`" for word in words_of(leaf.hint))
        name = f"`{leaf.path}`" + (f", `--{short}`" if short else "")
        meaning = f"{help} One of {words}." if words else help
        rows.setdefault((name, _default(leaf), _cell(meaning)), []).extend(leaf.names)
    if rows:
        yield "| option | default | for | meaning |\n|---|---|---|---|"
    for (name, default, meaning), names in rows.items():
        yield f"| {name} | {default} | {', '.join(names)} | {meaning} |"
    yield ""


def _default(leaf: Leaf) -> str:
    value = leaf.field.default
    if value is None or value is dataclasses.MISSING:
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(map(str, value))}`"
    return _cell(f"`{value.as_posix() if isinstance(value, Path) else value}`")


def names_page() -> str:
    """Returns the public names of all packages, with the first line of their documentation.

    A name that a package only passes on to its parent is listed with the parent.
    """
    listed: set[int] = set()
    lines = [
        "# Reference of public names\n",
        NOTE,
        "What each package exports. `help(NAME)` has arguments, shapes, errors and sources.\n",
    ]
    for package in _packages():
        names = [name for name in package.__all__ if id(getattr(package, name)) not in listed]
        if package is not gatlabel:  # its names are listed where they are defined, too
            listed |= {id(getattr(package, name)) for name in names}
        if not names:
            continue
        lines += [f"## {package.__name__}\n", f"{_first_line(package)}\n"]
        lines += ["| name | kind | what it is |\n|---|---|---|"]
        for name in sorted(names, key=str.lower):
            thing = getattr(package, name)
            kind = _kind(thing)
            text = _cell(_first_line(thing)) if kind in ("class", "function") else ""
            lines.append(f"| `{name}` | {kind} | {text} |")
        lines.append("")
    return "\n".join(lines)


def _packages() -> Iterator[ModuleType]:
    yield gatlabel
    for found in pkgutil.walk_packages(gatlabel.__path__, "gatlabel."):
        if found.ispkg and not any(part.startswith("_") for part in found.name.split(".")):
            package = importlib.import_module(found.name)
            if getattr(package, "__all__", None):
                yield package


def _kind(thing: Any) -> str:
    if inspect.isclass(thing):
        return "class"
    return "function" if callable(thing) else type(thing).__name__


def _first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def _cell(text: str) -> str:
    """A cell of a table: no line breaks or bars, and Sphinx's roles as plain code."""
    for role in ("class", "func", "data", "meth", "mod", "attr"):
        text = text.replace(f":{role}:`~", f":{role}:`").replace(f":{role}:`", "`")
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def list_page() -> str:
    """Returns the list of all pages by title."""
    lines = ["# All pages\n", NOTE]
    for heading, folder in (("Manual", HERE), ("Studies", HERE / "studies")):
        pages = {_title(path): path for path in folder.glob("*.md") if path.name != LIST}
        lines += [f"## {heading}\n", "| page |\n|---|"]
        for title in sorted(pages, key=str.lower):
            lines.append(f"| [{title}]({pages[title].relative_to(HERE).as_posix()}) |")
        lines.append("")
    return "\n".join(lines)


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


LIST = "all-pages.md"
PAGES = {"reference-options.md": options_page, "reference-names.md": names_page, LIST: list_page}


def main() -> int:
    """Writes the pages, or compares them with what is there."""
    stale = []
    for name, page in PAGES.items():
        text = page()
        if "--check" in sys.argv:
            if (HERE / name).read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            (HERE / name).write_text(text, encoding="utf-8")
    if stale:
        print(f"not current: {', '.join(stale)}; run make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

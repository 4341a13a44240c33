"""The import rules: rooms import only rooms before them."""

import ast
from functools import cache
from pathlib import Path

import networkx
import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gatlabel"

# Each room may import itself and the rooms before it.
ROOMS = [
    ["errors", "interruptions", "lazy"],
    ["devices", "disk_faults", "logs", "memory", "values"],
    ["atomic", "printing", "reading"],
    ["yaml_reading", "array_reading", "files"],
    ["option_values"],
    ["options", "signatures"],
    ["csv_files", "folder_lock"],
    ["labels"],
    ["batch", "target_values", "masking", "targets"],
    ["graph"],
    ["nn"],
    ["losses", "metrics"],
    ["decisions"],
    ["saving", "encoders", "tasks", "tasks", "model"],
    ["data"],
    ["inference", "features", "baselines", "missing"],
    ["engine"],
    ["explain", "report"],
    ["deploy"],
    ["training", "multitask", "pretraining", "fewshot", "active"],
    ["experiments"],
    ["cli"],
]
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "gatlabel":
                found |= {f"gatlabel.{alias.name}" for alias in node.names}
    return found


def type_only(path: Path) -> set[str]:
    """Modules imported under ``if TYPE_CHECKING`` anywhere in a file; those of a face are used."""
    if path.name == "__init__.py":  # its public names, which load when they are used
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for inner in ast.walk(node):
                if isinstance(inner, ast.ImportFrom) and inner.module:
                    found.add(inner.module)
    return found


def files_of(room: str) -> dict[str, Path]:
    """The files of a room by their modules; a package's face, its ``__init__``, is none."""
    paths = [*(PACKAGE / room).rglob("*.py"), *PACKAGE.glob(f"{room}.py")]
    parts = {path: path.relative_to(PACKAGE.parent).with_suffix("").parts for path in paths}
    return {".".join(names): path for path, names in parts.items() if names[-1] != "__init__"}


@cache
def homes(module: str, name: str) -> set[str]:
    """The modules that a name comes from: a face hands on the names of other files."""
    face = PACKAGE.joinpath(*module.split(".")[1:], "__init__.py")
    if not face.is_file():
        return {module}
    found = {f"{module}.{name}"}
    for node in ast.walk(ast.parse(face.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            found.add(node.module or "")
    return found


def needed(path: Path) -> set[str]:
    """The modules of the package whose names a file imports anywhere, if only for their types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gatlabel"):
            found |= {home for a in node.names for home in homes(node.module or "", a.name)}
    return found


def circles_of(files: dict[str, Path]) -> list[list[str]]:
    imports = networkx.DiGraph((one, two) for one, path in files.items() for two in needed(path))
    inside = networkx.strongly_connected_components(imports.subgraph(files))
    return sorted(sorted(circle) for circle in inside if len(circle) > 1)


@pytest.mark.parametrize("room", sorted(RANK))
def test_no_file_of_a_room_imports_itself_by_way_of_others(room: str) -> None:
    assert circles_of(files_of(room)) == []


def test_packages_of_a_row_import_only_packages_to_their_left() -> None:
    """Imports for a type only are imports too."""
    place = {room: number for number, room in enumerate(room for row in ROOMS for room in row)}
    found = [
        f"{module} imports {other}"
        for room in place
        for module, path in files_of(room).items()
        for other in needed(path)
        if place.get(room_of(other), -1) > place[room]
    ]
    assert found == []


def test_circles_are_found(tmp_path: Path) -> None:
    """Also through a face, inside a function and for a type only."""
    texts = {
        "gatlabel.graph.one": "def f():\n    from gatlabel.graph import LabelGraph",
        "gatlabel.graph.label_graph": "if TYPE_CHECKING:\n    from gatlabel.graph.one import f",
        "gatlabel.graph.three": "import gatlabel.graph.one",
    }
    files = {name: tmp_path / f"{name}.py" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text, encoding="utf-8")
    assert circles_of(files) == [["gatlabel.graph.label_graph", "gatlabel.graph.one"]]


@pytest.mark.parametrize(
    "path", [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE or p.stem in RANK]
)
def test_rooms_import_only_rooms_before_them(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in RANK, f"{own} has no place in DESIGN's table of rooms"
    for module in imported(path) - type_only(path):
        if module.startswith("gatlabel.") and room_of(module) != "__version__":
            assert RANK[room_of(module)] <= RANK[own], f"{own} imports {module}"

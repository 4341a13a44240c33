"""The import rules: rooms import only rooms before them, and what is light stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gatlabel"

# Each room may import itself and the rooms before it.
ROOMS = [
    ["errors", "interruptions"],
    ["disk_faults", "values"],
    ["atomic", "printing", "reading"],
    ["yaml_reading", "array_reading", "files"],
    ["option_values"],
    ["options"],
    ["csv_files", "folder_lock"],
    ["labels"],
    ["graph"],
    ["nn"],
    ["losses", "metrics"],
    ["saving", "encoders", "model_file", "model"],
    ["data"],
    ["decisions"],
    ["features", "baselines", "missing"],
    ["deploy"],
    ["explain", "report"],
    ["training"],
    ["experiments"],
    ["cli"],
]
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms}
HEAVY = {"torch_geometric", "lightning", "torchmetrics", "torchvision", "matplotlib", "timm"}


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
    """Modules imported under ``if TYPE_CHECKING`` anywhere in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for inner in ast.walk(node):
                if isinstance(inner, ast.ImportFrom) and inner.module:
                    found.add(inner.module)
    return found


@pytest.mark.parametrize(
    "path", [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE or p.stem in RANK]
)
def test_rooms_import_only_rooms_before_them(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in RANK, f"{own} has no place in DESIGN's table of rooms"
    for module in imported(path) - type_only(path):
        if module.startswith("gatlabel.") and room_of(module) != "__version__":
            assert RANK[room_of(module)] <= RANK[own], f"{own} imports {module}"


@pytest.mark.parametrize(
    "statement",
    [
        "import gatlabel",
        "from gatlabel import LabelSet, Cooccurrence, LabelGraph",
        "from gatlabel.nn import GATHead",
        "import gatlabel.losses",
        "import gatlabel.metrics",
        "import gatlabel.data",
    ],
)
def test_light_imports_load_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(out.stdout.split())


def test_every_public_name_of_the_package_is_there() -> None:
    import gatlabel

    for name in gatlabel.__all__:
        assert getattr(gatlabel, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        gatlabel.Nothing  # noqa: B018

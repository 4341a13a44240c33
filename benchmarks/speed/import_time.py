"""CPU time of imports and commands as a multiple of that of `import torch`, in fresh interpreters.

    python benchmarks/speed/import_time.py [--quick]

Each round runs `import torch`, then every row; the figure is the median of the ratios within a
round. Writes benchmarks/results/import-time.json.
"""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gatlabel.files import write_json

RESULTS = Path(__file__).parent.parent / "results" / "import-time.json"
ROUNDS = 11
START = 0.3  # times `import torch`: at most this before a help, a version or a mistake is printed
TORCH = 1.25  # for what needs torch
IMPORTS = {
    "import gatlabel": START,
    "from gatlabel.nn import GATHead": TORCH,
    "from gatlabel.losses import BCELoss": TORCH,
    "from gatlabel.metrics import f1_scores": TORCH,
    "from gatlabel.graph import Cooccurrence, LabelGraph": TORCH,
}
COMMANDS = [
    "--help",
    "--version",
    "train --help",
    "evaluate --help",
    "predict --help",
    "export --help",
    "explain --help",
    "graph --help",
    "graph build --help",
    "benchmark --help",
    "benchmark graphs --help",
    "benchmark heads --help",
    "benchmark summary --help",
    "predict run photo.jpg --treshold 0.5",
]


def command(words: list[str]) -> str:
    return f"from gatlabel.cli import main; main({words!r})"


def cpu_seconds(statement: str) -> float:
    """User and system time of a fresh interpreter that runs one statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def bundle(folder: Path) -> list[str]:
    """An exported model and an image, as the words of the command that labels it."""
    from PIL import Image

    from gatlabel import MultiLabelClassifier
    from gatlabel.deploy import export_model

    model = MultiLabelClassifier.create(
        "shufflenet_v2_x0_5", "linear", labels=["cat", "dog"], weights=None, image_size=96
    )
    export_model(model.eval(), folder / "bundle", format="onnx")
    Image.new("RGB", (500, 375), (200, 90, 10)).save(folder / "photo.jpg")
    return ["predict", str(folder / "bundle"), str(folder / "photo.jpg")]


def measured(statements: dict[str, str], rounds: int) -> dict[str, list[float]]:
    """The ratios of each statement to `import torch`, one per round."""
    for statement in ("import torch", *statements.values()):
        cpu_seconds(statement)  # fills the file cache
    ratios: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(rounds):
        torch_seconds = cpu_seconds("import torch")
        for name, statement in statements.items():
            ratios[name].append(cpu_seconds(statement) / torch_seconds)
    return ratios


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    labelling = "gatlabel predict, an ONNX bundle and an image"
    limits: dict[str, float] = dict(IMPORTS)
    statements = {name: name for name in IMPORTS}
    for words in COMMANDS:
        limits[f"gatlabel {words}"] = START
        statements[f"gatlabel {words}"] = command(words.split())
    with tempfile.TemporaryDirectory() as folder:
        statements[labelling] = command(bundle(Path(folder)))
        found = measured(statements, 3 if quick else ROUNDS)
    rows: list[dict[str, Any]] = []
    for name, ratios in found.items():
        row = {"row": f"{name}, times import torch", "value": statistics.median(ratios)}
        row |= {"spread": [min(ratios), max(ratios)], "unit": "×"}
        rows.append(row | ({"limit": limits[name]} if name in limits else {}))
        late = "" if row["value"] <= limits.get(name, TORCH) else "  above the limit"
        print(f"{row['value']:6.3f}  {name}{late}")
    if not quick:
        import torch

        versions = {"python": platform.python_version(), "torch": torch.__version__}
        machine = f"{os.cpu_count()} cores, {platform.machine()}"
        write_json(RESULTS, {"rows": rows, "machine": machine, "versions": versions})


if __name__ == "__main__":
    main()

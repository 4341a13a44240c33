"""A small CSV file whose columns are targets of four tasks, with empty cells in turn."""

from pathlib import Path

from gatlabel.multitask import MultiTaskConfig
from tests.colours import write_colours

TASKS = (
    {"name": "things", "kind": "multilabel", "column": "labels"},
    {"name": "kind", "kind": "multiclass", "column": "kind"},
    {"name": "count", "kind": "regression", "column": "count"},
    {"name": "order", "kind": "sequence", "column": "order"},
)


def write_table(root: Path) -> Path:
    """Writes 24 images and tasks.csv; returns the folder."""
    write_colours(root)
    lines = ["image,split,labels,kind,count,order"]
    for number, line in enumerate((root / "labels.csv").read_text().splitlines()[1:]):
        image, split, cell = line.split(",")
        names = cell.split("|") if cell else []
        labels = (cell or "|") if number % 3 else ""
        kind = ("many" if len(names) > 1 else "few") if number % 3 != 1 else ""
        count = str(len(names)) if number % 3 != 2 else ""
        order = "|".join(reversed(names)) or "|"
        lines.append(",".join([image, split, labels, kind, count, order]))
    (root / "tasks.csv").write_text("\n".join(lines) + "\n")
    return root


def options(root: Path, output: Path, **others) -> dict:
    """Options of a run of seconds, with others by dotted names."""
    return {
        "tasks": [dict(task) for task in TASKS],
        "data": {"name": "csv", "root": str(root), "annotations": "tasks.csv"},
        "encoder.backbone": "shufflenet_v2_x0_5",
        "encoder.weights": "none",
        "images.size": 32,
        "run.epochs": 2,
        "run.batch_size": 8,
        "run.progress": False,
        "run.workers": 0,
        "run.output": str(output),
        **others,
    }


def config(root: Path, output: Path, **others) -> MultiTaskConfig:
    """The same as a config."""
    return MultiTaskConfig().with_options(options(root, output, **others))

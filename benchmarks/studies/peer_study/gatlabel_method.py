"""gatlabel's own command, with its defaults and a time limit."""

from __future__ import annotations

import contextlib
import importlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from peer_study.clock import Clock
from peer_study.sets import write_table
from peer_study.task import Fitted, Scores, Task

#: Imported before the clock starts: time counts from the end of start-up.
START_UP = (
    "gatlabel.cli.train", "gatlabel.training.run", "gatlabel.report", "lightning", "timm",
    "matplotlib.figure", "rich", "torchmetrics", "sentence_transformers",
)  # fmt: skip


# user: begin default
def command(root, table, classes, seconds, folder):  # type: ignore[no-untyped-def]
    return (
        f"train --data csv --root {root} --data.annotations {table} --data.classes {classes} "
        f"--time {seconds}"
    )


# user: end


def words(task: Task, head: str | None) -> list[str]:
    """Returns the command of a cell: what the user writes, and what the study adds to it.

    Added are the run folder and the seed.
    """
    table = task.folder / "table.csv"
    write_table(table, ("image", "split", "labels"), task.rows())
    classes = task.folder / "classes.txt"
    classes.write_text("\n".join(task.data.labels) + "\n", encoding="utf-8")
    seconds = f"{task.seconds:.1f}"
    said = command(*map(str, (task.data.root, table, classes, seconds, task.folder)))
    added = {
        "output": task.folder / "run",
        "seed": task.seed,
        "workers": 0,
        "progress": "false",
    }
    if head is not None:
        added["head"] = head
    if task.size:
        added["image-size"] = task.size
    return [
        *said.split(" "),
        *(w for name, value in added.items() for w in (f"--{name}", str(value))),
    ]


def start_up() -> None:
    """Imports what a run imports."""
    for name in START_UP:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def fit_gatlabel(head: str | None = None) -> Callable[[Task, Clock], Fitted]:
    """Returns what runs ``gatlabel train``, with another head than the default if one is given."""

    def fit(task: Task, clock: Clock) -> Fitted:
        from gatlabel.cli import main
        from gatlabel.model import MultiLabelClassifier

        if any(" " in str(path) for path in (task.data.root, task.folder)):
            raise SystemExit("the folders of the study must have no space in their names")
        said = words(task, head)
        told = io.StringIO()
        # The cache lies in the current folder: no run is given the features of another one. The
        # time limit is of processor seconds, as for all methods, not of a machine that others use.
        clock_of_run = mock.patch("time.perf_counter", time.process_time)
        with contextlib.redirect_stdout(told), contextlib.chdir(task.folder), clock_of_run:
            code = main(said)
        if code != 0:
            raise SystemExit(f"gatlabel {' '.join(said)}: exit code {code}\n{told.getvalue()}")
        model = MultiLabelClassifier.from_pretrained(task.folder / "run")
        notes: dict[str, Any] = {"chosen size": model.image_size, **_chosen(task.folder / "run")}
        return Fitted(lambda: _scores(model, task), notes)

    return fit


def _chosen(run: Path) -> dict[str, Any]:
    """What the run resolved, of what a reader of the table may want to know."""
    from gatlabel.training.run_folder import RunFolder

    config = RunFolder(run).read_config()
    return {
        "recipe": config.recipe.name,
        "head": config.head.name,
        "freeze": config.encoder.freeze,
        "epochs": config.run.epochs,
        "start": getattr(config.head, "start", None),
        "similarity": getattr(config.head, "similarity", None),
    }


def _scores(model: Any, task: Task) -> Scores:
    from gatlabel.data import FileImages
    from gatlabel.inference import predict_logits
    from gatlabel.labels import LabelSet

    data = task.data
    names = [data.names[k] for k in data.test]
    source = FileImages(data.root, LabelSet(model.labels), names, data.present[data.test])
    return predict_logits(model, source).numpy()

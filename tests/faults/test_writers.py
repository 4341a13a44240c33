"""Everything that writes a file: what the system refuses is one line, and the old file stays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel import features
from gatlabel.data import read_csv
from gatlabel.data.disk_cache import DiskCache
from gatlabel.data.scenes import contact_sheet, read_scenes
from gatlabel.deploy import export_model
from gatlabel.errors import InputError
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.records import Run
from gatlabel.experiments.store import Store
from gatlabel.explain import EdgeExplanation, GraphExplanation
from gatlabel.features import extract
from gatlabel.files import write_json
from gatlabel.graph import Cooccurrence
from gatlabel.labels import LabelSet
from gatlabel.report import write_report
from gatlabel.training import TrainConfig
from gatlabel.training.run_folder import RunFolder
from tests.deploy import models
from tests.faults.limits import file_size_limit
from tests.report import content

COUNTS = Cooccurrence.from_targets(np.eye(40, dtype=int), [f"label {k}" for k in range(40)])
GRAPH = COUNTS.graph("complete")
DRAWN = Cooccurrence.from_targets(np.ones((1, 3), int), ["a", "b", "c"]).graph("complete")
EDGES = tuple(EdgeExplanation("a", "b", *[0.5] * 6) for _ in range(40))


def write_curves(path: Path) -> None:
    write_json(path.with_name("config.yaml"), {})
    folder = RunFolder(path.parent)
    folder.curves = path
    folder.write_curves([{"epoch": k, "train_loss": 0.5} for k in range(200)])


def add_run(path: Path) -> None:
    store = Store(path.parent)
    run = Run(Method("gat", "npmi"), Condition(1.0, 0.0), 0, {"mAP": 0.5})
    path.parent.mkdir(exist_ok=True)
    store.add_run(run, np.random.default_rng(0).random((100, 10), np.float32))


WRITERS: dict[str, Callable[[Path], object]] = {
    "labels.txt": lambda path: LabelSet([f"label {k}" for k in range(200)]).save(path),
    "counts.json": COUNTS.save,
    "graph.json": GRAPH.save,
    "graph.png": DRAWN.draw,
    "graph.svg": DRAWN.draw,
    "graph.pdf": DRAWN.draw,
    "config.yaml": lambda path: TrainConfig().save(path),
    "metrics.csv": write_curves,
    "report.html": lambda path: write_report(content.make(), path),
    "explanation.csv": lambda path: GraphExplanation(("a", "b"), EDGES).save(path),
    "sheet.png": lambda path: contact_sheet(read_scenes(train=4, val=1, test=1).train, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_cannot_be_written_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("old")
    with (
        file_size_limit(600),
        pytest.raises(InputError, match=f"^cannot write {path}: File too large$"),
    ):
        WRITERS[name](path)
    assert path.read_text() == "old"
    assert not list(tmp_path.glob(".*"))
    WRITERS[name](path)  # and it is the limit that the test has met
    assert path.stat().st_size > 600


def test_a_model_that_cannot_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    models.make("gat").save_pretrained(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    torch.manual_seed(1)
    weights = tmp_path / "model.safetensors"
    with (
        file_size_limit(4000),
        pytest.raises(InputError, match=f"^cannot write {weights}: File too large$"),
    ):
        models.make("gat").save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_a_bundle_that_cannot_be_written_whole(format: str, tmp_path: Path) -> None:
    if format == "onnx":
        pytest.importorskip("onnxscript")
    with (
        file_size_limit(3000),
        pytest.raises(InputError, match=f"^cannot write .*{tmp_path / 'out'}.*: File too large$"),
    ):
        export_model(models.make("gat"), tmp_path / "out", format=format)
    assert not list(tmp_path.iterdir())


def test_a_run_of_a_benchmark_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        file_size_limit(600),
        pytest.raises(InputError, match=r"^cannot write .*scores.*\.npz: File too large$"),
    ):
        add_run(tmp_path / "results.csv")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_image_cache_that_cannot_be_written(tiny_csv: Path, tmp_path: Path) -> None:
    source = read_csv(tiny_csv).train
    cache = DiskCache(source, None, tmp_path / "cache")
    message = r"cannot write .*cache/images-.*: File too large; give another cache folder"
    with file_size_limit(600), pytest.raises(InputError, match=message):
        cache.fill(source.load, None, threads=2)
    assert not list((tmp_path / "cache").iterdir())


def test_features_take_their_space_before_they_are_mapped(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write to a mapped file for which the disk has no space ends the process."""
    model, source = models.make("linear"), read_csv(tiny_csv).train

    def full(handle: int, start: int, size: int) -> None:
        assert size >= 16 * 4
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(features.os, "posix_fallocate", full)
        with pytest.raises(InputError, match=r"cannot write .*features-pooled-.*: No space left"):
            extract(model, source, "pooled", tmp_path)
    assert not list(tmp_path.glob("*.npy"))
    assert extract(model, source, "pooled", tmp_path).open().shape[0] == len(source)

"""A reported split with few positives: metrics, no intervals, and the reason."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gatlabel.experiments import BenchmarkResult
from gatlabel.experiments.comparisons import compare
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.report import markdown_document
from gatlabel.experiments.runner import run_on
from gatlabel.experiments.splits import Roles
from gatlabel.labels import LabelSet
from tests.experiments.synthetic import NAMES, NoImages, benchmark, config


def few_positives(folder: Path, images: int):
    """A finished benchmark whose reported split has one label's positives in so many images."""
    task, backend = benchmark(folder / "data")
    report = task.roles.report
    targets = np.zeros_like(report.targets)
    targets[:images, 2] = 1
    other = NoImages(LabelSet(NAMES), report.ids, targets)
    task = dataclasses.replace(
        task, roles=Roles(task.roles.train, task.roles.tune, other, "test", "made up")
    )
    options = config(folder / "out", graphs=("complete",), trials=1, train_fractions=(0.5, 1.0))
    return options, run_on(options, task, lambda: backend, lambda line: None)


@pytest.mark.parametrize("images", [0, 1, 19])
def test_too_few_positives_leave_the_table_of_runs(tmp_path: Path, images: int) -> None:
    options, result = few_positives(tmp_path, images)
    words = {19: "the only label with 2 or more positives in the reported images has 19, fewer "
             "than 20"}  # fmt: skip
    why = words.get(images, "no label has 2 or more positives in the reported images")
    assert result.verdict == [
        f"No interval: {why}. More images are needed for significant differences."
    ]
    assert all(c.corrected is None and not c.better for c in result.comparisons)
    content = json.loads((options.folder / "comparisons.json").read_text())
    found = content["comparisons"][0]["difference"]
    assert (found["low"], found["high"], found["p"]) == (None, None, None)
    assert found["why"] == f"no interval: {why}"
    assert (found["value"] is None) == (images == 0)
    table = (options.folder / "table.md").read_text()
    assert f"- intervals: no interval: {why}" in table
    assert "[–]" in table
    assert "Nothing was tested." in table
    page = (options.folder / "report.html").read_text()
    assert f"no interval: {why}" in page
    assert "nan" not in page
    assert "None" not in page.replace("<dd>None</dd>", "")  # the machine's GPU
    assert (images > 0) == ("points (no interval)" in page)
    assert markdown_document(BenchmarkResult.load(options.folder)) == table


def test_twenty_positives_give_intervals(tmp_path: Path) -> None:
    _, result = few_positives(tmp_path, 20)
    assert all(c.difference.low <= c.difference.high for c in result.comparisons)
    assert "intervals" not in result.data_sets["made up"].protocol


def test_comparisons_need_no_folder() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((60, 3)) < 0.5).astype(np.float32)
    both, noise = [Method("linear"), Method("csra")], rng.normal(0, 1, (60, 3))
    clear = {"linear": noise, "csra": targets}
    read: list[int] = []
    found = compare(
        both, [Condition()], [0], targets, lambda method, *_: clear[method.head], read.append
    )
    assert found[0].better
    assert sum(read) == 2

"""Soft labels in every split: a run evaluates them as present from 0.5 on, at each step."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from gatlabel.metrics import average_precision, harden
from gatlabel.metrics import mean_average_precision as map_of
from gatlabel.model import MultiLabelClassifier
from gatlabel.pretraining.probing import probe
from gatlabel.training import auto, train
from gatlabel.training.proving import gain
from gatlabel.training.recipes import plain


def soften(folder: Path) -> Path:
    """Replaces presences by 0.8 and absences by 0.3, and gives both splits."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({name for row in rows for name in row["labels"].split("|") if name})
    lines = [",".join(["image", "split", *labels])]
    for row in rows:
        own = row["labels"].split("|")
        values = ["0.8" if name in own else "0.3" for name in labels]
        lines.append(",".join([row["image"], row["split"], *values]))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def options(data: Path, output: Path, **own: Any) -> dict[str, Any]:
    return {
        "data": "csv",
        "data.root": soften(data),
        "encoder.backbone": "shufflenet_v2_x0_5",
        "encoder.weights": "none",
        "images.size": 32,
        "images.cache_folder": output.parent / "cache",
        "run.output": output,
        "run.progress": False,
        "run.workers": 0,
        **own,
    }


@pytest.mark.parametrize(
    "own",
    [
        {"encoder.freeze": "encoder", "run.epochs": 0, "head.start": "ridge"},
        {"head.start": "ridge", "run.epochs": 1, "run.keep": "proven", "run.folds": 2},
        {"encoder.freeze": "encoder", "head": "centroid"},
    ],
    ids=["closed form", "proven, folds", "classical"],
)
def test_a_run_on_soft_labels_is_as_one_that_evaluates_hard_ones(
    own: dict[str, Any], tiny_csv: Path, tmp_path: Path
) -> None:
    recipe = plain() if own.get("head") == "centroid" else auto()
    result = train(recipe.with_options(options(tiny_csv, tmp_path / "run", **own)))
    found = result.evaluations[-1]
    expected = map_of(found.logits, (found.targets >= 0.5).int()).value
    assert found.report.metrics["mAP"] == pytest.approx(expected)
    assert isinstance(result.model, MultiLabelClassifier)


def test_the_gain_of_training_takes_soft_labels() -> None:
    g = torch.Generator().manual_seed(0)
    soft = torch.rand(60, 3, generator=g)
    scores, start = torch.rand(2, 60, 3, generator=g).unbind()
    assert gain(scores, start, soft) == gain(scores, start, harden(soft))


def test_a_probe_takes_soft_labels() -> None:
    g = torch.Generator().manual_seed(1)
    found = probe(torch.randn(40, 8, generator=g), torch.rand(40, 3, generator=g))
    assert 0 < found.neighbours <= 1
    assert 0 < found.linear <= 1


def test_the_effect_of_removed_edges_takes_soft_labels() -> None:
    from gatlabel.explain import removal_effect
    from gatlabel.graph import Cooccurrence

    torch.manual_seed(2)
    hard = (torch.rand(30, 3) > 0.5).float()
    graph = Cooccurrence.from_targets(hard.int().tolist(), list("abc")).graph()
    model = MultiLabelClassifier.create("shufflenet_v2_x0_5", "gat", graph=graph, image_size=32)
    features = torch.randn(30, 1024)
    soft = 0.3 + 0.5 * hard
    both = [removal_effect(model.head.eval(), features, t) for t in (soft, hard)]
    assert torch.equal(both[0].ap_change.nan_to_num(), both[1].ap_change.nan_to_num())
    assert average_precision(features[:, :3], harden(soft)).shape == (3,)


def test_soft_labels_are_counted_stratified_and_benchmarked_as_present(tiny_csv: Path) -> None:
    from gatlabel.data import read_csv
    from gatlabel.experiments.splits import roles

    hard = read_csv(tiny_csv, "labels.csv")
    soft = read_csv(soften(tiny_csv), "labels.csv")
    assert list(hard.labels) == list(soft.labels)
    for name, source in hard.items():
        own, expected = dict(soft.items())[name].targets, source.targets
        assert (own.present() != expected.present()).nnz == 0
        for a, b in zip(own.counts(), expected.counts(), strict=True):
            assert a.tolist() == b.tolist()
    assert not [note for note in soft.notes if "never present" in note]
    assert roles(soft).report_name == roles(hard).report_name == "val"

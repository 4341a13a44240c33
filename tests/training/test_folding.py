"""Folds: every training image is predicted by models that never saw it."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatlabel.baselines.ridge import ridge_start
from gatlabel.features import extract
from gatlabel.graph import Cooccurrence
from gatlabel.missing import make_completion
from gatlabel.missing.starting import completed_start
from gatlabel.training import auto, fitting, plain, train
from gatlabel.training.building import build_graph
from gatlabel.training.data import read_data
from gatlabel.training.out_of_fold import OutOfFold

QUICK = {
    "encoder.backbone": "shufflenet_v2_x0_5",
    "encoder.weights": "none",
    "run.progress": False,
    "images.size": 32,
}


def config_of(root: Path, folder: Path, **options: Any):
    own = {
        **QUICK,
        "head.start": "ridge",
        "data": "csv",
        "data.root": root,
        "run.output": folder,
        **options,
    }
    return auto().with_options({"images.cache_folder": folder.parent / "cache", **own})


def test_of_a_closed_form_each_fold_is_the_regression_on_the_others(
    tiny_csv: Path, tmp_path: Path
) -> None:
    config = config_of(tiny_csv, tmp_path / "run", **{"head": "linear", "run.folds": 4})
    result = train(config)
    found = OutOfFold.load(tmp_path / "run" / "out_of_fold.npz")
    source = read_data(config.resolved()).train
    assert list(found.ids) == list(source.ids)
    assert list(found.labels) == list(source.labels)
    assert sorted(set(found.fold.tolist())) == [0, 1, 2, 3]
    np.testing.assert_array_equal(found.targets, source.targets)
    kept = extract(result.model, source, "pooled", tmp_path / "other").open()
    x, y = torch.tensor(kept), source.targets.to_dense()
    for fold in range(4):
        held = torch.from_numpy(found.fold == fold)
        start = ridge_start(x[~held], y[~held])
        expected = x[held] @ start.weight.T + start.bias
        np.testing.assert_allclose(found.scores[held.numpy()], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("proven", [True, False])
def test_folds_choose_between_start_and_trained_weights(
    proven: bool, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatlabel.training.settling.is_proven", lambda gained, error: proven)
    lines: list[str] = []
    options = {"run.folds": 2, "run.epochs": 1, "head.hidden": 8, "head.similarity": "none"}
    train(config_of(tiny_csv, tmp_path / "run", **options), log=lines.append)
    assert sum(line.startswith("fold ") for line in lines) == 2
    kept = "the trained weights are" if proven else "the closed-form initialisation is"
    assert any("out-of-fold mAP" in line and kept in line for line in lines)
    found = OutOfFold.load(tmp_path / "run" / "out_of_fold.npz")
    assert np.isfinite(found.scores).all()
    plainly = train(
        config_of(tiny_csv, tmp_path / "start", **{"head.similarity": "none", "run.folds": 2})
    )
    start = OutOfFold.load(plainly.folder / "out_of_fold.npz")
    assert np.array_equal(start.fold, found.fold)
    assert np.array_equal(start.scores, found.scores) != proven


def test_folds_of_a_head_without_a_start_are_those_of_training(
    tiny_csv: Path, tmp_path: Path
) -> None:
    own = {"data": "csv", "data.root": tiny_csv, "run.epochs": 1, "head": "csra", "run.folds": 2}
    whole = train(plain().with_options({**QUICK, **own, "run.output": tmp_path / "run"}))
    found = OutOfFold.load(whole.folder / "out_of_fold.npz")
    assert np.isfinite(found.scores).all()
    again = train(
        plain().with_options({**QUICK, **own, "run.folds": None, "run.output": tmp_path / "again"})
    )
    left, right = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_models_of_folds_train_in_the_modes_of_the_model_itself(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[list[bool]] = []

    def noted(fit):
        def wrapped(model, *arguments, **options):
            modes.append([module.training for module in model.modules()])
            return fit(model, *arguments, **options)

        return wrapped

    for place in ("run", "folding"):
        name = f"gatlabel.training.{place}.fit"
        monkeypatch.setattr(name, noted(fitting.fit))
    options = {"run.folds": 2, "run.epochs": 1, "encoder.freeze": "none", "head": "linear"}
    train(config_of(tiny_csv, tmp_path / "run", **options))
    whole, *folds = modes
    assert all(whole)
    assert folds == [whole, whole]


@pytest.mark.parametrize("unknown", ["negative", "complete"])
def test_folds_of_a_head_without_a_graph_treat_unknown_labels_like_the_run(
    unknown: str, tiny_csv: Path, tmp_path: Path
) -> None:
    options = {"head": "linear", "run.folds": 4, "run.epochs": 0, "encoder.stages": 1}
    missing = {"missing.unknown": unknown, "missing.mask_labels": 0.4}
    config = config_of(tiny_csv, tmp_path / "run", **options, **missing)
    result = train(config)
    found = OutOfFold.load(tmp_path / "run" / "out_of_fold.npz")
    splits = read_data(config.resolved())
    source = splits.train
    x = torch.tensor(extract(result.model, source, "pooled", tmp_path / "other").open())
    graph = build_graph(config, Cooccurrence.from_targets(source.targets, source.labels))
    for fold in range(4):
        held = torch.from_numpy(found.fold == fold)
        completion = make_completion(unknown, source.targets.to_dense()[~held], graph)
        start = completed_start(partial(ridge_start, x[~held]), completion, x[~held])
        expected = x[held] @ start.weight.T + start.bias
        np.testing.assert_allclose(found.scores[held.numpy()], expected, rtol=1e-3, atol=1e-2)

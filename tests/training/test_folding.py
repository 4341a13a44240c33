"""Folds: every training image is predicted by models that never saw it."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatlabel.baselines.ridge import ridge_start
from gatlabel.errors import InputError, Interrupted
from gatlabel.features import extract
from gatlabel.graph import Cooccurrence
from gatlabel.missing import make_completion
from gatlabel.missing.starting import completed_start
from gatlabel.training import auto, fitting, plain, resume, train
from gatlabel.training.building import build_graph
from gatlabel.training.data import read_data
from gatlabel.training.out_of_fold import OutOfFold
from gatlabel.training.proving import RULES

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
    monkeypatch.setitem(RULES, "proven", lambda gained, error: proven)
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


def with_groups(root: Path, groups: int) -> None:
    """Adds a column ``patient`` to the labels.csv of :func:`tests.colours.write_colours`."""
    head, *rows = (root / "labels.csv").read_text().splitlines()
    rows = [f"{row},{number % groups}" for number, row in enumerate(rows)]
    rows = [row for row in rows if ",train," in row] + [
        row.rpartition(",")[0] + ",v" for row in rows if ",val," in row
    ]
    (root / "labels.csv").write_text("\n".join([f"{head},patient", *rows]) + "\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"run.folds": 17}, "folds=17: there are only 16 images"),
        (
            {"run.folds": 5, "data.group_column": "patient"},
            "folds=5: there are 5 parts but only 3 groups",
        ),
    ],
)
@pytest.mark.parametrize("recipe", [auto, plain])
def test_impossible_folds_are_refused_before_anything_is_written_or_computed(
    recipe: Any,
    options: dict[str, Any],
    message: str,
    tiny_csv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_groups(tiny_csv, 3)
    own = {"data": "csv", "data.root": tiny_csv, "run.epochs": 1, "run.output": tmp_path / "run"}
    config = recipe().with_options({**QUICK, **own, **options})
    monkeypatch.setattr("gatlabel.training.run.plan", None)
    monkeypatch.setattr("gatlabel.training.run.fit", None)
    with pytest.raises(InputError, match=message):
        train(config)
    assert not (tmp_path / "run").exists()


def test_folds_without_which_unknown_labels_cannot_be_treated_are_refused_too(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pseudo-labels need known absences, and only one image has one."""
    lines = (tiny_csv / "labels.csv").read_text().splitlines()
    head, *rows = (line.rpartition(",")[0] for line in lines)
    rows = [f"{row},red|green|blue," for row in rows]
    rows[0] = f"{rows[0].rpartition(',')[0].rpartition(',')[0]},red|green,"
    rows[-1] = f"{rows[-1].rpartition(',')[0].rpartition(',')[0]},red|green,"
    (tiny_csv / "labels.csv").write_text("\n".join([f"{head},labels,unknown", *rows]) + "\n")
    monkeypatch.setattr("gatlabel.training.run.plan", None)
    options = {"run.folds": 2, "run.epochs": 1, "missing.unknown": "pseudo"}
    with pytest.raises(InputError, match=r"folds=2: .*known absences"):
        train(config_of(tiny_csv, tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()


def stop_in_the_second_fold(line: str) -> None:
    if line.startswith("fold 2 of"):
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interruption_in_the_folds_of_a_run_without_epochs_names_resume(
    tiny_csv: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    options = {"head": "linear", "run.folds": 2, "run.epochs": 0, "encoder.stages": 1}
    config = config_of(tiny_csv, folder, **options)
    way = f"interrupted before the run was finished; continue with: .* --resume {folder}$"
    with pytest.raises(Interrupted, match=way):
        train(config, log=stop_in_the_second_fold)
    with pytest.raises(Interrupted, match=way):  # nor does a second attempt say otherwise
        resume(folder, log=stop_in_the_second_fold)
    resume(folder)
    assert np.isfinite(OutOfFold.load(folder / "out_of_fold.npz").scores).all()

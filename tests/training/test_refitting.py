"""The classifiers of a trained encoder, fitted again in closed form: ``run.refit``."""

from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.linear_model import Ridge

from gatlabel.baselines.ridge import ridge_start
from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.inference import predict_features
from gatlabel.model import MultiLabelClassifier
from gatlabel.training import TrainConfig, plain, train
from gatlabel.training.data import read_data
from gatlabel.training.out_of_fold import OutOfFold
from gatlabel.training.proving import RULES

QUICK = {
    "data": "csv",
    "encoder.backbone": "shufflenet_v2_x0_5",
    "encoder.weights": "none",
    "images.size": 32,
    "run.batch_size": 4,
    "run.epochs": 2,
    "run.progress": False,
    "run.workers": 0,
}


def config_of(root: Path, folder: Path, **options: Any) -> TrainConfig:
    return plain().with_options({**QUICK, "data.root": root, "run.output": folder, **options})


def test_classifiers_are_the_regression_on_the_trained_features(
    tiny_csv: Path, tmp_path: Path
) -> None:
    config = config_of(tiny_csv, tmp_path / "run", **{"run.refit": True})
    lines: list[str] = []
    result = train(config, log=lines.append)
    once = train(config_of(tiny_csv, tmp_path / "once"))
    model = MultiLabelClassifier.from_pretrained(tmp_path / "run").eval()
    other = MultiLabelClassifier.from_pretrained(tmp_path / "once").eval()
    for name, weight in other.encoder.state_dict().items():  # the encoder stays as trained
        assert torch.equal(weight, model.encoder.state_dict()[name])
    splits = read_data(config)
    found, targets = predict_features(model, splits.train), splits.train.targets.to_dense()
    fitted = ridge_start(found, targets)
    with torch.no_grad():
        logits = model.head(found)
    # the graph head without residual attention is linear
    torch.testing.assert_close(logits, found @ fitted.weight.T + fitted.bias, atol=1e-4, rtol=1e-3)
    # scikit-learn, with a small penalty instead of the one by leave-one-out, points the same way
    known = (targets >= 0).all(0) & (targets.sum(0) > 0)
    expected = Ridge(alpha=1e-3).fit(found.numpy(), targets[:, known].numpy()).predict(found)
    for ours, theirs in zip(logits[:, known].T, torch.as_tensor(expected).T, strict=True):
        assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0
    assert not torch.allclose(result.evaluations[0].logits, once.evaluations[0].logits)
    notes = str(read_json(tmp_path / "run" / "metrics.json", "metrics"))
    assert "fitted again in closed form" in notes
    assert any("fitted again in closed form" in line for line in lines)


def test_folds_fit_again_too(tiny_csv: Path, tmp_path: Path) -> None:
    scores = {}
    for again in (False, True):
        folder = tmp_path / str(again)
        train(config_of(tiny_csv, folder, **{"run.folds": 2, "run.refit": again}))
        scores[again] = OutOfFold.load(folder / "out_of_fold.npz").scores
    assert scores[True].shape == scores[False].shape
    assert not (scores[True] == scores[False]).all(1).any()


def test_a_proven_start_is_compared_with_the_fitted_classifiers(
    tiny_csv: Path, tmp_path: Path
) -> None:
    given = {"run.refit": True, "run.keep": "proven", "head.start": "ridge"}
    lines: list[str] = []
    train(config_of(tiny_csv, tmp_path / "run", **given), log=lines.append)
    assert any("training changed validation mAP" in line for line in lines)


@pytest.mark.parametrize("keep", ["unless-worse", "last"])
def test_residual_attention_stays_as_far_as_held_out_images_support_it(
    keep: str, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatlabel.training.settling.shrink", lambda *args, **options: 0.25)
    monkeypatch.setitem(RULES, "unless-worse", lambda difference, error: True)
    given = {"run.refit": True, "run.keep": keep, "head.start": "ridge"}
    lines: list[str] = []
    train(config_of(tiny_csv, tmp_path / "run", **given), log=lines.append)
    train(
        config_of(tiny_csv, tmp_path / "once", **{**given, "run.refit": False, "run.keep": "last"})
    )
    found, once = (
        MultiLabelClassifier.from_pretrained(tmp_path / name).eval() for name in ("run", "once")
    )
    said = [line for line in lines if line.startswith("the residual attention is scaled by 0.25")]
    factor = 0.25 if keep == "unless-worse" else 0.0
    assert len(said) == (keep == "unless-worse")
    for name in ("out_self", "out_edge"):
        trained = getattr(once.head, name)
        assert trained.abs().sum() > 0
        torch.testing.assert_close(getattr(found.head, name), factor * trained)


WRONG = {
    "run.refit=True: not for encoder.freeze=encoder": {"encoder.freeze": "encoder"},
    "run.refit=True: not for run.epochs=0": {"run.epochs": 0, "head.start": "ridge"},
    "run.refit=true: not for head=csra": {"head": "csra"},
}


@pytest.mark.parametrize("message", WRONG)
def test_it_is_refused_where_it_has_no_effect(message: str, tiny_csv: Path, tmp_path: Path) -> None:
    given = {"run.refit": True, **WRONG[message]}
    with pytest.raises(InputError, match=message) as error:
        train(config_of(tiny_csv, tmp_path / "run", **given))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()

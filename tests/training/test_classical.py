"""A classical method as the head of a run: the run folder serves it like any other."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel import MultiLabelClassifier, Predictor
from gatlabel.baselines.classical import ClassicalClassifier
from gatlabel.baselines.classical import mlknn as mlknn_module
from gatlabel.baselines.ridge import ridge_fit
from gatlabel.cli import main
from gatlabel.decisions import LabelHMM, PairwiseLabelModel
from gatlabel.errors import InputError
from gatlabel.features import extract
from gatlabel.nn import LinearHead
from gatlabel.training import auto, plain, train
from gatlabel.training.data import read_data
from gatlabel.training.effects import refuse_without_effect
from gatlabel.training.evaluation import evaluate
from gatlabel.training.recipes import read_config

HEADS = {
    "svm": {"head.c": 0.1},
    "forest": {"head.trees": 6},
    "mlknn": {"head.neighbours": 3},
    "chain": {"head.chains": 2, "head.folds": 2, "head.c": 1.0},
}


def config_of(folder: Path, head: str, **options):
    small = {
        "data.train_images": 40,
        "data.test_images": 12,
        "images.size": 32,
        "images.cache_folder": folder / "cache",
        "encoder.backbone": "shufflenet_v2_x0_5",
        "encoder.weights": "none",
        "encoder.freeze": "encoder",
        "run.progress": False,
        "run.compare": "no",
        "run.output": folder / "run",
        "head": head,
        **HEADS.get(head, {}),
    }
    return plain().with_options({**small, **options})


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
@pytest.mark.parametrize("head", ["svm", "forest", "mlknn", "chain"])
def test_a_run_folder_serves_a_classical_method(head: str, tmp_path: Path, capsys) -> None:
    config = config_of(tmp_path, head)
    result = train(config)
    splits = read_data(config.resolved())
    x = {
        name: torch.tensor(extract(result.model, source, "pooled", tmp_path / "cache").open())
        for name, source in splits.items()
    }
    wanted = ClassicalClassifier(config.head, config.run.seed)
    wanted.fit(x["train"], splits.train.targets.to_dense())
    scores = wanted.scores(x["test"]).float()
    assert torch.allclose(result.evaluations[-1].logits, scores, atol=1e-4)
    model = MultiLabelClassifier.from_pretrained(tmp_path / "run")
    assert isinstance(model.head, LinearHead) == (head == "svm")
    again = evaluate(model, splits.test, "test")
    assert torch.allclose(again.logits, scores, atol=1e-3)
    predictor = Predictor.load(tmp_path / "run")
    assert len(predictor.labels) == scores.shape[1]
    report = (tmp_path / "run" / "report.html").read_text()
    assert "fitted on frozen features" in report
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert f"{result.evaluations[-1].report.metrics['mAP']:.4f}" in capsys.readouterr().out
    repeated = read_config(tmp_path / "run" / "config.yaml")
    assert repeated.head == config.head
    refuse_without_effect(repeated)


@pytest.mark.parametrize("head", ["hmm", "pairwise"])
def test_a_run_decides_on_the_jointly_most_probable_label_sets(head: str, tmp_path: Path) -> None:
    options = {"head.decode": "joint", "decision.aim": "fixed=0.5"}
    config = config_of(tmp_path, head, **options)
    result = train(config)
    splits = read_data(config.resolved())
    x, y = (
        torch.tensor(extract(result.model, splits.train, "pooled", tmp_path / "cache").open()),
        splits.train.targets.to_dense(),
    )
    linear, left_out = ridge_fit(x, y)
    test = torch.tensor(extract(result.model, splits.test, "pooled", tmp_path / "cache").open())
    logits = torch.nn.functional.linear(test.double(), linear.weight.double(), linear.bias.double())
    model = LabelHMM.from_targets(y) if head == "hmm" else PairwiseLabelModel.fit(left_out, y)
    wanted = model.decode(logits.sigmoid())[0]
    last = result.evaluations[-1]
    assert np.array_equal(last.decision.present(last.logits.numpy()), wanted.numpy())
    saved = MultiLabelClassifier.from_pretrained(tmp_path / "run")
    assert saved.head.decode == "joint"
    again = evaluate(saved, splits.test, "test")
    assert np.array_equal(last.decision.present(again.logits.numpy()), wanted.numpy())
    with pytest.raises(InputError, match=r"decode=joint: only with decision\.aim=fixed=0\.5"):
        train(config_of(tmp_path, head, **{"head.decode": "joint"}))


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
def test_the_linear_head_that_it_is_compared_with_is_ridge_regression(tmp_path: Path) -> None:
    result = train(config_of(tmp_path, "centroid", **{"run.compare": "yes"}))
    ridge = train(config_of(tmp_path, "ridge", **{"run.output": tmp_path / "ridge"}))
    assert np.isclose(
        {b.name: b.value for b in result.baselines}["linear head, same training"],
        ridge.evaluations[-1].report.metrics["mAP"],
        atol=1e-6,
    )


def test_what_does_not_go_with_a_classical_method_is_refused(tmp_path: Path) -> None:
    for options, message in (
        ({"encoder.freeze": "none"}, "only with encoder.freeze=encoder"),
        ({"run.epochs": 3}, "run.epochs=3: not for head=svm"),
        ({"optimizer.lr": 0.1}, "optimizer.lr=0.1: not for head=svm"),
        ({"loss": "asl"}, "loss.* not for head=svm"),
        ({"run.folds": 3}, "run.folds=3: not for head=svm"),
        ({"run.batch_size": 3}, "run.batch_size=3: not for head=svm"),
        ({"missing.unknown": "complete"}, "missing.unknown=complete: not for head=svm"),
        ({"graph": "npmi:top_k=3"}, "graph=npmi:top_k=3: not for head=svm"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            train(config_of(tmp_path, "svm", **options))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"only with encoder\.freeze=encoder"):
        refuse_without_effect(auto().with_options({"head": "forest"}))
    assert not (tmp_path / "run").exists()


def test_too_many_images_to_keep_are_refused_before_features(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(mlknn_module, "MOST", 20)
    with pytest.raises(InputError, match="at most 20 of them"):
        train(config_of(tmp_path, "mlknn"))
    assert not (tmp_path / "cache").exists()


def test_options_reach_the_method_from_the_command_line(tmp_path: Path, capsys) -> None:
    words = ["train", "--head", "forest", "--head.trees", "7", "--freeze", "encoder"]
    assert main([*words, "--print-config"]) == 0
    out = capsys.readouterr().out
    assert "name: forest" in out
    assert "trees: 7" in out
    assert main(["train", "--head", "svm", "--head.trees", "7", "--freeze", "encoder"]) == 2
    assert "not for head=svm, only for forest" in capsys.readouterr().err

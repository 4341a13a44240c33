"""The closed-form start of a run is the regression on its features, for every head."""

from functools import partial
from pathlib import Path

import pytest
import torch

from gatlabel.baselines.ridge import ridge_start
from gatlabel.errors import InputError
from gatlabel.features import extract
from gatlabel.graph import Cooccurrence
from gatlabel.metrics import mean_average_precision
from gatlabel.missing.starting import completed_start
from gatlabel.training import plain, train
from gatlabel.training.building import build_graph, build_model
from gatlabel.training.comparing import run_completion
from gatlabel.training.data import read_data
from gatlabel.training.starting import start_in_closed_form


def config_of(folder: Path, **options):
    small = {
        "data.train_images": 24,
        "data.test_images": 12,
        "images.size": 32,
        "run.batch_size": 8,
    }
    small |= {
        "encoder.backbone": "shufflenet_v2_x0_5",
        "encoder.weights": "none",
        "run.progress": False,
        "run.epochs": 1,
    }
    small |= {
        "head.hidden": 8,
        "run.compare": "no",
        "head.start": "ridge",
        "images.cache_folder": folder / "cache",
    }
    if options.get("head") in ("linear", "pyg", "csra"):
        small.pop("head.hidden")
    return plain().with_options({**small, "run.output": folder / "run", **options})


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
@pytest.mark.parametrize("head", ["linear", "gat", "gatv2", "pyg"])
def test_the_head_starts_at_the_regression(head: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, **{"head": head}).resolved()
    splits = read_data(config)
    graph = build_graph(config, Cooccurrence.from_targets(splits.train.targets, splits.labels))
    model, lines = build_model(config, graph), []
    model.train()
    before = [module.training for module in model.modules()]
    start = start_in_closed_form(model, config, splits, None, lines.append)
    assert start is not None
    assert before == [module.training for module in model.modules()]
    features = {
        name: torch.tensor(extract(model, source, "pooled", tmp_path / "other").open())
        for name, source in splits.items()
    }
    known = splits.train.targets.to_dense()
    expected = ridge_start(features["train"], known, model.head.mixing_matrix())
    logits = features["val"] @ expected.weight.T + expected.bias
    with torch.no_grad():
        torch.testing.assert_close(model.head.eval()(features["val"]), logits, rtol=1e-3, atol=1e-3)
    value = mean_average_precision(logits, splits.val.targets.to_dense()).value
    assert f"val mAP {value:.4f}" in lines[0]


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
def test_images_of_one_group_are_left_out_together(tmp_path: Path) -> None:
    config = config_of(tmp_path, **{"head": "linear"}).resolved()
    splits = read_data(config)
    splits.train.groups = tuple(f"scene {k // 3}" for k in range(len(splits.train)))
    graph = build_graph(config, Cooccurrence.from_targets(splits.train.targets, splits.labels))
    model = build_model(config, graph)
    start = start_in_closed_form(model, config, splits, None, lambda line: None)
    assert start is not None
    features = torch.tensor(extract(model, splits.train, "pooled", tmp_path / "other").open())
    known = splits.train.targets.to_dense()
    together, alone = (ridge_start(features, known, None, g) for g in (splits.train.groups, None))
    assert start.linear.error == pytest.approx(together.error, rel=1e-5)
    assert start.linear.error != pytest.approx(alone.error, rel=1e-3)
    torch.testing.assert_close(start.linear.weight, together.weight, rtol=1e-3, atol=1e-4)


def test_another_head_starts_from_the_kept_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config_of(tmp_path, **{"head": "linear", "encoder.freeze": "encoder"}))
    monkeypatch.setattr("gatlabel.features.outputs", None)  # the encoder is not asked again
    lines: list[str] = []
    train(config_of(tmp_path, **{"head": "gat", "run.output": tmp_path / "gat"}), log=lines.append)
    assert any(line.startswith("first model: ridge regression") for line in lines)


@pytest.mark.parametrize("options", [{"head": "gcn"}, {"head": "csra"}, {"head.base": "nodes"}])
def test_heads_that_are_not_linear_at_the_start_refuse_it(options, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="start=ridge"):
        train(config_of(tmp_path, **options))


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
@pytest.mark.parametrize("head", ["linear", "gat"])
def test_unknown_targets_that_are_completed_start_where_beliefs_complete_them(
    head: str, tmp_path: Path
) -> None:
    options = {
        "head": head,
        "missing.unknown": "complete",
        "missing.mask_labels": 0.4,
        "data.train_images": 60,
    }
    config = config_of(tmp_path, **options).resolved()
    splits = read_data(config)
    graph = build_graph(config, Cooccurrence.from_targets(splits.train.targets, splits.labels))
    model = build_model(config, graph)
    completion = run_completion(config, splits, graph)
    assert completion is not None
    start = start_in_closed_form(model, config, splits, completion, lambda line: None)
    assert start is not None
    x = torch.tensor(extract(model, splits.train, "pooled", tmp_path / "other").open())
    own = model.head.mixing_matrix() if head == "gat" else completion.mixing_matrix()
    expected = completed_start(partial(ridge_start, x), completion, x, own)
    torch.testing.assert_close(start.linear.weight, expected.weight)
    plainly = ridge_start(x, splits.train.targets.to_dense(), own)
    assert not torch.allclose(start.linear.weight, plainly.weight)
    assert start.linear.error == pytest.approx(plainly.error, rel=0.2)

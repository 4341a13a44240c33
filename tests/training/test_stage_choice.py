"""The choice of encoder stages by the recipe auto: one pass, the lower error, nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gatlabel.baselines.ridge import ridge_start
from gatlabel.encoders import Encoder
from gatlabel.features import extract
from gatlabel.inference import outputs
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.pooling import StagePool
from gatlabel.options import flat
from gatlabel.training import plain, stage_choice, train
from gatlabel.training.data import read_data
from gatlabel.training.recipes import config_from, read_config
from gatlabel.training.starting import features
from tests.training.test_planning import config_of, trained

FIXED = {"images.size": 64, "encoder.freeze": "encoder", "run.epochs": 0}


@pytest.fixture(params=[False, True], ids=["worse", "better"])
def better(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether several stages have the lower error, by a shift of their error."""
    real = stage_choice.fitted_start

    def shifted(*args):
        found = real(*args)
        error = -1.0 if request.param else 1e9
        object.__setattr__(found.linear, "error", error)
        return found

    monkeypatch.setattr(stage_choice, "fitted_start", shifted)
    return request.param


def test_the_lower_error_decides_and_the_choice_is_written(
    better: bool, tiny_csv: Path, tmp_path: Path
) -> None:
    result, lines = trained(config_of(tiny_csv, tmp_path / "run", **FIXED))
    config = read_config(tmp_path / "run" / "config.yaml")
    assert config.encoder.stages == (3 if better else 1)
    assert result.model.encoder.stages == config.encoder.stages
    assert any(line.startswith("with the last 3 stages of the encoder: val mAP") for line in lines)
    assert any(f"encoder.stages={config.encoder.stages}" in line for line in lines)
    # the classifiers are ridge regression on the features of that many stages
    splits = read_data(config)
    x = features(result.model, splits.train, config)
    linear = ridge_start(x, splits.train.targets.to_dense())
    fold = result.model.fold().head.classifier()
    torch.testing.assert_close(fold[0], linear.weight.float(), atol=1e-5, rtol=1e-4)
    # and the options written give the same model again
    again = train(config.with_options({"run.output": tmp_path / "again"}))
    for name, value in result.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


def test_the_errors_compared_are_those_of_leave_one_out(tiny_csv: Path, tmp_path: Path) -> None:
    _, lines = trained(config_of(tiny_csv, tmp_path / "run", **FIXED))
    config = read_config(tmp_path / "run" / "config.yaml")
    targets = read_data(config).train.targets.to_dense()
    errors = {}
    for stages in (1, 3):
        given = config.with_options(
            {"encoder.stages": stages, "run.output": tmp_path / f"{stages}"}
        )
        model = train(given).model
        x = features(model, read_data(config).train, given)
        errors[stages] = float(ridge_start(x, targets).error)
    assert config.encoder.stages == min(errors, key=errors.__getitem__)
    said = [line for line in lines if "leave-one-out error" in line]
    assert [f"{errors[n]:.4f}" in line for n, line in zip((1, 3), said, strict=True)] == [True] * 2


def test_images_pass_the_encoder_once(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = []
    real = Encoder.of_images
    monkeypatch.setattr(
        Encoder, "of_images", lambda self, x: (images.append(len(x)), real(self, x))[1]
    )
    config = config_of(tiny_csv, tmp_path / "run", **FIXED)
    trained(config)
    splits = read_data(config)
    assert sum(images) == sum(len(source) for _, source in splits.items() if source)


@pytest.mark.parametrize(
    "options",
    [
        {"encoder.stages": 1},
        {"encoder.stages": 2},
        {"head": "csra"},
        {"head": "linear", "head.start": "random", "run.epochs": 1},
        {"encoder.freeze": "none", "run.epochs": 1},
        {"encoder.pooling": "gem", "encoder.freeze": "encoder", "run.epochs": 0},
        {"head": "svm", "encoder.freeze": "encoder"},
    ],
)
def test_where_nothing_is_chosen(options, tiny_csv: Path, tmp_path: Path) -> None:
    options = {"images.size": 64, **options}
    config = config_of(tiny_csv, tmp_path / "run", **options)
    _, lines = trained(config)
    assert not any("the last 3 stages" in line for line in lines)
    written = read_config(tmp_path / "run" / "config.yaml")
    assert written.encoder.stages == options.get("encoder.stages", 1)


def test_an_encoder_of_your_own_keeps_its_stages(tiny_csv: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2), nn.ReLU()]
    own = nn.Sequential(*layers, nn.Conv2d(6, 8, 3, stride=2))
    config = config_of(tiny_csv, tmp_path / "run", **FIXED)
    config = config.with_options({"encoder.backbone": "auto", "encoder.weights": "default"})
    lines: list[str] = []
    result = train(config, encoder=own, log=lines.append)
    assert result.model.encoder.stages == 1
    assert not any("the last 3 stages" in line for line in lines)


def test_an_encoder_with_unknown_stages_keeps_the_last(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*args):
        raise stage_choice.InputError("stages=3: the stages are unknown")

    monkeypatch.setattr("gatlabel.encoders.encoder.find_stages", unknown)
    result, lines = trained(config_of(tiny_csv, tmp_path / "run", **FIXED))
    assert result.model.encoder.stages == 1
    assert not any("the last 3 stages" in line for line in lines)


def test_the_recipe_plain_takes_one() -> None:
    config = plain().with_options({"data": "csv", "data.root": "."})
    assert flat(config_from(config.resolved().to_dict()))["encoder.stages"] == 1


# --- features of several stages in one pass ---------------------------------------------------


def model_of(stages: int, pooling: str = "average") -> MultiLabelClassifier:
    torch.manual_seed(0)
    return MultiLabelClassifier.create(
        "shufflenet_v2_x0_5", "linear", labels=["a", "b", "c"], stages=stages, image_size=64,
        pooling=pooling,
    ).eval()  # fmt: skip


def computed(model: MultiLabelClassifier, source) -> np.ndarray:
    resize = model.preprocessing.transform()
    pixels = torch.stack([resize(source.load(row)) for row in range(len(source))])
    return torch.cat(list(outputs(model, pixels.split(64), model.features))).numpy()


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("first", [1, 3])
def test_one_pass_has_the_features_of_one_and_of_three_stages(
    first: int, pooling: str, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read_data(config_of(tiny_csv, tmp_path / "run")).train
    extract(model_of(first, pooling), source, "pooled", tmp_path, together=True)
    expected = {n: computed(model_of(n, pooling), source) for n in (1, 3)}
    monkeypatch.setattr(source, "load", None)
    for stages in (1, 3):
        model = model_of(stages, pooling)
        assert isinstance(model.pool, StagePool) == (stages == 3)
        found = extract(model, source, "pooled", tmp_path).open()
        np.testing.assert_array_equal(found, expected[stages])
    assert len(list(tmp_path.glob("*.npy"))) == 1


@pytest.mark.parametrize(("stages", "pooling"), [(2, "average"), (1, "gem"), (3, "gem")])
def test_other_models_do_not_take_part(
    stages: int, pooling: str, tiny_csv: Path, tmp_path: Path
) -> None:
    source = read_data(config_of(tiny_csv, tmp_path / "run")).train
    model = model_of(stages, pooling)
    shared = extract(model_of(1), source, "pooled", tmp_path, together=True)
    file = extract(model, source, "pooled", tmp_path, together=True)
    assert file.path != shared.path
    np.testing.assert_array_equal(file.open(), computed(model, source))


def test_other_weights_and_poolings_are_other_files(tiny_csv: Path, tmp_path: Path) -> None:
    source = read_data(config_of(tiny_csv, tmp_path / "run")).train
    model, other, changed = model_of(1), model_of(1, "max"), model_of(1)
    with torch.no_grad():
        next(changed.encoder.parameters()).add_(1)
    models = (model, other, changed)
    files = {extract(each, source, "pooled", tmp_path, together=True).path for each in models}
    assert len(files) == 3


def test_a_damaged_file_is_extracted_again(tiny_csv: Path, tmp_path: Path) -> None:
    source = read_data(config_of(tiny_csv, tmp_path / "run")).train
    file = extract(model_of(1), source, "pooled", tmp_path, together=True)
    whole = np.array(file.open())
    content = bytearray(file.path.read_bytes())
    content[-3] ^= 1
    file.path.write_bytes(content)
    again = extract(model_of(1), source, "pooled", tmp_path)
    np.testing.assert_array_equal(again.open(), whole)

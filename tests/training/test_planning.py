"""The recipe auto: what it leaves, measures, decides and writes down."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.metrics import evaluate_scores
from gatlabel.model import MultiLabelClassifier
from gatlabel.training import auto, auto_table, planning, resume, train
from gatlabel.training.clock import Clock
from gatlabel.training.config import read_options
from gatlabel.training.data import read_data
from gatlabel.training.evaluation import evaluate
from gatlabel.training.options import config_from

QUICK = {"backbone": "shufflenet_v2_x0_5", "weights": "none", "progress": False}
QUICK["start"] = "ridge"  # by itself it is taken with weights that were learned
OPEN = ("start", "freeze", "augmentation", "lr", "encoder_lr", "keep", "epochs", "image_size")


def config_of(root: Path, folder: Path, **options: Any):
    own = {**QUICK, "data": "csv", "root": root, "output": folder, **options}
    return auto(**{"cache_folder": folder.parent / "cache", **own})


def trained(config) -> tuple[Any, list[str]]:
    lines: list[str] = []
    return train(config, say=lines.append), lines


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_table, "SIZES", {"fast": (1 / 7,), "good": (1 / 7, 2 / 7)})


@pytest.mark.usefixtures("small")
def test_few_images_take_the_closed_form_and_every_choice_is_written(
    tiny_csv: Path, tmp_path: Path
) -> None:
    result, lines = trained(config_of(tiny_csv, tmp_path / "run"))
    written = read_options(tmp_path / "run" / "config.yaml")
    assert all(written[name] is not None for name in OPEN)
    assert (written["epochs"], written["freeze"], written["start"]) == (0, "encoder", "ridge")
    assert written["image_size"] in (32, 64)
    assert not result.curves
    sizes = [line for line in lines if "ridge regression" in line]
    assert sizes[0].startswith("first model:")
    assert "32 px" in sizes[0]
    assert any(line.startswith("auto (good): ") for line in lines)
    # the figures are those of the model that is left
    model = MultiLabelClassifier.from_pretrained(tmp_path / "run").eval()
    splits = read_data(config_from(written))
    again = evaluate(model, splits.val, "val")
    torch.testing.assert_close(again.logits, result.evaluations[0].logits, atol=1e-4, rtol=1e-4)
    figures = read_json(tmp_path / "run" / "metrics.json", "metrics")
    expected = evaluate_scores(again.logits, again.targets, model.labels).metrics["mAP"]
    assert f"{expected:.3f}" in str(figures) or expected == pytest.approx(
        result.evaluations[0].report.metrics["mAP"]
    )


@pytest.mark.usefixtures("small")
def test_a_written_config_decides_nothing_again(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = trained(config_of(tiny_csv, tmp_path / "run"))
    options = read_options(tmp_path / "run" / "config.yaml")
    monkeypatch.setattr(planning, "choices", lambda *args: {})
    again, lines = trained(config_from({**options, "output": str(tmp_path / "again")}))
    assert not any(line.startswith("auto") for line in lines)
    assert torch.equal(first.evaluations[0].logits, again.evaluations[0].logits)


@pytest.mark.usefixtures("small")
def test_what_is_given_stays(tiny_csv: Path, tmp_path: Path) -> None:
    given = {"image_size": 48, "epochs": 1, "freeze": "none", "augmentation": "turned"}
    given |= {"lr": 1e-4, "encoder_lr": 0.3, "keep": "last"}
    trained(config_of(tiny_csv, tmp_path / "run", **given))
    written = read_options(tmp_path / "run" / "config.yaml")
    assert {name: written[name] for name in given} == given
    assert written["start"] == "ridge"


@pytest.mark.usefixtures("small")
def test_without_time_for_a_second_size_the_first_is_taken(tiny_csv: Path, tmp_path: Path) -> None:
    _, lines = trained(config_of(tiny_csv, tmp_path / "run", time="0.001s"))
    assert read_options(tmp_path / "run" / "config.yaml")["image_size"] == 32
    assert any("would take longer than the time that is left" in line for line in lines)


@pytest.mark.usefixtures("small")
def test_the_start_is_kept_where_training_has_not_gained(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, _ = trained(config_of(tiny_csv, tmp_path / "start", image_size=32))
    monkeypatch.setattr("gatlabel.training.settling.is_proven", lambda gained, error: False)
    kept, lines = trained(config_of(tiny_csv, tmp_path / "run", image_size=32, epochs=1, lr=0.1))
    assert any("the start in closed form is kept" in line for line in lines)
    left, right = (run.model.state_dict() for run in (start, kept))
    assert all(torch.equal(left[name], right[name]) for name in left)
    monkeypatch.setattr("gatlabel.training.settling.is_proven", lambda gained, error: True)
    other, lines = trained(config_of(tiny_csv, tmp_path / "other", image_size=32, epochs=1, lr=0.1))
    assert any("the trained weights are kept" in line for line in lines)
    assert not torch.equal(other.model.head.weight, start.model.head.weight)


@pytest.mark.parametrize("head", ["gcn", "csra", "query"])
def test_heads_that_do_not_start_as_linear_are_trained(
    head: str, tiny_csv: Path, tmp_path: Path
) -> None:
    given = {"head": head, "image_size": 32, "preset": "fast", "start": None}
    config = config_of(tiny_csv, tmp_path / "run", **given)
    result, _ = trained(config)
    written = read_options(tmp_path / "run" / "config.yaml")
    assert written["start"] == "random"
    assert len(result.curves) == written["epochs"] > 0
    assert written["keep"] == "last"


def test_an_encoder_of_random_weights_is_trained(tiny_csv: Path, tmp_path: Path) -> None:
    config = config_of(tiny_csv, tmp_path / "run", image_size=32, start=None, preset="fast")
    result, _ = trained(config)
    written = read_options(tmp_path / "run" / "config.yaml")
    assert (written["start"], written["freeze"], written["similarity"]) == (
        "random",
        "norms",
        "none",
    )
    assert len(result.curves) == written["epochs"] > 0


def test_no_epochs_need_a_start(tiny_csv: Path, tmp_path: Path) -> None:
    for options in ({"start": "random", "cache": "disk"}, {"head": "gcn", "start": None}):
        config = config_of(tiny_csv, tmp_path / "run", image_size=32, epochs=0, **options)
        with pytest.raises(InputError, match="epochs=0: only for a start in closed form"):
            train(config)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("images", "preset", "limit", "expected"),
    [
        (500, "good", None, 0),
        (500, "best", None, 24),
        (5_000, "good", None, 8),
        (5_000, "fast", None, 0),
        (100_000, "good", None, 3),
        (5_000, "good", 1e-3, 0),  # no time for any pass
        (5_000, "good", 1e9, 8),
    ],
)
def test_epochs_by_images_preset_and_time(
    images: int, preset: str, limit: float | None, expected: int
) -> None:
    from gatlabel.baselines.ridge import LinearStart
    from gatlabel.training.starting import Start

    model = MultiLabelClassifier.create(
        "shufflenet_v2_x0_5", "linear", labels=["a", "b"], image_size=32
    ).eval()
    linear = LinearStart(torch.zeros(2, 4), torch.zeros(2), 1.0, 0.9)
    config = auto(data="csv", root=Path(), preset=preset)
    start = Start(32, linear, 0.5, 1.0)
    found = auto_table.epochs_of(config, (images, 100), model, start, Clock(limit))
    assert found == expected


def test_an_auto_run_goes_on_where_it_was_interrupted(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"image_size": 32, "epochs": 2, "freeze": "encoder", "hidden": 8}
    whole, _ = trained(config_of(tiny_csv, tmp_path / "whole", **options))
    monkeypatch.setattr("gatlabel.training.settling.settle", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(tiny_csv, tmp_path / "run", **options))
    monkeypatch.undo()
    again = resume(tmp_path / "run", progress=False)
    left, right = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


def _interrupt(*args: Any) -> bool:
    raise KeyboardInterrupt


def test_random_weights_are_said_in_the_first_line(tiny_csv: Path, tmp_path: Path) -> None:
    _, lines = trained(config_of(tiny_csv, tmp_path / "run", image_size=32))
    assert lines[0] == (
        "encoder: shufflenet_v2_x0_5, weights none (random; gatlabel[lite] installs ImageNet's, "
        "offline)"
    )


def test_measuring_the_time_that_is_left_leaves_the_model_as_it_was() -> None:
    model = MultiLabelClassifier.create(
        "shufflenet_v2_x0_5", "linear", labels=["a", "b"], image_size=32
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = auto(data="csv", root=Path(), preset="best", time="1h", device="cpu")
    assert auto_table.seconds_per_image(model, config) > 0
    assert all(module.training for module in model.modules() if not hasattr(module, "frozen"))
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)

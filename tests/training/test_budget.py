"""What the recipe auto does within its time: resolutions and epochs, with everything they take."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gatlabel.baselines.ridge import LinearStart
from gatlabel.engine.probing import PROBE
from gatlabel.engine.rate_finding import STEPS
from gatlabel.graph import Cooccurrence
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS
from gatlabel.training import auto, train
from gatlabel.training.budget import MARGIN, Budget
from gatlabel.training.clock import Clock
from gatlabel.training.config import TrainConfig
from gatlabel.training.durations import seconds_per_image, seconds_per_training_image
from gatlabel.training.recipes import read_config
from gatlabel.training.starting import Start

NAN = float("nan")


@pytest.mark.parametrize(
    ("images", "preset", "limit", "error", "expected"),
    [
        (500, "good", None, 0.6, 0),
        (500, "good", 1e9, 0.6, 0),
        (500, "good", 1e9, NAN, 0),
        (500, "best", None, 0.6, 8),
        (5_000, "good", None, 0.6, 4),
        (5_000, "fast", None, 0.6, 0),
        (100_000, "good", None, 0.6, 3),
        (5_000, "good", 1e-3, 0.6, 0),  # no time for any pass
        (5_000, "good", 1e9, 0.6, 4),
        (5_000, "good", None, 1.0, 8),
        (500, "good", None, 1.0, 12),  # uninformative features
        (500, "good", 1e9, 1.0, 12),
        (500, "good", 1e-3, 1.0, 0),
        (500, "good", 2.0, 1.0, 9),  # 0.192 s each, and 0.084 s afterwards
        (500, "good", 0.5, 1.0, 2),
        (500, "good", 0.25, 1.0, 0),
        (100, "good", 0.15, 1.0, 2),  # 0.048 s each, and 0.036 s afterwards
        (100, "good", 0.11, 1.0, 0),  # one epoch of so few images is not enough
        (500, "fast", 1e9, 1.0, 0),
        (500, "best", 0.5, 1.0, 2),
        (5_000, "good", 4.0, 1.0, 1),  # 1.81 s each, and 0.62 s afterwards
        (5_000, "good", 5.0, 0.6, 0),  # of informative features, three are needed
    ],
)
def test_epochs_by_images_preset_time_and_features(
    images: int,
    preset: str,
    limit: float | None,
    error: float,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured(monkeypatch, 1e-4)
    model, start = small_model(), start_of(error)
    budget = Budget(config_with(preset), images, 100, Clock(limit))
    assert budget.epochs(model, start) == expected


@pytest.mark.parametrize(
    ("limit", "error", "expected"),
    [
        (None, 0.6, True),
        (2.0, 0.6, True),  # a pass takes 1.2 s
        (1.0, 0.6, False),
        # twelve epochs at the new size would take 43.2 s, passes before and after 1.2 s each
        (45.0, 1.0, False),
        (47.0, 1.0, True),
        (1.5, 1.0, True),  # no time for training anyway
        (10.0, 0.6, True),
    ],
)
def test_a_larger_size_leaves_time_for_training_on_uninformative_features(
    limit: float | None, error: float, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, 0.01)
    budget = Budget(config_with("good"), 100, 0, Clock(limit))
    assert budget.allows_size(small_model(), start_of(error)) is expected
    # the last pass took so long that one over images of the same size would take 12 s
    slow = replace(start_of(error), seconds=10.0)
    assert budget.allows_size(small_model(), slow) is (limit is None)


def small_model() -> MultiLabelClassifier:
    return MultiLabelClassifier.create(
        "shufflenet_v2_x0_5", "linear", labels=["a", "b"], image_size=32
    ).eval()


def start_of(error: float) -> Start:
    return Start(32, LinearStart(torch.zeros(2, 4), torch.zeros(2), 1.0, 0.95, error), 0.5, 0.0)


def config_with(preset: str, **options: Any) -> TrainConfig:
    own = {"data": "csv", "data.root": Path(), "recipe.preset": preset}
    return auto().with_options({**own, **options})


def measured(monkeypatch: pytest.MonkeyPatch, image: float) -> None:
    """A pass takes these seconds per image at 32 pixels, and a step of training three times that.

    Both grow with the area. Nothing else takes time.
    """
    monkeypatch.setattr("gatlabel.training.budget.REST", 0.0)
    for name, factor in (("seconds_per_image", 1), ("seconds_per_training_image", 3)):
        monkeypatch.setattr(
            f"gatlabel.training.budget.{name}",
            lambda model, config, factor=factor: image * factor * (model.image_size / 32) ** 2,
        )


@pytest.mark.parametrize("error", [0.6, 1.0])
def test_time_is_left_for_what_follows_a_pass(
    error: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, 0.01)
    start, model = start_of(error), small_model()
    budget = Budget(config_with("good"), 100, 0, Clock(10.0))
    monkeypatch.setattr(Clock, "left", 1.5)
    assert budget.allows_size(model, start)  # 1.2 s
    monkeypatch.setattr("gatlabel.training.budget.REST", 0.4)
    assert not budget.allows_size(model, start)


def test_epochs_leave_time_for_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(monkeypatch, 0.01)
    budget = Budget(config_with("good"), 100, 0, Clock(10.0))
    monkeypatch.setattr(Clock, "left", MARGIN * (1 + 4 * 3.0) + 0.1)  # a pass of 1 s, epochs of 3 s
    assert budget.epochs(small_model(), start_of(1.0)) == 4
    monkeypatch.setattr("gatlabel.training.budget.REST", 0.2)
    assert budget.epochs(small_model(), start_of(1.0)) == 3


def test_durations_are_measured_once_and_only_if_they_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured(monkeypatch, 0.01)
    calls = []
    for name, seconds in (("seconds_per_image", 0.01), ("seconds_per_training_image", 0.03)):
        monkeypatch.setattr(
            f"gatlabel.training.budget.{name}",
            lambda model, config, name=name, seconds=seconds: calls.append(name) or seconds,
        )
    model, start = small_model(), start_of(1.0)
    budget = Budget(config_with("good"), 100, 0, Clock(10.0))
    monkeypatch.setattr(Clock, "left", 1.9)
    # two epochs take two passes at least, and a pass at this size as long as the last one
    assert budget.epochs(model, replace(start, seconds=1.0)) == 0
    assert not budget.allows_size(model, replace(start, seconds=1.8))
    assert calls == []
    for _ in range(3):
        budget.epochs(model, start)
        budget.allows_size(model, start)
    assert sorted(calls) == ["seconds_per_image", "seconds_per_training_image"]
    model.image_size = 64
    budget.epochs(model, start)
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, 12),
        (1e9, 12),
        # with 100 training and 20 validation images an epoch takes 3.84 s, the passes afterwards
        # 1.68 s
        (10.0, 2),
        (5.0, 1),
        (1e-3, 1),  # at least one epoch, since there is no other model
    ],
)
def test_without_a_closed_form_as_many_epochs_as_fit(
    limit: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, 0.01)
    model = small_model()  # takes time, which is not that of the budget
    budget = Budget(config_with("good"), 100, 20, Clock(limit))
    assert budget.epochs(model, None) == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, 64),
        (1e9, 64),  # the model's own size, never a larger one
        (200.0, 64),  # twelve epochs at 64 px take 173 s, and the passes afterwards 4.8 s
        (160.0, 32),
        (1e-3, 32),
    ],
)
def test_without_a_closed_form_the_largest_size_at_which_all_epochs_fit(
    limit: float | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(monkeypatch, 0.01)
    model = small_model()
    model.image_size = 64
    budget = Budget(config_with("good"), 100, 0, Clock(limit))
    assert budget.size(model, (32, 64, 96)) == model.image_size == expected


@pytest.mark.parametrize("error", [1.0, None])
@pytest.mark.parametrize("folds", [None, 2, 5])
@pytest.mark.parametrize("rate", [None, "find"])
@pytest.mark.parametrize("compare", ["no", "yes"])
def test_all_trainings_count(
    error: float | None,
    folds: int | None,
    rate: str | None,
    compare: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The epochs that fit are those whose images, counted one by one, take less than the limit."""
    measured(monkeypatch, image := 1e-3)
    train, val, limit = 100, 20, 11.0
    config = config_with(
        "best", **{"run.folds": folds, "optimizer.lr": rate, "run.compare": compare}
    )
    start = None if error is None else replace(start_of(error), fit_seconds=0.2)
    runs = [(train, val)]  # images of training and validation
    runs += [(train, val)] * (compare == "yes")
    for fold in range(folds or 0):
        held = train // folds + (fold < train % folds)
        runs.append((train - held, held))
    epoch = sum(3 * image * trained for trained, _ in runs) + image * val
    # the initialisation and every result; moments, or classifiers fitted on all features again
    once = image * (val + sum(judged for _, judged in runs))
    once += image * (train if start is None else sum(trained for trained, _ in runs))
    if start is not None:
        once += 0.2 * (folds or 0)
    if rate == "find":
        once += (2 if start is None else 1) * STEPS * image * (3 * 32 + PROBE)
    monkeypatch.setattr(Clock, "left", limit)  # the test itself takes time too
    found = Budget(config, train, val, Clock(limit)).epochs(small_model(), start)
    possible = int((limit / MARGIN - once) / epoch)
    if start is None:
        assert found == min(max(possible, 1), 24)
    else:
        assert found == (min(possible, 24) if possible >= 2 else 0)


@pytest.mark.parametrize("head", HEADS)
def test_the_duration_of_a_step_is_measured_with_every_head(head: str) -> None:
    graph = Cooccurrence.from_targets([[1, 1, 0], [1, 0, 1], [0, 1, 1]], list("abc")).graph()
    model = MultiLabelClassifier.create("shufflenet_v2_x0_5", head, graph=graph, image_size=64)
    config = config_with("good", **{"run.device": "cpu"})
    for frozen in (False, True):
        model.encoder.requires_grad_(not frozen)
        assert seconds_per_training_image(model, config) > 0
        assert seconds_per_image(model, config) > 0


def test_a_run_without_a_closed_form_respects_its_time(tiny_csv: Path, tmp_path: Path) -> None:
    options = {
        "data.root": tiny_csv,
        "encoder.backbone": "shufflenet_v2_x0_5",
        "encoder.weights": "none",
        "head": "csra",
        "recipe.time": "0.001s",
        "run.output": tmp_path / "run",
        "run.progress": False,
    }
    train(config_with("good", **options))
    written = read_config(tmp_path / "run" / "config.yaml")
    assert (written.run.epochs, written.images.size) == (1, 160)

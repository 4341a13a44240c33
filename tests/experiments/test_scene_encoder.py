"""Which options make another encoder for scenes; the training itself is that of any run."""

import pytest

from gatlabel.experiments.scene_encoder import _key
from gatlabel.training import TrainConfig


def key(**options) -> str:
    return _key(TrainConfig().with_options(options).resolved(), 100, 1)


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({}, {"optimizer.lr": 1e-4}),
        ({"loss": "asl"}, {"loss.gamma_negative": 2.0}),
        ({"loss": "asl"}, {"loss.clip": 0.0}),
        ({"loss": "focal"}, {"loss.gamma": 3.0}),
        ({"optimizer.schedule": "step"}, {"optimizer.schedule.epochs": 2}),
        ({"run.amp": "off"}, {"run.amp": "on"}),
    ],
)
def test_options_that_change_the_training_make_another_encoder(options, change) -> None:
    assert key(**options) != key(**{**options, **change})


def test_other_options_leave_it_alone() -> None:
    same = {"head": "gcn", "graph": "npmi", "run.epochs": 9, "run.seed": 3, "data.strength": 0.0}
    assert key() == key(**same)
    assert key() == _key(TrainConfig().resolved().with_options({"run.workers": 3}), 100, 1)

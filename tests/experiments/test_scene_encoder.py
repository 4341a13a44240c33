"""Which options make another encoder for scenes; the training itself is that of any run."""

import dataclasses

import pytest

from gatlabel.experiments.scene_encoder import _key
from gatlabel.training import TrainConfig


def key(**options) -> str:
    return _key(TrainConfig(**options).resolved(), 100, 1)


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({}, {"lr": 1e-4}),
        ({"loss": "asl"}, {"gamma_negative": 2.0}),
        ({"loss": "asl"}, {"clip": 0.0}),
        ({"loss": "focal"}, {"gamma_positive": 3.0}),
        ({"schedule": "step"}, {"step_epochs": 2}),
        ({"amp": "off"}, {"amp": "on"}),
    ],
)
def test_options_that_change_the_training_make_another_encoder(options, change) -> None:
    assert key(**options) != key(**{**options, **change})


def test_other_options_leave_it_alone() -> None:
    same = {"head": "gcn", "graph": "npmi", "epochs": 9, "seed": 3, "scene_strength": 0.0}
    assert key() == key(**same) == key(gamma_negative=2.0, step_epochs=3)
    assert key() == _key(dataclasses.replace(TrainConfig().resolved(), workers=3), 100, 1)

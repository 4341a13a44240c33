import numpy as np
import pytest
import torch

from gatlabel.data.scenes import (
    SceneImages,
    oracle_map,
    oracle_result,
    oracle_scores,
    posterior,
    scene_config,
    visible_only_scores,
)
from gatlabel.data.source import ImageSource
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from tests.data.scenes.test_ising import small_model
from tests.reference import ising as reference


@pytest.mark.parametrize("hidden", [0.2, 0.6])
def test_the_posterior_is_the_enumerated_one(hidden: float) -> None:
    model = small_model()
    visible = reference.all_sets(5).astype(bool)
    found = posterior(model, visible, hidden, sweeps=4000)
    exact = np.array(
        [
            reference.posterior(model.fields, model.couplings, model.competition, row, hidden)
            for row in visible
        ]
    )
    assert (found[visible] == 1).all()
    np.testing.assert_allclose(found, exact, atol=0.03)
    assert np.abs(found - exact).mean() < 0.005


@pytest.mark.parametrize("preset", ["voc", "coco"])
def test_the_graph_gains_several_points_and_visible_labels_beat_chance(preset: str) -> None:
    scenes = SceneImages(scene_config(preset), "test", 1000)
    result = oracle_result(scenes, sweeps=100)
    chance = np.nanmean(
        np.where(np.asarray(scenes.targets).any(0), np.asarray(scenes.targets).mean(0), np.nan)
    )
    assert result.mean > result.visible_only_mean + 0.03
    assert result.visible_only_mean > 5 * chance
    assert result.labels == scenes.labels.names
    judged = ~np.isnan(result.average_precision)
    assert result.mean == pytest.approx(result.average_precision[judged].mean())
    assert set(result.without_positive) == {
        name for name, ok in zip(result.labels, judged, strict=True) if not ok
    }


def test_the_shortcut_gives_both_figures() -> None:
    scenes = SceneImages(scene_config("voc"), "test", 300)
    result = oracle_result(scenes)
    assert oracle_map(scenes) == result.mean
    assert oracle_map(scenes, graph=False) == result.visible_only_mean


def test_without_hidden_objects_the_oracle_is_always_right() -> None:
    scenes = SceneImages(scene_config("voc", hidden=0.0), "test", 300)
    np.testing.assert_array_equal(oracle_scores(scenes), scenes.targets)
    assert oracle_map(scenes) == 1.0


def test_the_posterior_is_calibrated() -> None:
    scenes = SceneImages(scene_config("coco"), "test", 2000, seed=5)
    unseen = ~scenes.visible
    scores, truth = oracle_scores(scenes, sweeps=150)[unseen], np.asarray(scenes.targets)[unseen]
    for low, high in ((0.0, 0.02), (0.02, 0.1), (0.1, 0.3), (0.3, 0.7)):
        within = (scores >= low) & (scores < high)
        assert truth[within].mean() == pytest.approx(scores[within].mean(), rel=0.15)


def test_without_the_graph_images_in_which_a_label_is_not_visible_tie() -> None:
    scenes = SceneImages(scene_config("voc"), "test", 200)
    scores = visible_only_scores(scenes)
    for label in range(20):
        rest = scores[~scenes.visible[:, label], label]
        assert np.unique(rest).size == 1
        assert 0 < rest[0] < 0.5
    assert (scores[scenes.visible] == 1).all()


def test_only_scenes_have_an_oracle() -> None:
    class Others(ImageSource):
        def load(self, index: int) -> torch.Tensor:
            return torch.zeros(3, 2, 2, dtype=torch.uint8)

        def subset(self, indices: object) -> "Others":
            return self

    others = Others(LabelSet(["a"]), ["x"], np.ones((1, 1), dtype=np.float32))
    with pytest.raises(InputError, match="for scenes only"):
        oracle_map(others)
    scenes = SceneImages(scene_config("voc"), "test", 60)
    empty = scenes.subset(np.flatnonzero(~np.asarray(scenes.targets).any(1)).tolist())
    assert len(empty) > 0
    with pytest.raises(InputError, match="has a label"):
        oracle_map(empty)

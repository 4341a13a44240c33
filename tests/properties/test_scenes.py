import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatlabel.data.scenes import SceneImages, posterior, scene_config
from gatlabel.data.scenes.ising import IsingModel
from tests.reference import ising as reference


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 39), min_size=1, max_size=4))
def test_a_subset_draws_the_same_images(seed: int, rows: list[int]) -> None:
    scenes = SceneImages(scene_config("voc", size=32), "val", 40, seed=seed)
    part = scenes.subset(rows)
    np.testing.assert_array_equal(part.targets, np.asarray(scenes.targets)[rows])
    for position, row in enumerate(rows):
        assert torch.equal(part.load(position), scenes.load(row))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.floats(0.05, 0.9))
def test_the_posterior_of_any_small_model_is_the_enumerated_one(seed: int, hidden: float) -> None:
    rng = np.random.default_rng(seed)
    couplings = np.triu(rng.normal(0, 1, (4, 4)), 1)
    model = IsingModel(tuple("abcd"), rng.normal(-1, 1, 4), couplings + couplings.T, 0.3)
    visible = rng.random((1, 4)) < 0.3
    # the same evidence in many chains: an average over chains and sweeps
    found = posterior(model, np.repeat(visible, 200, axis=0), hidden, sweeps=60, seed=seed).mean(0)
    exact = reference.posterior(
        model.fields, model.couplings, model.competition, visible[0], hidden
    )
    np.testing.assert_allclose(found, exact, atol=0.03)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1), st.permutations(range(5)))
def test_the_order_of_labels_does_not_matter_to_the_posterior(seed: int, order: list[int]) -> None:
    rng = np.random.default_rng(seed)
    couplings = np.triu(rng.normal(0, 0.8, (5, 5)), 1)
    couplings += couplings.T
    fields, visible = rng.normal(-1, 0.5, 5), rng.random((1, 5)) < 0.3
    evidence = np.repeat(visible, 300, axis=0)
    model = IsingModel(tuple("abcde"), fields, couplings)
    turned = IsingModel(tuple("abcde"), fields[order], couplings[np.ix_(order, order)])
    one = posterior(model, evidence, 0.4, sweeps=60).mean(0)
    other = posterior(turned, evidence[:, order], 0.4, sweeps=60).mean(0)
    np.testing.assert_allclose(other, one[order], atol=0.03)

import numpy as np
import pytest

from gatlabel.data.scenes.fitting import fit_ising, shrunken_pairs
from gatlabel.data.scenes.ising import BLOCK, IsingModel, refit_fields
from gatlabel.errors import InputError
from tests.reference import ising as reference


def small_model(seed: int = 0) -> IsingModel:
    rng = np.random.default_rng(seed)
    couplings = np.triu(rng.normal(0.4, 1.2, (5, 5)), 1)
    couplings[0, 3] = 0
    return IsingModel(
        tuple("abcde"), rng.normal(-1.2, 0.6, 5), couplings + couplings.T, competition=0.5
    )


def exact_pairs(model: IsingModel) -> np.ndarray:
    sets = reference.all_sets(len(model.names))
    p = reference.probabilities(model.fields, model.couplings, model.competition)
    return sets.T @ (sets * p[:, None])


def test_samples_have_the_enumerated_pair_frequencies() -> None:
    model = small_model()
    y = model.sample(16384, (3,)).astype(float)
    # the standard deviation of a frequency is below 0.004
    np.testing.assert_allclose(y.T @ y / len(y), exact_pairs(model), atol=0.016)


def test_a_row_depends_on_its_number_only() -> None:
    model = small_model()
    long = model.sample(3 * BLOCK, (7, 1), sweeps=5)
    np.testing.assert_array_equal(model.sample(BLOCK + 9, (7, 1), sweeps=5), long[: BLOCK + 9])
    assert (model.sample(BLOCK, (7, 2), sweeps=5) != long[:BLOCK]).any()
    assert (long[:BLOCK] != long[BLOCK : 2 * BLOCK]).any()


def test_refitted_fields_give_the_wanted_frequencies() -> None:
    wanted = np.array([0.05, 0.3, 0.1, 0.2, 0.6])
    model = refit_fields(small_model(), wanted)
    np.testing.assert_array_equal(model.couplings, small_model().couplings)
    np.testing.assert_allclose(np.diag(exact_pairs(model)), wanted, rtol=0.06)


def test_a_fit_to_counts_finds_the_model_they_come_from() -> None:
    names, fields = tuple("abcdef"), np.array([-1.5, -2.0, -1.0, -1.8, -1.4, -1.2])
    couplings = np.zeros((6, 6))
    for i, j, weight in ((0, 1, 2.5), (1, 2, 1.6), (3, 4, 2.0), (2, 5, -1.8)):
        couplings[i, j] = couplings[j, i] = weight
    truth = IsingModel(names, fields, couplings, competition=0.6)
    frequencies = exact_pairs(truth)
    images = 100_000
    pairs = frequencies * images * (1 - np.eye(6))
    found = fit_ising(names, np.diag(frequencies) * images, pairs, images, chains=4096, steps=150)
    np.testing.assert_array_equal(found.couplings != 0, couplings != 0)
    np.testing.assert_allclose(found.couplings, couplings, atol=0.35)
    assert found.competition == pytest.approx(0.6, abs=0.25)


def test_small_pair_counts_are_shrunk_to_independence() -> None:
    counts = np.array([1000.0, 1000.0, 20.0])
    pairs = np.array([[0, 400, 0], [400, 0, 0], [0, 0, 0.0]])
    shrunken = shrunken_pairs(counts, pairs, 10_000)
    assert shrunken[0, 1] == pytest.approx(0.04 * (1 / 4) * (405 / 105) / (400 / 400))
    independent = counts[0] * counts[2] / 10_000**2
    assert 0.5 * independent < shrunken[0, 2] < independent  # not nought, though none was seen


@pytest.mark.parametrize(
    ("fields", "couplings", "words"),
    [
        (np.zeros(3), np.zeros((2, 2)), "needs fields"),
        (np.zeros(2), np.array([[0, 1.0], [0, 0]]), "symmetric"),
        (np.zeros(2), np.eye(2), "zero diagonal"),
    ],
)
def test_an_invalid_model_is_refused(fields: np.ndarray, couplings: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        IsingModel(("a", "b"), fields, couplings)

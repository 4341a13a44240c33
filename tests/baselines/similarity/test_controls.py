"""Controls of a choice of similarity, against choices assembled from permuted vectors."""

import dataclasses

import pytest
import torch

from gatlabel.baselines.similarity import SimilarityChoice, source_from_vectors
from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.baselines.similarity.controls import with_permuted_names, with_random_labels
from tests.baselines.similarity.cases import LABELS, grouped

UNSEEN = 7  # the first labels, of which no target is known


def chosen(vectors: torch.Tensor, targets: torch.Tensor, penalty: float | None) -> SimilarityChoice:
    source = source_from_vectors("names", vectors)
    parts = [Used("names", kappa, source.matrix, source.vectors) for kappa in (0.6, 0.4)]
    return assembled(targets, *parts, penalty)


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    """Targets, and vectors of which two are zero."""
    _, targets, vectors = grouped()
    targets[:, :UNSEEN] = -1
    vectors[3], vectors[20] = 0, 0
    return targets, vectors


def order_of(choice: SimilarityChoice, seed: int) -> torch.Tensor:
    """Reads off which label's weights each label got."""
    numbered = torch.arange(LABELS, dtype=torch.float64).diag()
    probe = dataclasses.replace(choice, prediction=numbered)
    return with_permuted_names(probe, seed).prediction.diagonal().long()


@pytest.mark.parametrize("penalty", [None, 1.0], ids=["neighbours", "map"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_permuted_names_are_those_of_permuted_vectors(case, penalty, seed) -> None:
    targets, vectors = case
    choice = chosen(vectors, targets, penalty)
    order = order_of(choice, seed)
    assert (order != torch.arange(LABELS)).all()
    assert set(order[:UNSEEN].tolist()) == set(range(UNSEEN))
    found, other = with_permuted_names(choice, seed), chosen(vectors[order], targets, penalty)
    torch.testing.assert_close(found.similarity, other.similarity)
    torch.testing.assert_close(found.prediction, other.prediction)
    assert not torch.equal(found.prediction, choice.prediction)
    assert found.rule == choice.rule


def test_a_single_label_without_presences_gets_the_weights_of_other_names(case) -> None:
    targets, vectors = case
    targets[:, 1:UNSEEN] = (torch.rand(len(targets), UNSEEN - 1) < 0.3).float()
    choice = chosen(vectors, targets, 1.0)
    found = with_permuted_names(choice, 0)
    assert (~choice.seen).sum() == 1
    torch.testing.assert_close(
        found.prediction[0].sort().values, choice.prediction[0].sort().values
    )
    assert not torch.equal(found.prediction[0], choice.prediction[0])


@pytest.mark.parametrize("penalty", [None, 1.0], ids=["neighbours", "map"])
def test_random_labels_keep_the_weights_of_each_label(case, penalty) -> None:
    targets, vectors = case
    choice = chosen(vectors, targets, penalty)
    found, again = (with_random_labels(choice, seed) for seed in (0, 1))
    for mine, theirs in (
        (found.similarity, choice.similarity),
        (found.prediction, choice.prediction),
    ):
        assert torch.equal(mine.sort(1).values, theirs.sort(1).values)
        assert not mine[:, :UNSEEN].any()  # labels without evidence contribute nothing
        assert not torch.allclose(mine, theirs, atol=0.01)
    assert not found.similarity.diagonal().any()
    assert torch.equal(found.strengths(), choice.strengths())
    assert not torch.equal(found.similarity, again.similarity)
    assert not found.prediction[UNSEEN:].any()
    if penalty is None:
        assert torch.equal(found.prediction[:UNSEEN], found.similarity[:UNSEEN])


@pytest.mark.parametrize("control", [with_permuted_names, with_random_labels])
@pytest.mark.parametrize("labels", [4, 8, 12])
def test_few_labels_that_are_all_similar_have_controls_too(labels, control) -> None:
    generator = torch.Generator().manual_seed(labels)
    targets = (torch.rand(60, labels, generator=generator) < 0.4).float()
    targets[:, 0] = -1
    vectors = 1 + torch.rand(labels, 5, generator=generator)  # every cosine is positive
    choice = chosen(vectors, targets, None)
    found = control(choice, 0)
    assert not torch.allclose(found.similarity, choice.similarity, atol=1e-3)
    assert not torch.allclose(found.prediction, choice.prediction, atol=1e-3)


def test_strengths_stay_with_labels_that_get_names_with_similar_ones(case) -> None:
    targets, vectors = case
    choice = chosen(vectors, targets, None)
    found = with_permuted_names(choice, 0)
    order = order_of(choice, 0)
    nothing = ~choice.similarity.any(1)
    assert nothing.nonzero()[:, 0].tolist() == [3, 20]
    assert not found.strengths()[nothing[order]].any()
    both = ~nothing & ~nothing[order]
    assert torch.equal(found.strengths()[both], choice.strengths()[both])
    assert (found.strengths()[nothing & ~nothing[order]] > 0).all()


@pytest.mark.parametrize("control", [with_permuted_names, with_random_labels])
def test_where_nothing_is_shared_controls_share_nothing(case, control) -> None:
    found = control(assembled(case[0]), 0)
    assert not found.similarity.any()
    assert not found.prediction.any()
    assert found.sharing() is None


def test_averages_in_place_of_the_map_are_those_of_a_choice_without_map(case) -> None:
    targets, vectors = case
    found, other = chosen(vectors, targets, 1.0).without_map(), chosen(vectors, targets, None)
    torch.testing.assert_close(found.prediction, other.prediction)
    assert torch.equal(found.similarity, other.similarity)
    assert found.rule == "neighbours"

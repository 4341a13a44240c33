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
def test_random_labels_keep_weights_and_the_number_of_contributions(case, penalty) -> None:
    targets, vectors = case
    choice = chosen(vectors, targets, penalty)
    found, again = (with_random_labels(choice, seed) for seed in (0, 1))
    for mine, theirs in (
        (found.similarity, choice.similarity),
        (found.prediction, choice.prediction),
    ):
        torch.testing.assert_close(mine.sort(1).values, theirs.sort(1).values, rtol=1e-5, atol=1e-6)
        assert not mine[:, :UNSEEN].any()  # labels without evidence contribute nothing
        assert not torch.allclose(mine, theirs, atol=0.01)
    assert not found.similarity.diagonal().any()
    contributions = [(one.similarity > 0).sum(0) for one in (found, choice)]
    assert torch.equal(*contributions)
    assert not torch.equal(found.similarity, again.similarity)
    assert not found.prediction[UNSEEN:].any()
    if penalty is None:
        torch.testing.assert_close(found.prediction[:UNSEEN], found.similarity[:UNSEEN])


@pytest.mark.parametrize("control", [with_permuted_names, with_random_labels])
def test_strengths_stay_with_the_labels(case, control) -> None:
    targets, vectors = case
    vectors[3], vectors[20] = 1, 2  # every label has similar ones
    choice = chosen(vectors, targets, None)
    torch.testing.assert_close(control(choice, 0).strengths(), choice.strengths())


@pytest.mark.parametrize("control", [with_permuted_names, with_random_labels])
def test_where_nothing_is_shared_controls_share_nothing(case, control) -> None:
    choice = assembled(case[0])
    assert control(choice, 0).linear
    assert control(choice, 0).sharing() is None

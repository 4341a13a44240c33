"""The parts of the choice of similarity, against loops and exact formulas."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from gatlabel.baselines.similarity import (
    SimilaritySource,
    candidate_sources,
    source_from_matrix,
    source_from_vectors,
)
from gatlabel.baselines.similarity.evidence import permutation_tests, permuted_sums
from gatlabel.baselines.similarity.from_targets import cooccurrence_profile, learned_relation
from gatlabel.baselines.similarity.held_out import fit, learnable
from gatlabel.baselines.similarity.label_map import map_weights
from gatlabel.baselines.similarity.seen import ImageTester
from gatlabel.baselines.similarity.sources import NEIGHBOURS
from gatlabel.baselines.similarity.unseen import label_aucs, pair_tables, slope
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.labels import LabelSet
from tests.baselines.similarity.cases import LABELS, grouped
from tests.reference.similarity import mean_difference, profile_cosine, shared_scores


def corrupted(targets: torch.Tensor) -> torch.Tensor:
    """Some targets unknown."""
    hidden = torch.rand(targets.shape, generator=torch.Generator().manual_seed(3)) < 0.2
    return torch.where(hidden, -1.0, targets)


def test_sources_of_vectors_prefer_the_nearest() -> None:
    vectors = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    vectors[7] = 0
    source = source_from_vectors("names", vectors)
    matrix, unit = source.matrix, source.vectors
    assert (matrix >= 0).all()
    assert not matrix.diagonal().any()
    assert int((matrix > 0).sum(1).max()) == NEIGHBOURS
    assert not matrix[7].any()
    assert not matrix[:, 7].any()
    torch.testing.assert_close(matrix.sum(1)[:7], torch.ones(7).double())
    cosine = (unit @ unit.T)[0]
    cosine[0] = -1
    first, second = cosine.topk(2).indices
    expected = (cosine[first] / cosine[second]) ** 8
    torch.testing.assert_close(matrix[0, first] / matrix[0, second], expected)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (torch.ones(2, 3), r"\(2, 3\)"),
        (torch.tensor([[0.0, -1.0], [1.0, 0.0]]), "-1, a negative value"),
        (torch.eye(2), "diagonal is not zero"),
        (torch.tensor([[0.0, float("nan")], [1.0, 0.0]]), "NaN or infinity"),
    ],
)
def test_an_invalid_similarity_matrix_is_refused(matrix, said) -> None:
    with pytest.raises(InputError, match=f"'mine'.*{said}"):
        source_from_matrix("mine", matrix)


def test_candidates_are_checked_and_take_a_hierarchy_by_name() -> None:
    labels = LabelSet(["cat", "dog", "bus"])
    tree = LabelGraph.from_edges([("dog", "cat", 0.5)], ["bus", "dog", "cat"])
    found = candidate_sources(labels, given_vectors=np.eye(3), hierarchy=tree)
    assert [source.name for source in found] == ["vectors", "hierarchy", "cooccurrence", "learned"]
    assert found[1].matrix.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    for vectors, said in ((np.eye(2), "2 vectors for 3 labels"), (np.ones(3), r"\(3,\)")):
        with pytest.raises(InputError, match=said):
            candidate_sources(labels, name_vectors=vectors)
    with pytest.raises(InputError, match="NaN"):
        candidate_sources(labels, name_vectors=np.full((3, 2), np.nan))


def test_profiles_leave_the_pair_itself_out() -> None:
    rng = torch.Generator().manual_seed(1)
    targets = (torch.rand(60, 6, generator=rng) < 0.4).float()
    found = cooccurrence_profile(torch.zeros(60, 2), targets)
    for i, j in ((0, 1), (2, 5), (4, 3)):
        assert float(found[i, j]) == pytest.approx(profile_cosine(targets, i, j))
    together = targets.clone()
    together[:, 1] = together[:, 0]  # always together: what they occur with is what counts
    apart = cooccurrence_profile(torch.zeros(60, 2), together)[0, 1]
    assert float(apart) == pytest.approx(1.0)
    targets[:, 2] = 0
    assert not cooccurrence_profile(torch.zeros(60, 2), targets)[2].any()


@pytest.mark.parametrize("images", [40, 200], ids=["wide", "long"])
def test_learned_relations_are_those_of_the_root_of_the_gram_matrix(images: int) -> None:
    features, targets, _ = grouped(images=images)
    targets = corrupted(targets)
    targets[:, 3] = -1
    targets[:, 4] = torch.where(targets[:, 4] == -1, -1.0, 0.0)
    found = learned_relation(features, targets)
    assert not found[3].any()
    assert not found[:, 4].any()
    seen = learnable(targets)
    y = targets[:, seen].double()
    known = y >= 0
    rate = (y * known).sum(0) / known.sum(0)
    t = (y - rate) * known / (rate * (1 - rate)).sqrt() / known.double().mean(0)
    x = features.double() - features.double().mean(0)
    weight = Ridge(10 * float(x.square().mean()) * images, fit_intercept=False).fit(x, t).coef_
    size, turn = np.linalg.eigh(weight @ weight.T)
    root = turn @ np.diag(np.sqrt(size.clip(0))) @ turn.T
    scale = np.sqrt(root.diagonal())
    expected = root / scale / scale[:, None]
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found[seen][:, seen].numpy(), expected, atol=1e-6)


def test_a_permutation_moves_weights_to_other_names() -> None:
    rng = torch.Generator().manual_seed(0)
    weights, worth = torch.rand(2, 5, 5, generator=rng).double()
    orders = torch.stack([torch.randperm(5, generator=rng) for _ in range(4)])
    expected = []
    for order in orders:
        moved = torch.zeros_like(weights)
        for i in range(5):
            for j in range(5):
                moved[order[i], order[j]] = weights[i, j]
        expected.append(float((moved * worth).sum()))
    assert permuted_sums([(weights, worth)], orders).tolist() == pytest.approx(expected)


def test_the_best_of_many_sources_is_compared_with_the_best_permuted_one() -> None:
    rng = torch.Generator().manual_seed(0)
    worth = torch.rand(12, 12, generator=rng).double()
    pairs = [[(torch.rand(12, 12, generator=rng).double(), worth)] for _ in range(20)]
    many = permutation_tests(pairs, 499, 0.05, 0)
    single = [permutation_tests([pair], 499, 0.05, 0) for pair in pairs]
    assert many.critical > max(float(one.critical) for one in single)
    assert (many.p >= torch.cat([one.p for one in single])).all()
    below, above = many.shrinkage(torch.tensor([many.critical * 0.99, many.critical * 1.5]))
    assert float(below) == 0
    assert float(above) == pytest.approx(1 - 1 / 1.5**2)
    nothing = permutation_tests([[(torch.zeros(12, 12).double(), worth)]], 99, 0.05, 0)
    assert float(nothing.p) == 1
    assert float(nothing.shrinkage(nothing.z)) == 0


@pytest.mark.parametrize("groups", [None, [k // 3 for k in range(50)]], ids=["images", "groups"])
def test_the_sensitivity_is_the_derivative_of_exact_leave_one_out(groups) -> None:
    features, targets, _ = grouped(images=50)
    held = fit(features, corrupted(targets), groups)
    labels = int(held.seen.sum())
    direction = torch.randn(labels, labels, generator=torch.Generator().manual_seed(0)).double()
    direction = direction + direction.T
    t = held.deviation / held.known.mean(0)
    step = 1e-5
    moved = [
        shared_scores(
            features.double(),
            t,
            held.penalty,
            torch.eye(labels).double() + sign * step * direction,
            groups,
        )
        for sign in (1, -1)
    ]
    expected = (moved[0] - moved[1]) / (2 * step)
    torch.testing.assert_close(held.sensitivity() @ direction.T, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("groups", [None, [k % 25 for k in range(60)]], ids=["images", "groups"])
def test_the_value_of_a_source_is_the_slope_of_the_leave_one_out_error(groups) -> None:
    features, targets, vectors = grouped(images=60)
    held = fit(features, corrupted(targets), groups)
    judge = ImageTester(held, features, corrupted(targets), 0)
    source = source_from_vectors("names", vectors)
    (pair,) = judge.test(source).pairs
    sharing = judge.share[:, None] * pair[0]
    t = held.deviation / held.known.mean(0)

    def error(strength: float) -> float:
        mixing = torch.eye(LABELS).double() + strength * sharing
        scores = shared_scores(features.double(), t, held.penalty, mixing @ mixing.T, groups)
        off = (held.deviation - scores).square() * held.known
        return float((off.sum(0) / held.known.sum(0)).sum())

    slope_ = (error(1e-5) - error(-1e-5)) / 2e-5
    assert -2 * float((pair[0] * pair[1]).sum()) == pytest.approx(slope_, rel=1e-3)


def test_images_that_are_there_three_times_are_no_stronger_evidence() -> None:
    features, targets, vectors = grouped(images=80)
    source, groups = source_from_vectors("names", vectors), [*range(80)] * 3
    once = ImageTester(fit(features, targets), features, targets, 0).test(source)
    thrice = features.repeat(3, 1), targets.repeat(3, 1)
    judge = ImageTester(fit(*thrice, groups), *thrice, 0)
    assert judge.test(source).z == pytest.approx(once.z, rel=0.02)
    alone = ImageTester(fit(*thrice), *thrice, 0).test(source)
    assert alone.z != pytest.approx(once.z, rel=0.2)  # as if there were three times the images
    for group in range(80):  # a fold has all of a group, or nothing
        assert len(set(judge.fold[group::80].tolist())) == 1


def test_a_learned_source_is_evaluated_on_held_out_images() -> None:
    features, targets, _ = grouped(images=50)
    held = fit(features, targets)
    judge = ImageTester(held, features, targets, 0)
    asked = []

    def measure(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        asked.append({tuple(row) for row in x.tolist()})
        return torch.rand(LABELS, LABELS)

    judge.test(SimilaritySource("mine", None, measure=measure))
    for fold, images in enumerate(asked):
        judged = {tuple(row) for row in features[judge.fold == fold].tolist()}
        assert len(judged) == 10
        assert len(images) == 40
        assert not judged & images
    assert len(asked) == 5


def test_pair_tables_are_means_and_aucs_without_images_of_the_other_label() -> None:
    features, targets, _ = grouped(images=120)
    targets[:, 6:] = corrupted(targets)[:, 6:]
    held = fit(features, targets)
    scores, ranks = pair_tables(held)
    for i, j in ((0, 1), (8, 16), (5, 20)):
        assert float(scores[i, j]) == pytest.approx(
            mean_difference(held.scores, held.targets, i, j)
        )
    i, j = 0, 1
    outside = targets[:, j] != 1
    auc = roc_auc_score(targets[outside, i], held.scores[outside, j])
    # ranks among all images, of which a few show j
    assert float(ranks[i, j]) + 0.5 == pytest.approx(auc, abs=0.02)


def test_aucs_and_slopes_of_predicted_classifiers() -> None:
    features, targets, vectors = grouped(images=150)
    held = fit(features, targets)
    prediction = source_from_vectors("names", vectors).matrix
    predicted = held.scores @ prediction.T
    aucs = label_aucs(held, prediction)
    for label in (0, 9, 31):
        assert float(aucs[label]) == pytest.approx(
            roc_auc_score(targets[:, label], predicted[:, label])
        )
    expected = np.linalg.lstsq(
        predicted.numpy().reshape(-1, 1), held.deviation.numpy().reshape(-1), rcond=None
    )[0][0]
    assert slope(held, prediction) == pytest.approx(float(expected))
    assert slope(held, -prediction) == 0


def test_the_map_is_ridge_regression_from_vectors_and_leaves_the_label_out() -> None:
    _, _, vectors = grouped()
    unit = (vectors / vectors.norm(dim=1, keepdim=True)).double()
    seen = torch.arange(LABELS) % 5 != 0
    unit[3] = 0  # a seen label without a vector
    weights = map_weights(unit, seen, 0.7)
    classifiers = torch.randn(LABELS, 4, generator=torch.Generator().manual_seed(0)).double()
    usable = [i for i in range(LABELS) if seen[i] and i != 3]
    centre = unit[usable].mean(0)
    scale = float((unit[usable] - centre).square().sum(1).mean())

    def by_ridge(label: int, rows: list[int]) -> np.ndarray:
        model = Ridge(0.7 * scale, fit_intercept=False)
        model.fit((unit[rows] - centre).numpy(), classifiers[rows].numpy())
        return model.predict((unit[label] - centre)[None].numpy())[0]

    predicted = (weights @ classifiers).numpy()
    np.testing.assert_allclose(predicted[5], by_ridge(5, usable), atol=1e-8)
    rest = [i for i in usable if i != 7]
    np.testing.assert_allclose(predicted[7], by_ridge(7, rest), atol=1e-8)
    assert not weights[3].any()
    assert not weights[:, ~seen].any()
    assert weights[7, 7] == 0

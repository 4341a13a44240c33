"""The choice of similarity: found where it is, exactly nothing where it is not."""

import json
import math

import pytest
import torch

from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity import (
    candidate_sources,
    choose_similarity,
    judging,
    similarity_start,
    source_from_vectors,
)
from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.baselines.similarity.choice import WITH, WITHOUT
from gatlabel.baselines.similarity.edges import share_as_chosen, similarity_graph
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.labels import LabelSet
from gatlabel.metrics import average_precision
from gatlabel.missing import make_completion
from gatlabel.nn import GATHead, GATv2Head, PyGHead
from tests.baselines.similarity.cases import LABELS, WIDTH, grouped, names_of

NAMES = LabelSet([f"label {i}" for i in range(LABELS)])


def masked(targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every fifth label without known positives: half of these unknown, half known absent."""
    hidden = torch.arange(LABELS) % 5 == 0
    y = targets.clone()
    y[:, hidden] = torch.where(torch.arange(int(hidden.sum())) % 2 == 0, -1.0, 0.0)
    return y, hidden


def test_it_finds_similarity_that_pays_and_the_images_gain() -> None:
    features, targets, vectors = grouped(images=1000)
    x, rest = features[:240], features[240:]
    y, hidden = masked(targets[:240])
    sources = candidate_sources(NAMES, name_vectors=vectors, cooccurrence=False, learned=False)
    choice = choose_similarity(x, y, sources)
    assert choice.source == choice.source_unseen == "names"
    assert choice.strength > 0.3
    assert choice.strength_unseen > 0.3
    assert torch.equal(choice.seen, ~hidden)
    linear, shared = ridge_start(x, y), similarity_start(x, y, choice)
    points = [
        100 * average_precision(rest @ start.weight.T + start.bias, targets[240:])
        for start in (linear, shared)
    ]
    gained = points[1] - points[0]
    assert float(gained[hidden].mean()) > 10
    assert float(gained[~hidden].mean()) > 0.5
    (evidence,) = choice.evidence
    assert evidence.seen.p <= 0.005
    assert evidence.unseen.p <= 0.025
    assert evidence.unseen.effect > 0.6 > evidence.unseen.null_mean + 2 * evidence.unseen.null_sd


@pytest.mark.parametrize("seed", range(3))
def test_at_strength_0_everything_is_bit_for_bit_the_linear_one(seed: int) -> None:
    features, targets, vectors = grouped(alike=False, seed=seed)
    y, _ = masked(targets)
    choice = choose_similarity(features, y, names_of(vectors))
    assert choice.linear
    assert choice.sharing() is None
    assert choice.source is None
    assert choice.source_unseen is None
    linear, shared = ridge_start(features, y), similarity_start(features, y, choice)
    assert torch.equal(linear.weight, shared.weight)
    assert torch.equal(linear.bias, shared.bias)
    graph = similarity_graph(choice, NAMES)
    assert graph.num_edges == 0
    head = GATHead(WIDTH, graph, node_features="learned", hidden=8)
    share_as_chosen(head, choice)
    assert head.mixing_matrix() is None
    head.init_linear(shared.weight, shared.bias)
    expected = torch.nn.functional.linear(features, linear.weight, linear.bias)
    torch.testing.assert_close(head.fold()(features), expected, rtol=0, atol=0)


def test_only_labels_without_positives_share_if_only_they_gain() -> None:
    features, targets, vectors = grouped()
    y, hidden = masked(targets)
    (source,) = names_of(vectors)
    choice = assembled(y, None, Used("names", 0.4, source.matrix))
    linear, shared = ridge_start(features, y), similarity_start(features, y, choice)
    assert torch.equal(linear.weight[~hidden], shared.weight[~hidden])
    assert torch.equal(linear.bias[~hidden], shared.bias[~hidden])
    rate = y[:, ~hidden].mean(0).double()
    spread = torch.zeros(LABELS).double()
    spread[~hidden] = (rate * (1 - rate)).sqrt()
    weights = (source.matrix * ~hidden)[5]
    weights = weights / weights.sum()
    by_hand = 0.4 * (weights * spread) @ linear.weight.double() / (weights @ spread)
    torch.testing.assert_close(shared.weight[5], by_hand.float())
    # the mean logit stays
    for start in (linear, shared):
        mean = (features.double().mean(0) @ start.weight[5].double()) + start.bias[5].double()
        assert float(mean) == pytest.approx(float(linear.bias[5]), abs=1e-5)


@pytest.mark.parametrize("kind", [GATHead, GATv2Head, PyGHead])
def test_a_head_on_the_edges_of_the_choice_shares_as_chosen(kind, tmp_path) -> None:
    features, targets, vectors = grouped()
    y, hidden = masked(targets)
    (source,) = names_of(vectors)
    choice = assembled(y, Used("names", 0.6, source.matrix), Used("names", 0.3, source.matrix))
    graph = similarity_graph(choice, NAMES, Cooccurrence.from_targets(y.numpy(), NAMES))
    assert graph.relation == "similarity"
    head = kind(WIDTH, graph, hidden=8)
    share_as_chosen(head, choice)
    sharing = choice.sharing()
    torch.testing.assert_close(head.mixing_matrix(), sharing, rtol=1e-5, atol=1e-6)
    off = sharing - torch.eye(LABELS)
    positives = y.clamp(min=0).sum(0).double()
    torch.testing.assert_close(off.sum(1)[~hidden], (0.6 * 3 / (3 + positives))[~hidden])
    torch.testing.assert_close(off.sum(1)[hidden], torch.full((int(hidden.sum()),), 0.3).double())
    assert not off[:, hidden].any()  # nothing is to be had of a label without positives
    start = similarity_start(features, y, choice)
    head.init_linear(start.weight, start.bias)
    logits = features @ start.weight.T + start.bias
    torch.testing.assert_close(head(features), logits, rtol=1e-4, atol=1e-4)
    again = kind(WIDTH, graph, hidden=8)  # strengths are part of the state
    again.load_state_dict(head.state_dict())
    assert torch.equal(again.mixing_matrix(), head.mixing_matrix())


def test_strengths_are_checked() -> None:
    _, targets, vectors = grouped()
    (source,) = names_of(vectors)
    graph = similarity_graph(assembled(targets, Used("names", 0.5, source.matrix)), NAMES)
    head = GATHead(WIDTH, graph, node_features="learned", hidden=8)
    for wrong in (torch.ones(LABELS), torch.zeros(3), torch.full((LABELS,), float("nan"))):
        with pytest.raises(InputError, match="at least 0 and below 1"):
            head.set_strengths(wrong)
    alone = GATHead(WIDTH, graph, node_features="learned", hidden=8, similarity_weight=0.0)
    with pytest.raises(InputError, match="shares no classifiers"):
        alone.set_strengths(torch.zeros(LABELS))


@pytest.mark.parametrize("permuted", [False, True], ids=["shuffled names", "permuted targets too"])
def test_without_similarity_none_is_chosen(permuted: bool) -> None:
    """Level 3 % in all: 4 or more of 20 draws have a chance of 0.3 %."""
    features, targets, vectors = grouped(images=160)
    chosen = 0
    for seed in range(20):
        rng = torch.Generator().manual_seed(seed)
        names = vectors[torch.randperm(LABELS, generator=rng)]
        y, _ = masked(targets)
        if permuted:
            y = torch.stack([one[torch.randperm(160, generator=rng)] for one in y.T], 1)
        sources = candidate_sources(
            NAMES, name_vectors=names, cooccurrence=permuted, learned=permuted
        )
        chosen += not choose_similarity(features, y, sources, seed=seed, permutations=199).linear
    assert chosen <= 3


def test_a_map_is_used_if_it_predicts_better(monkeypatch) -> None:
    """The vectors have a large part shared by many labels, and a small informative part."""
    rng = torch.Generator().manual_seed(0)
    telling = torch.randn(LABELS, 4, generator=rng)
    vectors = torch.cat([telling, torch.full((LABELS, 1), 6.0)], 1)
    features = torch.randn(600, 30, generator=rng)
    score = features @ (telling @ torch.randn(4, 30, generator=rng)).T / 8
    score = score + torch.randn(600, LABELS, generator=rng) / 2
    targets = (score > score.quantile(0.9, dim=0)).float()
    y, hidden = masked(targets[:300])
    choice = choose_similarity(features[:300], y, names_of(vectors), permutations=199)
    assert choice.rule == "map"
    assert "by a map from vectors" in choice.explain()[1]
    monkeypatch.setattr(judging, "MOST_MAPPED", 10)
    average = choose_similarity(features[:300], y, names_of(vectors), permutations=199)
    assert average.rule == "neighbours"
    mean = []
    for one in (choice, average):
        start = similarity_start(features[:300], y, one)
        scores = features[300:] @ start.weight.T + start.bias
        mean.append(float(average_precision(scores, targets[300:])[hidden].mean()))
    assert mean[0] > mean[1] + 0.02


def test_the_explanation_has_the_choice_and_the_reason() -> None:
    features, targets, vectors = grouped()
    y, _ = masked(targets)
    found, none = (
        choose_similarity(features, y, names_of(v), permutations=199)
        for v in (
            vectors,
            vectors[torch.randperm(LABELS, generator=torch.Generator().manual_seed(0))],
        )
    )
    for line, which in zip(found.explain(), (WITH, WITHOUT), strict=True):
        assert line.startswith(f"similarity, labels {which}: names, strength 0.")
        assert "under permuted names" in line
        assert "p 0.005" in line
    assert all("none; closest was names" in line for line in none.explain())
    assert "(7: label 0, label 5, label 10, label 15, label 20, …)" in found.explain(NAMES)[1]
    taken = found.by_label(NAMES)
    assert len(taken) == LABELS
    assert next(iter(taken["label 8"])) in {"label 16", "label 24"}  # of its group, with positives
    expected = float(found.sharing()[8].sum()) - 1
    assert sum(taken["label 8"].values()) == pytest.approx(expected)
    assert none.by_label(NAMES) == {}
    record = json.loads(json.dumps(found.record()))
    assert record["source"] == "names"
    assert record["evidence"][0]["unseen"]["labels"] == 25
    nothing = choose_similarity(features, y, [])
    assert nothing.linear
    assert all("no source to test" in line for line in nothing.explain())


@pytest.mark.parametrize(
    "targets",
    [torch.zeros(20, 6), torch.full((20, 6), -1.0), torch.eye(20)[:, :3].repeat(1, 2)[:, :3]],
    ids=["no positives", "all unknown", "three labels"],
)
def test_too_little_to_test_is_strength_0(targets: torch.Tensor) -> None:
    labels = targets.shape[1]
    sources = candidate_sources(LabelSet(list("abcdef"[:labels])), name_vectors=torch.eye(labels))
    choice = choose_similarity(torch.randn(20, 5), targets, sources)
    assert choice.linear
    assert "labels with known presences and absences, the tests need 4" in choice.explain()[0]
    start = similarity_start(torch.randn(20, 5), targets, choice)
    assert start.weight.shape == (labels, 5)


@pytest.mark.parametrize("features", [torch.zeros(40, 5), torch.ones(40, 1)], ids=["zero", "one"])
def test_uninformative_features_choose_nothing(features: torch.Tensor) -> None:
    targets = (torch.rand(40, 8, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    sources = candidate_sources(
        LabelSet(list("abcdefgh")), name_vectors=torch.randn(8, 4), given_vectors=torch.zeros(8, 2)
    )
    choice = choose_similarity(features, targets, sources, permutations=99)
    assert choice.linear
    assert all(math.isfinite(one.seen.z) for one in choice.evidence)


def test_wrong_input_is_refused() -> None:
    features, targets, vectors = grouped()
    source = source_from_vectors("names", vectors)
    for given, said in (
        ((features[:5], targets, [source]), "of the same images"),
        ((features, targets[:, :4], [source]), "'names' is for 32 labels, the targets have 4"),
        ((features, targets, [source, source]), "two similarity sources have the name 'names'"),
        ((features / 0, targets, [source]), "finite features"),
    ):
        with pytest.raises(InputError, match=said):
            choose_similarity(*given)
    with pytest.raises(InputError, match="at least 99"):
        choose_similarity(features, targets, [source], permutations=20)


def test_labels_that_are_always_present_are_not_without_positives() -> None:
    features, targets, vectors = grouped()
    y = targets.clone()
    y[:, 3] = 1.0
    choice = choose_similarity(features, y, names_of(vectors), permutations=199)
    assert (~choice.seen).nonzero()[:, 0].tolist() == [3]
    line = choice.explain(NAMES)[1]
    assert line.startswith(f"similarity, labels {WITHOUT} (1: label 3): names, strength 0.")


def test_positives_alone_are_evidence_only_with_assumed_absences() -> None:
    features, targets, vectors = grouped()
    listed = torch.where(targets == 1, 1.0, -1.0)
    nothing = choose_similarity(features, listed, names_of(vectors), permutations=199)
    assert nothing.linear
    assert "0 labels with known presences and absences" in nothing.explain()[0]
    for treatment in ("negative", "complete"):
        observed = make_completion(treatment, listed).observed_targets()
        assert torch.equal(observed, targets)
    assert not choose_similarity(features, observed, names_of(vectors), permutations=199).linear


@pytest.mark.parametrize("treatment", ["ignore", "prior", "complete", "pseudo"])
def test_estimates_in_place_of_unknown_targets_are_no_evidence(treatment: str) -> None:
    _, targets, _ = grouped()
    y = targets.clone()
    y[::2] = -1.0
    completion = make_completion(treatment, y)
    completion.update(torch.randn(y.shape), progress=1.0)
    assert torch.equal(completion.observed_targets(), y)

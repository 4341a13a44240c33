"""Treatments of unknown targets: what never changes, which way evidence works, what is found."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from gatlabel.data.scenes import label_model, scene_config
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.missing import UNKNOWN, make_completion
from gatlabel.missing.base import label_rates
from gatlabel.missing.evidence import neighbour_weights

NAMES = ["fork", "knife", "cow", "grass", "boat"]
TREATMENTS = sorted(UNKNOWN)


def paired(images: int, seed: int = 0) -> Tensor:
    """Knife follows fork, grass follows cow, boat follows nothing."""
    rng = np.random.default_rng(seed)
    fork, cow, boat = (rng.random(images) < p for p in (0.3, 0.4, 0.2))
    knife = np.where(fork, rng.random(images) < 0.9, rng.random(images) < 0.05)
    grass = np.where(cow, rng.random(images) < 0.8, rng.random(images) < 0.1)
    return torch.from_numpy(np.stack([fork, knife, cow, grass, boat], 1).astype(np.float32))


def hidden(targets: Tensor, share: float, seed: int = 1) -> Tensor:
    mask = torch.rand(targets.shape, generator=torch.Generator().manual_seed(seed)) < share
    return torch.where(mask, -1.0, targets)


def graph_of(targets: Tensor, names: list[str] = NAMES) -> LabelGraph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Cooccurrence.from_targets(targets, names).graph("complete")


def noisy_logits(truth: Tensor, noise: float = 2.0, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * (2 * truth - 1) + noise * torch.randn(truth.shape, generator=generator) - 1


TRUTH = paired(400)
TARGETS = hidden(TRUTH, 0.5)
LOGITS = noisy_logits(TRUTH)


@pytest.mark.parametrize("name", TREATMENTS)
def test_known_entries_stay_and_all_targets_follow_the_convention(name: str) -> None:
    completion = make_completion(name, TARGETS, graph_of(TARGETS))
    before = TARGETS.clone()
    for progress in (0.1, 0.5, 1.0):
        completion.update(LOGITS * 3, progress)
        now = completion.targets
        assert torch.equal(now[TARGETS != -1], TARGETS[TARGETS != -1])
        assert (((now >= 0) & (now <= 1)) | (now == -1)).all()
    assert torch.equal(before, TARGETS)


@pytest.mark.parametrize("name", TREATMENTS)
def test_with_all_labels_known_nothing_changes(name: str) -> None:
    completion = make_completion(name, TRUTH, graph_of(TRUTH))
    completion.update(LOGITS, 0.9)
    assert torch.equal(completion.targets, TRUTH)


def test_constant_treatments() -> None:
    targets = torch.tensor([[1.0, -1.0], [0.0, 1.0], [-1.0, 1.0], [1.0, 0.0]])
    unknown = targets == -1
    assert torch.equal(make_completion("ignore", targets).targets, targets)
    assert (make_completion("negative", targets).targets[unknown] == 0).all()
    # overall rate 4/6; (2 + 4/6) / (3 + 1) for both labels
    prior = make_completion("prior", targets).targets[unknown]
    torch.testing.assert_close(prior, torch.full((2,), (2 + 4 / 6) / 4))


def test_nothing_is_filled_in_during_the_warm_up() -> None:
    completion = make_completion("complete", TARGETS, graph_of(TARGETS), warmup=0.6)
    completion.update(LOGITS, 0.59)
    assert torch.equal(completion.targets, TARGETS)
    completion.update(LOGITS, 0.6)
    assert not torch.equal(completion.targets, TARGETS)


def test_a_known_fork_speaks_for_the_knife_and_its_absence_against() -> None:
    row = torch.tensor([[1.0, -1, -1, -1, -1], [-1.0, -1, -1, -1, -1], [0.0, -1, -1, -1, -1]])
    targets = torch.cat([TARGETS, row])
    logits = torch.cat([LOGITS, torch.full((3, 5), -0.5)])
    completion = make_completion("complete", targets, graph_of(TARGETS))
    with_fork, without, against = completion.log_odds(logits)[-3:, 1].tolist()
    assert with_fork > without + 1
    assert without == pytest.approx(-0.5)  # nothing known: the image alone
    assert against < without - 0.3
    assert completion.log_odds(logits)[-3, 4].item() == pytest.approx(-0.5, abs=0.5)  # the boat
    logits[:-3] = -9.0  # so that the bound on how many are filled in does not matter
    completion.update(logits, 1.0)
    assert completion.targets[-3, 1] > 0.5
    assert completion.targets[-2:, 1].tolist() == [-1, -1]


def test_only_edges_of_the_graph_contribute_evidence() -> None:
    one = LabelGraph.from_edges([("fork", "knife")], NAMES)
    completion = make_completion("complete", TARGETS, one)
    evidence = completion.log_odds(torch.zeros_like(TARGETS))
    others = [0, 2, 3, 4]
    assert (evidence[:, others] == 0).all()
    assert (evidence[TARGETS[:, 0] == 1, 1] > 0.5).all()
    for none in (None, LabelGraph(NAMES, torch.zeros(2, 0))):
        alone = make_completion("complete", TARGETS, none)
        assert torch.equal(alone.log_odds(LOGITS), LOGITS)


def test_similarity_edges_share_classifiers_and_cooccurrence_edges_do_not() -> None:
    edges = [("fork", "knife", 2.0), ("knife", "fork", 1.0), ("cow", "knife", 6.0)]
    similarity = LabelGraph.from_edges(edges, NAMES, relation="similarity")
    sharing = make_completion(
        "complete", TARGETS, similarity, similarity_weight=0.4
    ).mixing_matrix()
    expected = torch.eye(5).double()
    fork, knife = (float((TARGETS[:, k] == 1).sum()) for k in (0, 1))
    expected[0, 1] = 0.4 * 3 / (3 + fork)  # the more are known, the less they take
    expected[1, 0], expected[1, 2] = 0.1 * 3 / (3 + knife), 0.3 * 3 / (3 + knife)
    torch.testing.assert_close(sharing, expected)
    cooccurrence = LabelGraph.from_edges(edges, NAMES)
    assert make_completion("complete", TARGETS, cooccurrence).mixing_matrix() is None
    assert make_completion("ignore", TARGETS, similarity).mixing_matrix() is None
    assert (
        make_completion("complete", TARGETS, similarity, similarity_weight=0.0).mixing_matrix()
        is None
    )
    none = LabelGraph.from_edges([], NAMES, relation="similarity")
    assert make_completion("complete", TARGETS, none).mixing_matrix() is None


def test_weights_of_edges_and_loops_do_not_matter() -> None:
    plain = LabelGraph.from_edges([("fork", "knife"), ("cow", "grass")], NAMES)
    edges = [("fork", "knife", 0.1), ("cow", "grass", 7.0), ("boat", "boat", 1.0)]
    weighted = LabelGraph.from_edges(edges, NAMES, self_loops=True)
    one = make_completion("complete", TARGETS, plain).log_odds(LOGITS)
    two = make_completion("complete", TARGETS, weighted).log_odds(LOGITS)
    assert torch.equal(one, two)


def test_neighbour_weights_agree_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    known = TARGETS != -1
    rates = label_rates(TARGETS, known)
    values = torch.where(known, TARGETS - rates, 0.0)
    edges, weights = neighbour_weights(values, TARGETS, known, rates, graph_of(TARGETS))
    for label in range(5):
        near = edges[0, edges[1] == label]
        rows = known[:, label]
        oracle = _ridge_by_gradient(
            values[rows][:, near], TARGETS[rows, label], torch.logit(rates[label])
        )
        torch.testing.assert_close(weights[edges[1] == label], oracle, atol=1e-4, rtol=1e-4)
    # mirrored data has b = 0 and a base rate of 1/2, so that scikit-learn fits the same model
    half = torch.full_like(rates, 0.5)
    balanced = torch.cat([values, -values])
    both = torch.cat([TARGETS, torch.where(known, 1 - TARGETS, -1.0)])
    _, ours = neighbour_weights(balanced, both, both != -1, half, graph_of(TARGETS))
    rows = (both != -1)[:, 1]
    near = [0, 2, 3, 4]
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-8)
    model.fit(balanced[rows][:, near].numpy(), both[rows, 1].numpy())
    found = ours[edges[1] == 1]
    assert np.abs(found.numpy() - model.coef_[0]).max() < 1e-3
    assert found.max() > 1  # the fork


def _ridge_by_gradient(inputs: Tensor, targets: Tensor, base: Tensor) -> Tensor:
    """The same estimate by L-BFGS: slow, and without a derivative of its own."""
    design = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
    weight = torch.zeros(design.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        fit = torch.nn.functional.binary_cross_entropy_with_logits(
            base.double() + design @ weight, targets.double(), reduction="sum"
        )
        loss = fit + weight.square().sum() / 2
        loss.backward()
        return loss

    solver.step(closure)
    return weight.detach()[:-1].float()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_graph_and_image_find_more_than_either_on_an_ising_model(share: float) -> None:
    model = label_model(scene_config("coco"))
    truth = torch.from_numpy(model.sample(1500, (7,)).astype(np.float32))
    targets = hidden(truth, share)
    unknown = targets == -1
    logits = noisy_logits(truth, noise=3.0) - 1
    graph = graph_of(targets, list(model.names))
    complete = make_completion("complete", targets, graph)
    alone = make_completion("complete", targets, None)
    base = torch.logit(label_rates(targets, targets != -1)).expand_as(targets)

    def area(scores: Tensor) -> float:
        from sklearn.metrics import roc_auc_score

        return float(roc_auc_score(truth[unknown].numpy(), scores[unknown].numpy()))

    gain = 0.001 if share == 0.8 else 0.004  # with 4 % of the pairs known there is less to learn
    assert area(complete.log_odds()) > area(base) + (0.005 if share == 0.8 else 0.03)
    assert area(complete.log_odds(logits)) > area(alone.log_odds(logits)) + gain
    complete.update(logits, 1.0)
    filled = unknown & (complete.targets != -1)
    assert filled.sum() > 0.05 * unknown.sum() * truth.mean()
    assert truth[filled].mean() > 4 * truth[unknown].mean()


def test_no_label_is_filled_in_beyond_what_its_frequency_makes_one_expect() -> None:
    everything = torch.full_like(LOGITS, 9.0) + torch.rand(
        LOGITS.shape, generator=torch.Generator().manual_seed(0)
    )
    for share in (0.25, 0.5, 1.0):
        completion = make_completion("complete", TARGETS, graph_of(TARGETS), share=share)
        completion.update(everything, 1.0)
        unknown = TARGETS == -1
        filled = (unknown & (completion.targets != -1)).sum(0)
        expected = label_rates(TARGETS, ~unknown) * unknown.sum(0)
        assert ((filled - share * expected).abs() <= 0.5 + 1e-4).all()


def test_completion_does_not_depend_on_the_order_of_images_and_labels() -> None:
    rows = torch.randperm(len(TARGETS), generator=torch.Generator().manual_seed(3))
    columns = torch.tensor([3, 0, 4, 2, 1])
    graph = LabelGraph.from_edges(
        [("fork", "knife"), ("cow", "grass"), ("boat", "grass"), ("knife", "fork")], NAMES
    )
    one = make_completion("complete", TARGETS, graph)
    permuted = TARGETS[rows][:, columns]
    two = make_completion("complete", permuted, graph.reorder([NAMES[k] for k in columns]))
    one.update(LOGITS, 1.0)
    two.update(LOGITS[rows][:, columns], 1.0)
    torch.testing.assert_close(two.targets, one.targets[rows][:, columns], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", TREATMENTS)
def test_beliefs_are_known_targets_and_what_is_thought_of_the_others(name: str) -> None:
    targets = hidden(paired(60), 0.5)
    completion = make_completion(name, targets, graph_of(targets))
    logits = torch.randn(60, 5, generator=torch.Generator().manual_seed(2))
    logits[7] = torch.nan
    believed = completion.estimates(logits)
    known = targets >= 0
    assert torch.equal(believed[known], targets[known])
    if name in ("complete", "pseudo"):
        seen = ~known & ~logits.isnan()
        scores = completion.log_odds if name == "complete" else completion.scores
        assert torch.equal(believed[seen], scores(logits).sigmoid()[seen])
        assert (believed[7][~known[7]] == -1).all()  # nothing is thought of what was not seen
    else:
        assert torch.equal(believed, completion.targets)


def test_images_that_were_not_seen_keep_their_targets() -> None:
    completion = make_completion("complete", TARGETS, graph_of(TARGETS))
    completion.update(LOGITS, 0.5)
    before = completion.targets.clone()
    later = LOGITS.flip(1)
    later[::2] = torch.nan
    completion.update(later, 0.7)
    assert torch.equal(completion.targets[::2], before[::2])
    assert not torch.equal(completion.targets[1::2], before[1::2])
    assert not completion.targets.isnan().any()


ONE = [[1.0], [0.0], [-1.0]]
NEVER = [[0.0, -1.0, 1.0], [-1.0, -1.0, -1.0], [0.0, -1.0, -1.0]]
CONSTANT = [[1.0, 0.0], [1.0, -1.0], [-1.0, 0.0], [1.0, -1.0]]


@pytest.mark.parametrize("name", TREATMENTS)
@pytest.mark.parametrize("rows", [ONE, NEVER, CONSTANT, [[-1.0, -1.0]], [[1.0, -1.0]]])
def test_odd_data_gives_numbers(name: str, rows: list[list[float]]) -> None:
    targets = torch.tensor(rows)
    if name == "pseudo" and not bool(((targets >= 0) & (targets < 1)).any()) and targets.max() == 1:
        with pytest.raises(InputError, match="need known absences"):
            make_completion(name, targets)
        return
    names = NAMES[: targets.shape[1]]
    graph = LabelGraph.from_edges([(names[0], names[-1])] if len(names) > 1 else [], names)
    completion = make_completion(name, targets, graph)
    for logits in (torch.zeros_like(targets), torch.full_like(targets, torch.inf)):
        completion.update(logits, 1.0)
        assert torch.isfinite(completion.targets).all()
    empty = make_completion(name, torch.zeros(0, 2), None)
    empty.update(torch.zeros(0, 2), 1.0)
    assert empty.targets.shape == (0, 2)


def test_where_only_presences_are_known_frequencies_are_assumed() -> None:
    targets = torch.full((100, 3), -1.0)
    targets[:60, 0] = 1
    targets[60:90, 1] = 1
    targets[90:, 2] = 1
    completion = make_completion("complete", targets, None, positives=1.5)
    unknown = targets == -1
    expected = torch.tensor([0.5, 1.5 * 0.3, 1.5 * 0.1])  # 0.9 is held at 0.5
    torch.testing.assert_close(completion.targets[unknown], expected.expand(100, 3)[unknown])
    logits = torch.full((100, 3), -2.0)
    logits[:5, 2] = torch.arange(5.0) + 1
    completion.update(logits, 1.0)
    assert (completion.targets[:5, 2] > 0.8).all()
    torch.testing.assert_close(completion.targets[5:90, 2], torch.full((85,), 0.15))


def test_the_state_continues_identically() -> None:
    graph = graph_of(TARGETS)
    whole, cut = (make_completion("complete", TARGETS, graph) for _ in range(2))
    whole.update(LOGITS, 0.5)
    cut.update(LOGITS, 0.5)
    resumed = make_completion("complete", TARGETS, graph)
    resumed.load_state_dict(cut.state_dict())
    later = LOGITS * 0.7
    later[:50] = torch.nan
    whole.update(later, 0.8)
    resumed.update(later, 0.8)
    assert torch.equal(whole.targets, resumed.targets)
    other = make_completion("complete", hidden(TRUTH, 0.5, seed=9), graph)
    with pytest.raises(InputError, match="other targets"):
        other.load_state_dict(cut.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup": 1.0}, "warmup=1.0"),
        ({"share": 0}, "share=0"),
        ({"threshold": 0.3}, "threshold=0.3"),
        ({"sharpness": 0.5}, "sharpness=0.5"),
        ({"shrinkage": 0}, "shrinkage=0"),
        ({"neighbours": 0}, "neighbours=0"),
        ({"positives": 0}, "positives=0"),
        ({"similarity_weight": 1}, "similarity_weight=1"),
        ({"warmpu": 0.5}, "did you mean 'warmup'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_completion("complete", TARGETS, None, **options)


def test_wrong_input_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'complete'"):
        make_completion("completed", TARGETS)
    with pytest.raises(InputError, match="values are 0 to 1"):
        make_completion("ignore", TARGETS + 2)
    with pytest.raises(InputError, match="5 labels, the targets 4"):
        make_completion("complete", TARGETS[:, :4], graph_of(TARGETS))
    with pytest.raises(InputError, match="one row per training image"):
        make_completion("complete", TARGETS).update(LOGITS[:3], 0.5)
    with pytest.raises(InputError, match="option of 'negative'"):
        make_completion("negative", TARGETS, None, warmup=0.2)

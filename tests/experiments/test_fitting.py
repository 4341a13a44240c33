"""The trainer of heads on features, and the settings that are tried."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from gatlabel.baselines.ridge import LinearStart, ridge_start
from gatlabel.errors import InputError
from gatlabel.experiments.fitting import Features, fit_head, predict
from gatlabel.experiments.optimizing import FASTEST, FitOptions, anchor_step, head_groups
from gatlabel.experiments.tuning import FROZEN_SPACE, best_trial, trial_options
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.missing import make_completion
from gatlabel.missing.starting import completed_start
from gatlabel.nn import HEADS, LinearHead
from gatlabel.nn.heads.protocols import starts_linear

QUICK = FitOptions(
    lr=0.05, weight_decay=0.01, shrinkage=0.1, epochs=3, least_steps=40, batch_size=20
)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    array = rng.normal(0, 3, (60, 6)).astype(np.float32)
    targets = (array @ rng.normal(size=(6, 4)) > 0).astype(np.float32)
    return array, torch.from_numpy(targets)


def trained(data, seed: int, options: FitOptions = QUICK, completion=None) -> LinearHead:
    torch.manual_seed(1)
    head = LinearHead(6, 4)
    fit_head(head, Features(data[0]), data[1], options, seed, completion)
    return head


def test_it_learns_and_repeats_itself(data) -> None:
    head = trained(data, seed=0)
    right = (predict(head, Features(data[0])) > 0) == (data[1] > 0.5)
    assert right.float().mean() > 0.9
    assert not head.training
    again, other = trained(data, seed=0), trained(data, seed=1)
    torch.testing.assert_close(head.linear.weight, again.linear.weight, rtol=0, atol=0)
    assert not torch.allclose(head.linear.weight, other.linear.weight)


def test_weight_decay_and_average_are_used(data) -> None:
    norm = {
        decay: float(
            trained(data, 0, FitOptions(0.05, decay, 0, 3, 40, 20)).linear.weight.detach().norm()
        )
        for decay in (0.0, 10.0)
    }
    assert norm[10.0] < 0.8 * norm[0.0]
    raw = trained(data, 0, FitOptions(0.05, 0.01, 0.1, 3, 40, 20, ema=0))
    assert not torch.allclose(raw.linear.weight, trained(data, 0).linear.weight)


def test_the_average_is_the_definition(data) -> None:
    """A batch of all images and one pass: weights after every step, averaged by hand."""
    options = FitOptions(0.05, 0.0, 0.0, epochs=5, least_steps=1, batch_size=60, ema=0.5)
    seen = []

    class Recorder(LinearHead):
        def forward(self, features):
            if self.training:
                seen.append(self.linear.weight.detach().clone())
            return super().forward(features)

    torch.manual_seed(1)
    head = Recorder(6, 4)
    fit_head(head, Features(data[0]), data[1], options, 0)
    raw = trained(data, 0, FitOptions(0.05, 0.0, 0.0, 5, 1, 60, ema=0))
    expected = seen[0]
    for n, weight in enumerate([*seen[1:], raw.linear.weight.detach()]):
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * weight
    torch.testing.assert_close(head.linear.weight.detach(), expected)


def test_shrinkage_follows_the_step_it_holds() -> None:
    counts = Cooccurrence.from_targets([[1, 1, 0], [0, 1, 1]], ["a", "b", "c"])
    head = HEADS["gat"](6, graph=counts.graph("complete"), hidden=4, heads=2)
    groups = head_groups(head, FitOptions(lr=0.1, weight_decay=0.5, shrinkage=0.7))
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decay) == len(list(head.parameters()))
    assert decay[id(head.weight)] == 0.5
    assert decay[id(head.bias)] == 0.0
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(head.weight)] == rates[id(head.bias)] == 0.1  # convex: as fast as asked for
    assert rates[id(head.project.weight)] == FASTEST
    with torch.no_grad():
        head.out_edge.fill_(2.0)
    for parameter in head.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(groups).step()  # Adam's first step is the sign of the gradient
    expected = 0.3 * (2.0 - FASTEST)
    torch.testing.assert_close(head.out_edge.detach(), torch.full((4, 6), expected))
    torch.testing.assert_close(head.out_self.detach(), torch.full((4, 6), -0.3 * FASTEST))


def test_completion_provides_the_targets_and_is_updated_every_epoch(data) -> None:
    class Opposite:
        def __init__(self, targets) -> None:
            self.targets = 1 - targets
            self.updates: list[tuple[tuple[int, ...], float]] = []

        def update(self, logits, progress) -> None:
            self.updates.append((tuple(logits.shape), progress))

    completion = Opposite(data[1])
    head = trained(data, 0, FitOptions(0.05, 0.01, 0.1, 4, 1, batch_size=30), completion)
    wrong = (predict(head, Features(data[0])) > 0) != (data[1] > 0.5)
    assert wrong.float().mean() > 0.7
    assert completion.updates == [((60, 4), k / 4) for k in (1, 2, 3, 4)]


@pytest.mark.parametrize("shape", [(50, 6), (50, 6, 2, 3)])
def test_features_are_scaled_by_one_number(shape) -> None:
    array = np.random.default_rng(0).normal(2, 5, shape).astype(np.float32)
    rows = np.array([3, 1, 4, 10])
    features = Features(array, rows)
    found = features[np.arange(4)]
    assert float(found.square().mean()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(found * features.scale, torch.from_numpy(array[rows]))
    other = Features(array, scale=2.0)
    torch.testing.assert_close(other[np.array([7])] * 2, torch.from_numpy(array[[7]]))


def test_trials_are_the_same_for_all_methods_and_differ_from_each_other() -> None:
    trials = trial_options(FROZEN_SPACE, 9)
    assert trials == trial_options(FROZEN_SPACE, 9)
    assert trials[0] == {"lr": 5e-3, "weight_decay": 1.0, "anchor_strength": 3.0, "shrinkage": 0.99}
    # heads without shrinkage try nine different settings too, but for the middle one
    assert len({(t["lr"], t["weight_decay"]) for t in trials}) == 9
    for general in ("lr", "weight_decay"):  # a Latin square
        assert len({(t[general], t["shrinkage"]) for t in trials}) == 9
    everything = trial_options(FROZEN_SPACE, 1000)
    assert len({tuple(sorted(t.items())) for t in everything}) == len(everything) == 27


NAN = float("nan")
SETTINGS = [
    {"lr": 1e-3, "weight_decay": 1.0, "shrinkage": 0.9},
    {"lr": 1e-3, "weight_decay": 10.0, "shrinkage": 0.3},
    {"lr": 3e-3, "weight_decay": 10.0, "shrinkage": 0.9},
    {"lr": 1e-3, "weight_decay": 10.0, "shrinkage": 0.9},
]


def test_the_best_trial_of_one_seed_has_the_highest_score() -> None:
    assert best_trial({0: [0.3], 1: [0.41], 2: [0.4], 3: [0.2]}, SETTINGS) == 1


def test_the_most_regularised_of_indistinguishable_trials_is_selected() -> None:
    alike = {0: [0.30, 0.50], 1: [0.31, 0.48], 2: [0.29, 0.50], 3: [0.28, 0.51]}
    assert best_trial(alike, SETTINGS) == 3
    # trial 3 is worse in both seeds, and by the same
    assert best_trial({**alike, 3: [0.28, 0.48]}, SETTINGS) == 2
    assert best_trial({0: [0.4, 0.4], 1: [0.3, 0.3]}, SETTINGS) == 0


@pytest.mark.parametrize("scores", [{0: [NAN], 1: [NAN]}, {0: [0.3, 0.3], 1: [0.4, NAN]}])
def test_no_trial_is_the_best_of_those_that_have_no_score(scores) -> None:
    with pytest.raises(InputError, match="has no mAP on the tuning split"):
        best_trial(scores, SETTINGS)


@given(st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=6), st.integers(0, 2**31))
def test_distinguishable_trials_are_those_of_a_paired_t_test(gaps: list[float], seed: int) -> None:
    best = np.random.default_rng(seed).uniform(0.3, 0.9, len(gaps))
    other = best - np.array(gaps)
    assume(other.mean() < best.mean() - 1e-6)
    assume(np.std(gaps) > 1e-6)
    p = ttest_rel(best, other, alternative="greater").pvalue
    assume(abs(p - 0.05) > 1e-6)
    trials = [{"lr": 1.0, "weight_decay": d, "shrinkage": 0.1} for d in (1.0, 2.0)]
    kept = best_trial({0: best.tolist(), 1: other.tolist()}, trials)
    assert kept == (1 if p > 0.05 else 0)


class TestALinearStart:
    def start(self, data, targets: torch.Tensor | None = None) -> LinearStart:
        return ridge_start(
            Features(data[0])[np.arange(60)], data[1] if targets is None else targets
        )

    @pytest.mark.parametrize("scale", [0.01, 1.0])
    @pytest.mark.parametrize("rate", [0.001, 0.05])
    def test_the_distance_from_the_start_is_at_most_size_over_anchor(
        self, data, rate, scale
    ) -> None:
        """For any scale of features, and thus of the weights, and any learning rate."""
        start = self.start(data)
        start = LinearStart(scale * start.weight, start.bias, start.penalty)
        size = float(start.weight.square().mean().sqrt())
        for hold in (3.0, 30.0, 1000.0):
            head = LinearHead(6, 4)
            options = FitOptions(rate, 0.0, 0.1, 3, 400, 20, ema=0, anchor_strength=hold)
            fit_head(head, Features(data[0]), data[1], options, 0, None, lambda *_: start)
            away = (head.linear.weight.detach() - start.weight).abs()
            assert 0 < float(away.max()) < 1.1 * size / hold
            assert hold < 1000 or float(away.mean()) > 0.01 * size / hold

    @pytest.mark.parametrize(("rate", "left"), [(0.1, 1 / 1.3), (1.0, 0.25)])
    def test_the_anchor_step_is_the_proximal_step_of_a_squared_penalty(
        self, data, rate, left
    ) -> None:
        start = self.start(data)
        size = float(start.weight.square().mean().sqrt())
        head = LinearHead(6, 4)
        held = head.init_linear(start.weight, start.bias)
        groups = head_groups(head, FitOptions(lr=rate, anchor_strength=3 * size), held)
        with torch.no_grad():
            head.linear.weight.add_(1)
        anchor_step(torch.optim.AdamW(groups))
        torch.testing.assert_close(
            head.linear.weight.detach() - start.weight, torch.full((4, 6), left)
        )

    def test_an_initialisation_of_zeros_is_not_anchored(self, data) -> None:
        nothing = LinearStart(torch.zeros(4, 6), torch.zeros(4), 1.0)
        head = LinearHead(6, 4)
        options = FitOptions(0.05, 0.0, 0.1, 3, 40, 20, ema=0, anchor_strength=30.0)
        fit_head(head, Features(data[0]), data[1], options, 0, None, lambda *_: nothing)
        assert float(head.linear.weight.detach().abs().mean()) > 0.1

    def test_what_is_completed_starts_where_beliefs_complete_it(self, data) -> None:
        """The second classifier is found with beliefs, and what is held most ends near it."""
        counts = Cooccurrence.from_targets(data[1].numpy(), list("abcd"))
        generator = torch.Generator().manual_seed(0)
        hidden = torch.where(torch.rand(60, 4, generator=generator) < 0.5, -1.0, data[1])
        hidden[:, 3] = data[1][:, 3]  # of which nothing is unknown
        asked = []

        def start(targets: torch.Tensor, sharing: torch.Tensor | None) -> LinearStart:
            assert sharing is None
            asked.append(targets.clone())
            return self.start(data, targets)

        head = LinearHead(6, 4)
        options = FitOptions(0.05, 1.0, 0.1, 4, 1, 20, ema=0, anchor_strength=1000.0)
        completion = make_completion("complete", hidden, counts.graph("complete"))
        features = Features(data[0])
        fit_head(head, features, hidden, options, 0, completion, start)
        assert len(asked) == 2
        assert torch.equal(asked[0], hidden)
        first, second = (self.start(data, targets) for targets in asked)
        image = features[np.arange(60)] @ first.weight.T + first.bias
        known = hidden >= 0
        believed = torch.sigmoid(image + completion.evidence)
        torch.testing.assert_close(asked[1], torch.where(known, hidden, believed))
        moved = head.linear.weight.detach() - first.weight
        share = (~known).float().mean(0).sqrt()[:, None]
        expected = share * (second.weight - first.weight)
        assert expected[:3].abs().amax(1).min() > 0.02
        torch.testing.assert_close(moved, expected, atol=2e-3, rtol=0)

    def test_without_unknown_targets_update_is_called_once(self, data) -> None:
        counts = Cooccurrence.from_targets(data[1].numpy(), list("abcd"))
        completion = make_completion("complete", data[1], counts.graph("complete"))
        asked = []

        def start(targets: torch.Tensor, sharing: torch.Tensor | None) -> LinearStart:
            asked.append(targets)
            return self.start(data, targets)

        features = Features(data[0])
        found = completed_start(start, completion, features[np.arange(len(features))])
        assert len(asked) == 1
        assert torch.equal(found.weight, self.start(data).weight)

    @pytest.mark.parametrize("kind", ["linear", "gat", "pyg"])
    @pytest.mark.parametrize("completed", [False, True])
    def test_labels_share_as_in_the_graph_of_the_head_or_of_the_completion(
        self, data, kind, completed
    ) -> None:
        """Heads on similarity edges start with that prior, also with completion."""
        edges = [("a", "b", 1.0), ("b", "a", 1.0), ("c", "b", 0.5)]
        graph = LabelGraph.from_edges(edges, list("abcd"), relation="similarity")
        sharing = torch.eye(4).double()
        sharing[1, 0], sharing[1, 2], sharing[0, 1] = 0.5 / 1.5, 0.25 / 1.5, 0.5
        if kind == "linear":  # completion knows how many presences there are
            less = 3 / (3 + (data[1] == 1).sum(0))
            less[1] = 3 / (3 + (data[1][:, 1][torch.arange(60) % 3 != 0] == 1).sum())
            sharing = torch.eye(4) + less.double()[:, None] * (sharing - torch.eye(4))
        hidden = data[1].clone()
        hidden[::3, 1] = -1
        asked = []

        def start(targets: torch.Tensor, given: torch.Tensor | None) -> LinearStart:
            asked.append(given)
            return ridge_start(Features(data[0])[np.arange(60)], targets, given)

        head = HEADS[kind](6, graph=graph, **({} if kind == "linear" else {"hidden": 8}))
        completion = make_completion("complete", hidden, graph) if completed else None
        options = FitOptions(1e-5, 0.0, 0.999, 1, 1, 20, ema=0, anchor_strength=1e6)
        fit_head(head, Features(data[0]), hidden, options, 0, completion, start)
        assert len(asked) == 1 + completed
        if kind == "linear" and not completed:
            assert asked == [None]
            return
        for asked_for in asked:
            torch.testing.assert_close(asked_for, sharing)
        if not completed:  # what it starts as is what it is after a step that is held back
            expected = ridge_start(Features(data[0])[np.arange(60)], hidden, sharing).weight
            torch.testing.assert_close(head.fold().weight.detach(), expected, atol=1e-3, rtol=1e-3)

    @pytest.mark.parametrize("kind", ["linear", "gat"])
    def test_similar_labels_share_nothing_at_strength_0(self, data, kind) -> None:
        """In a head that can share, its own word counts; and with nothing unknown, none else's."""
        graph = LabelGraph.from_edges([("a", "b", 1.0)], list("abcd"), relation="similarity")
        hidden = data[1].clone()
        hidden[::3, 1] = -1
        options = {"hidden": 8, "similarity_weight": 0.0} if kind == "gat" else {}
        for targets in (data[1], hidden):
            asked = []

            def start(known, sharing, asked=asked) -> LinearStart:
                asked.append(sharing)
                return ridge_start(Features(data[0])[np.arange(60)], known, sharing)

            head = HEADS[kind](6, graph=graph, **options)
            completion = make_completion("complete", targets, graph)
            fit_head(head, Features(data[0]), targets, QUICK, 0, completion, start)
            if kind == "linear" and targets is hidden:
                assert all(sharing is not None for sharing in asked)
            else:
                assert all(sharing is None for sharing in asked)

    @pytest.mark.parametrize("kind", ["gat", "gatv2", "pyg", "gcn", "csra"])
    def test_every_head_supports_it_or_raises_an_error(self, data, kind) -> None:
        counts = Cooccurrence.from_targets(data[1].numpy(), list("abcd"))
        head = HEADS[kind](6, graph=counts.graph("complete"))
        start = self.start(data)
        held = head.init_linear(start.weight, start.bias) if starts_linear(head) else []
        groups = head_groups(head, FitOptions(), held)
        ids = [id(p) for group in groups for p in group["params"]]
        assert sorted(ids) == sorted(map(id, head.parameters()))  # each once
        if kind in ("gcn", "csra"):
            assert held == []
        else:
            features = Features(data[0])[np.arange(60)]
            expected = features @ start.weight.T + start.bias
            torch.testing.assert_close(head(features), expected)

    def test_another_shape_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"weights \(4, 6\)"):
            LinearHead(6, 4).init_linear(torch.zeros(4, 5), torch.zeros(4))

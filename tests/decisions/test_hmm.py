"""The label HMM and the pairwise label model, against all states listed by hand."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from gatlabel.decisions import LabelHMM, PairwiseLabelModel
from gatlabel.errors import InputError
from gatlabel.nn.label_chain import chain_marginals
from gatlabel.nn.label_field import exact_marginals, exact_mode, max_marginals, mean_field


def targets_of(images: int = 40, labels: int = 5, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(images, 1, generator=generator)
    noise = torch.rand(images, labels, generator=generator)
    targets = (0.6 * base + 0.4 * noise > 0.55).float()
    targets[torch.rand(images, labels, generator=generator) < 0.2] = -1
    return targets


def chain_score(hmm: LabelHMM, probabilities: torch.Tensor, state: tuple[int, ...]) -> float:
    """Log-probability of one state of all labels and the evidence, one factor at a time."""
    total = float(hmm.initial[state[0]])
    for place, label in enumerate(hmm.order.tolist()):
        if place:
            total += float(hmm.transition[place - 1, state[place - 1], state[place]])
        if state[place]:
            p, rate = float(probabilities[label]), float(hmm.rates[label])
            total += float(
                torch.tensor(p / (1 - p) / (rate / (1 - rate)), dtype=torch.float64).log()
            )
    return total


@pytest.mark.parametrize("order", ["frequency", "dependence", "given", [4, 2, 0, 1, 3]])
def test_hmm_agrees_with_all_states(order) -> None:
    hmm = LabelHMM.from_targets(targets_of(), order)
    probabilities = torch.rand(6, 5, generator=torch.Generator().manual_seed(1)).double()
    states = list(itertools.product([0, 1], repeat=5))
    present, score = hmm.decode(probabilities)
    marginals = hmm.marginals(probabilities)
    for row, each in enumerate(probabilities):
        scores = torch.tensor([chain_score(hmm, each, s) for s in states], dtype=torch.float64)
        best = states[int(scores.argmax())]
        assert present[row][hmm.order].tolist() == list(map(bool, best))
        assert torch.isclose(score[row], scores.max(), atol=1e-10)
        weights = scores.softmax(0)
        for place, label in enumerate(hmm.order.tolist()):
            wanted = sum(w for w, s in zip(weights, states, strict=True) if s[place])
            assert torch.isclose(marginals[row, label], wanted, atol=1e-10)


def test_transitions_are_counted_in_images_of_which_both_labels_are_known() -> None:
    targets = torch.tensor([[1, 1], [1, 1], [1, 0], [0, 0], [0, -1], [-1, 1]])
    hmm = LabelHMM.from_targets(targets, "given", smoothing=1e-9)
    wanted = torch.tensor([[1.0, 0.0], [1 / 3, 2 / 3]])
    assert torch.allclose(hmm.transition[0].exp().float(), wanted, atol=1e-6)
    unknown = torch.cat([targets, torch.full((5, 2), -1)])
    same = LabelHMM.from_targets(unknown, "given", smoothing=1e-9)
    assert torch.equal(same.transition, hmm.transition)


def test_independent_labels_leave_probabilities_as_they_are() -> None:
    targets = torch.tensor([[a, b] for a in (0, 1) for b in (0, 1)]).repeat(50, 1)
    probabilities = torch.rand(5, 2).double()
    assert torch.allclose(LabelHMM.from_targets(targets).marginals(probabilities), probabilities)


def test_labels_of_one_kind_or_unknown() -> None:
    targets = torch.tensor([[1, 0, -1], [1, 0, -1], [1, 0, -1]])
    found = LabelHMM.from_targets(targets).marginals(torch.tensor([[0.0, 1.0, 0.5]]))
    assert found.isfinite().all()
    with pytest.raises(InputError, match="once"):
        LabelHMM.from_targets(targets, [0, 0, 1])
    with pytest.raises(InputError, match="order"):
        LabelHMM.from_targets(targets, "size")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="0 to 1"):
        LabelHMM.from_targets(targets).decode(torch.tensor([[2.0, 0.0, 0.0]]))


def field(labels: int, strength: float, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    coupling = strength * torch.randn(labels, labels, generator=generator).double()
    coupling = (coupling + coupling.T).fill_diagonal_(0) / 2
    rates = torch.rand(labels, generator=generator).double()
    return coupling, rates, 2 * torch.randn(4, labels, generator=generator).double()


def test_pairwise_model_agrees_with_all_states() -> None:
    coupling, rates, logits = field(5, 1.0)
    states = torch.tensor(list(itertools.product([0.0, 1.0], repeat=5)), dtype=torch.float64)
    for row, z in enumerate(logits):
        scores = []
        for y in states:
            pairs = sum(
                coupling[i, j] * (y[i] - rates[i]) * (y[j] - rates[j])
                for i in range(5)
                for j in range(i)
            )
            scores.append(float(y @ z + pairs))
        weights = torch.tensor(scores, dtype=torch.float64).softmax(0)
        marginals = exact_marginals(logits, coupling, rates)[row].sigmoid()
        assert torch.allclose(marginals, weights @ states, atol=1e-12)
        mode = exact_mode(logits, coupling, rates)[row]
        assert torch.equal(mode.double(), states[int(weights.argmax())])


def test_mean_field_is_near_the_exact_marginals_where_couplings_are_weak() -> None:
    coupling, rates, logits = field(8, 0.2)
    exact = exact_marginals(logits, coupling, rates).sigmoid()
    near = mean_field(logits, coupling, rates).sigmoid()
    alone = logits.sigmoid()
    assert (near - exact).abs().max() < 0.02
    assert (near - exact).abs().mean() < (alone - exact).abs().mean() / 3


def test_decoding_many_labels_finds_a_set_that_no_single_change_improves() -> None:
    coupling, rates, logits = field(20, 0.5)
    model = PairwiseLabelModel(coupling, rates)
    present, score = model.decode(logits.sigmoid())
    for label in range(20):
        other = present.clone()
        other[:, label] ^= True
        apart = other.double() - rates
        changed = (other.double() * logits).sum(1) + (apart @ coupling * apart).sum(1) / 2
        assert (changed <= score + 1e-9).all()


def test_couplings_are_found_again_and_unknown_labels_change_nothing() -> None:
    coupling = torch.zeros(3, 3).double()
    coupling[0, 1] = coupling[1, 0] = 3.0
    states = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)), dtype=torch.float64)
    rates = torch.full((3,), 0.5).double()
    apart = states - rates
    chance = ((apart @ coupling * apart).sum(1) / 2).softmax(0)
    drawn = torch.multinomial(
        chance, 3000, replacement=True, generator=torch.Generator().manual_seed(0)
    )
    targets, logits = states[drawn].float(), torch.zeros(3000, 3)
    model = PairwiseLabelModel.fit(logits, targets)
    assert abs(float(model.coupling[0, 1]) - 3.0) < 0.4
    assert model.coupling[2].abs().max() < 0.3
    more = torch.cat([targets, torch.full((200, 3), -1.0)])
    same = PairwiseLabelModel.fit(torch.cat([logits, torch.randn(200, 3)]), more)
    assert torch.allclose(same.coupling, model.coupling, atol=1e-4)


def test_the_fit_maximises_the_penalised_pseudo_likelihood() -> None:
    targets = targets_of(labels=3)
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(2)).double()
    model = PairwiseLabelModel.fit(logits, targets, shrinkage=2.0)

    def loss(coupling: torch.Tensor) -> float:
        apart = torch.where(targets >= 0, targets - model.rates, 0.0)
        each = F.binary_cross_entropy_with_logits(
            logits + apart @ coupling, targets.clamp(min=0).double(), reduction="none"
        )
        return float(each[targets >= 0].sum() + coupling.square().sum() / 2)

    best = loss(model.coupling)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        for step in (-0.05, 0.05):
            other = model.coupling.clone()
            other[first, second] += step
            other[second, first] += step
            assert loss(other) > best


def test_couplings_must_be_symmetric() -> None:
    with pytest.raises(InputError, match="symmetric"):
        PairwiseLabelModel(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([0.5, 0.5]))


def test_ten_labels_are_decoded_as_by_listing_all_sets() -> None:
    """Both decoders against the scores of all 1,024 label sets."""
    count = 10
    generator = torch.Generator().manual_seed(2)
    states = torch.tensor(list(itertools.product([0, 1], repeat=count)))
    probabilities = torch.rand(8, count, generator=generator).double()
    hmm = LabelHMM.from_targets(targets_of(60, count), "dependence")
    ratios = (probabilities.logit() - hmm.rates.logit())[:, hmm.order]
    prior = hmm.initial[states[:, 0]]
    for place in range(count - 1):
        prior = prior + hmm.transition[place, states[:, place], states[:, place + 1]]
    scores = prior + ratios @ states.double().T
    present, score = hmm.decode(probabilities)
    assert torch.equal(present[:, hmm.order], states[scores.argmax(1)].bool())
    torch.testing.assert_close(score, scores.max(1).values)
    best = chain_marginals(ratios, hmm.initial, hmm.transition, joint=True)
    torch.testing.assert_close(best, best_apart(scores, states))
    chances = scores.softmax(1) @ states.double()
    torch.testing.assert_close(hmm.marginals(probabilities)[:, hmm.order], chances)

    half = torch.randn(count, count, generator=generator).double().triu(1)
    model = PairwiseLabelModel(half + half.T, torch.rand(count, generator=generator).double())
    apart = states.double() - model.rates
    scores = probabilities.logit() @ states.double().T + ((apart @ half) * apart).sum(1)
    present, score = model.decode(probabilities)
    assert torch.equal(present, states[scores.argmax(1)].bool())
    torch.testing.assert_close(score, scores.max(1).values)
    best = max_marginals(probabilities.logit(), model.coupling, model.rates)
    torch.testing.assert_close(best, best_apart(scores, states))


def best_apart(scores: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Score of the best set with each label, minus that of the best set without it."""
    each = [
        [max(row[states[:, k] == 1]) - max(row[states[:, k] == 0]) for k in range(states.shape[1])]
        for row in scores
    ]
    return torch.tensor(each, dtype=torch.float64)


def test_max_marginals_of_many_labels_have_the_signs_of_the_decoded_set() -> None:
    coupling, rates, logits = field(20, 0.5)
    present = PairwiseLabelModel(coupling, rates).decode(logits.sigmoid())[0]
    assert torch.equal(max_marginals(logits, coupling, rates) > 0, present)

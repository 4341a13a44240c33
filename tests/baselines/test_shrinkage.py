"""How much of a residual is kept: nothing of noise, nearly all of what surely pays."""

import pytest
import torch

from gatlabel.baselines.shrinkage import CRITICAL, shrink
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.nn import GATHead, GATv2Head, LinearHead, PyGHead


def sample(images: int, true: float, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Residual, base and targets of which the best factor is ``true``."""
    rng = torch.Generator().manual_seed(seed)
    base, residual = torch.randn(2, images, 5, generator=rng) - 0.5
    chance = (base + true * residual).sigmoid()
    targets = (torch.rand(images, 5, generator=rng) < chance).float()
    targets[torch.rand(images, 5, generator=rng) < 0.2] = -1
    return residual, base, targets


@pytest.mark.parametrize("true", [0.3, 0.6, 1.0])
def test_with_many_images_it_is_the_best_factor(true: float) -> None:
    assert shrink(*sample(20_000, true)) == pytest.approx(true, abs=0.07)


def test_the_factor_is_0_for_a_harmful_residual_and_at_most_1() -> None:
    assert shrink(*sample(2000, -0.5)) == 0
    assert 0.9 < shrink(*sample(5000, 3.0)) <= 1


def test_the_factor_is_0_for_noise_in_most_draws() -> None:
    kept = [shrink(*sample(100, 0.0, seed), seed=seed) for seed in range(100)]
    assert sum(factor > 0 for factor in kept) <= 11  # 5 expected


def test_the_less_is_known_the_less_is_kept() -> None:
    few = sum(shrink(*sample(60, 0.5, seed)) for seed in range(20)) / 20
    many = sum(shrink(*sample(1000, 0.5, seed)) for seed in range(20)) / 20
    assert few < many - 0.1


def test_the_factor_is_the_best_one_times_what_its_uncertainty_leaves() -> None:
    residual, base, targets = sample(400, 0.5)
    grid = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    known = targets >= 0
    signed = torch.where(targets == 1, 1.0, -1.0).double()
    likelihood = torch.stack(
        [
            (torch.nn.functional.logsigmoid(signed * (base + f * residual)) * known).sum()
            for f in grid.tolist()
        ]
    )
    best = float(grid[likelihood.argmax()])
    score = ((targets - base.sigmoid()) * residual * known).double().sum(1)
    z = float(score.sum() / score.square().sum().sqrt())
    expected = best * (1 - (CRITICAL / z) ** 2)
    assert shrink(residual, base, targets) == pytest.approx(expected, abs=2e-4)


def test_unknown_targets_and_empty_sets_count_for_nothing() -> None:
    residual, base, targets = sample(300, 0.7)
    more = torch.cat([targets, torch.full((50, 5), -1.0)])
    wild = torch.full((50, 5), 100.0)
    found = shrink(torch.cat([residual, wild]), torch.cat([base, -wild]), more)
    assert found == pytest.approx(shrink(residual, base, targets), abs=1e-6)
    assert shrink(residual, base, torch.full_like(targets, -1.0)) == 0
    assert shrink(torch.zeros_like(base), base, targets) == 0
    assert shrink(*(torch.zeros(0, 5),) * 3) == 0


def test_wrong_input_is_refused() -> None:
    residual, base, targets = sample(20, 0.5)
    with pytest.raises(InputError, match=r"the same shape \(N, L\)"):
        shrink(residual[:3], base, targets)
    with pytest.raises(InputError, match="finite logits"):
        shrink(residual / 0, base, targets)


@pytest.mark.parametrize("relation", ["cooccurrence", "similarity"])
@pytest.mark.parametrize("kind", [GATHead, GATv2Head, PyGHead])
class TestScalingTheResidual:
    def head(self, kind, relation: str) -> torch.nn.Module:
        graph = LabelGraph.from_edges(
            [("a", "b", 1.0), ("c", "b", 0.5), ("b", "a", 2.0)], list("abcd"), relation=relation
        )
        options = {} if kind is PyGHead else {"node_features": "learned"}
        head = kind(6, graph, hidden=8, **options)
        head.init_linear(torch.randn(4, 6), torch.randn(4))
        return head

    def test_the_logits_lie_on_the_line_between_linear_and_head(self, kind, relation) -> None:
        head, features = self.head(kind, relation), torch.randn(7, 6)
        linear = head(features)
        for parameter in head.residual_parameters():
            torch.nn.init.normal_(parameter)
        whole = head(features)
        assert not torch.allclose(whole, linear, atol=0.1)
        assert head.scale_residual(0.25)
        torch.testing.assert_close(head(features), torch.lerp(linear, whole, 0.25))

    def test_factor_0_is_the_linear_start_bit_for_bit(self, kind, relation) -> None:
        head, features = self.head(kind, relation), torch.randn(7, 6)
        linear = head(features)
        folded = head.fold()
        for parameter in head.residual_parameters():
            torch.nn.init.normal_(parameter)
        kept = {name: value.clone() for name, value in head.state_dict().items()}
        head.scale_residual(1.0)
        assert all(torch.equal(value, kept[name]) for name, value in head.state_dict().items())
        head.residual_parameters()[0].data[0, 0] = float("inf")  # a residual that diverged
        head.scale_residual(0.0)
        assert torch.equal(head(features), linear)
        assert torch.equal(head.fold().weight, folded.weight)


def test_heads_without_a_residual_stay_as_they_are() -> None:
    head = LinearHead(3, 2)
    before = head.linear.weight.detach().clone()
    assert not head.scale_residual(0.0)
    assert torch.equal(head.linear.weight, before)
    plain = GATHead(3, LabelGraph.from_edges([("a", "b")]), "learned", hidden=4, base="nodes")
    assert not plain.scale_residual(0.0)
    for factor in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="between 0 and 1"):
            plain.scale_residual(factor)


def test_copies_of_an_image_in_one_group_are_no_more_evidence() -> None:
    residual, base, targets = sample(80, 0.4, 3)
    thrice = [x.repeat_interleave(3, 0) for x in (residual, base, targets)]
    groups = [k // 3 for k in range(240)]
    assert shrink(*thrice, groups=groups) == pytest.approx(shrink(residual, base, targets))
    kept = [shrink(*(x.repeat_interleave(9, 0) for x in sample(30, 0.0, s))) for s in range(30)]
    alone = [
        shrink(
            *(x.repeat_interleave(9, 0) for x in sample(30, 0.0, s)),
            groups=[k // 9 for k in range(270)],
        )
        for s in range(30)
    ]
    assert sum(f > 0 for f in kept) > 3 * sum(f > 0 for f in alone)

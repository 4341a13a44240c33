import pytest
import torch
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.nn.pooling import POOLINGS, AveragePool, GeMPool, MaxPool

every_pooling = pytest.mark.parametrize("name", POOLINGS)


@every_pooling
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (7, 7)])
def test_map_to_vector_of_any_size(name, size):
    features = torch.randn(2, 6, *size, requires_grad=True)
    pooled = POOLINGS[name]()(features)
    assert pooled.shape == (2, 6)
    pooled.sum().backward()
    assert bool(features.grad.isfinite().all())


@every_pooling
def test_order_of_positions_does_not_matter(name):
    features = torch.rand(2, 3, 4, 5)
    shuffled = features.flatten(2)[..., torch.randperm(20)].view(2, 3, 5, 4)
    torch.testing.assert_close(POOLINGS[name]()(features), POOLINGS[name]()(shuffled))


def test_average_and_max_are_torchs():
    features = torch.randn(2, 6, 3, 5)
    torch.testing.assert_close(
        AveragePool()(features), F.adaptive_avg_pool2d(features, 1)[..., 0, 0]
    )
    torch.testing.assert_close(MaxPool()(features), F.adaptive_max_pool2d(features, 1)[..., 0, 0])


@pytest.mark.parametrize("p", [0.7, 1.0, 3.0, 8.0])
def test_gem_is_its_definition(p):
    features = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    expected = features.clamp(min=1e-6).pow(p).mean((2, 3)).pow(1 / p)
    torch.testing.assert_close(GeMPool(p).double()(features), expected)


def test_gem_runs_from_average_to_maximum():
    features = torch.rand(2, 4, 3, 3)
    torch.testing.assert_close(GeMPool(1.0)(features), AveragePool()(features))
    torch.testing.assert_close(GeMPool(500.0)(features), MaxPool()(features), rtol=0.01, atol=0)


def test_gem_gradients():
    pool = GeMPool(2.5).double()
    features = (torch.rand(2, 3, 2, 2, dtype=torch.float64) + 0.1).requires_grad_()

    def pooled(x, p):
        return torch.func.functional_call(pool, {"p": p}, (x,))

    p = pool.p.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(pooled, (features, p))


def test_gem_does_not_overflow_in_half_precision():
    features = torch.full((1, 1, 2, 2), 500.0, dtype=torch.bfloat16)
    assert GeMPool(3.0)(features * 100).item() == pytest.approx(50_000, rel=0.02)
    assert GeMPool(3.0).half()(features.half()).item() == pytest.approx(500, rel=0.01)


def test_gem_of_nothing_but_zeros():
    features = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pooled = GeMPool()(features)
    pooled.sum().backward()
    assert bool((pooled <= 1e-5).all())
    assert bool(features.grad.isfinite().all())


def test_gem_parameter():
    assert [name for name, _ in GeMPool().named_parameters()] == ["p"]
    fixed = GeMPool(2.0, learnable=False)
    assert not list(fixed.parameters())
    assert "p" in fixed.state_dict()
    assert repr(fixed) == "GeMPool(p=2, learnable=False)"
    with pytest.raises(InputError, match="above 0"):
        GeMPool(0.0)

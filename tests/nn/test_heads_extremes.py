"""Heads and poolings at maps and features that no encoder should give."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.nn import QueryHead
from gatlabel.nn.heads import image_attention
from gatlabel.nn.heads.noisy_or import noisy_or
from gatlabel.nn.heads.protocols import forward_losses
from gatlabel.nn.pooling import POOLINGS
from tests.nn.head_cases import CASES, D, L, build, features_for, label_graph, perturbed

MAPS = [case for case in CASES if CASES[case][0].needs_map]
EMPTY = [(2, D, 0, 0), (2, D, 0, 3), (2, D, 4, 0), (0, D, 0, 0)]


@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize("case", MAPS)
def test_heads_refuse_maps_without_positions(case: str, shape: tuple[int, ...]) -> None:
    head = build(case, label_graph())
    for call in (head, getattr(head, "unary_logits", head)):
        with pytest.raises(InputError, match="has no positions: the images are too small"):
            call(torch.zeros(shape))
    with pytest.raises(InputError, match="has no position"):
        forward_losses(head, torch.zeros(shape), torch.zeros(shape[0], L), None)


@pytest.mark.parametrize("shape", EMPTY)
@pytest.mark.parametrize("name", POOLINGS)
def test_poolings_refuse_maps_without_positions(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="has no positions: the images are too small"):
        POOLINGS[name]()(torch.zeros(shape))


@pytest.mark.parametrize("name", POOLINGS)
def test_poolings_of_no_image_and_of_large_values(name: str) -> None:
    assert POOLINGS[name]()(torch.zeros(0, 5, 3, 3)).shape == (0, 5)
    for value in (1e4, 1e30):
        features = torch.tensor([value, value / 2, 1.0, 0.0]).view(1, 1, 2, 2).requires_grad_()
        pooled = POOLINGS[name]()(features)
        pooled.sum().backward()
        assert pooled.isfinite().all()
        assert features.grad.isfinite().all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [0.0, 1e4, 1e15, -1e15])
def test_features_of_any_size(case: str, size: float) -> None:
    head = build(case, label_graph())
    for features in (
        torch.full_like(features_for(head, 2), size),
        size * features_for(head, 2),
        torch.where(torch.rand_like(features_for(head, 2)) < 0.1, size, features_for(head, 2)),
    ):
        features.requires_grad_()
        logits = head(features)
        logits.sum().backward()
        assert logits.isfinite().all()
        assert features.grad.isfinite().all()
        for name, parameter in head.named_parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("case", ["query", "query-vectors"])
@pytest.mark.parametrize("training", [False, True])
def test_query_at_features_whose_variance_overflows(case: str, training: bool) -> None:
    """Normalised, they are the same queries from some size on."""
    head = build(case, label_graph()).train(training)
    features = features_for(head, 3)
    for size in (1e20, 1e30, 1e36):
        for given in (size * features, torch.full_like(features, size)):
            given.requires_grad_()
            logits = head(given)
            logits.square().sum().backward()
            assert logits.isfinite().all()
            assert given.grad.isfinite().all()
            for name, parameter in head.named_parameters():
                assert parameter.grad.isfinite().all(), name
    head.eval()
    torch.testing.assert_close(head(1e30 * features), head(1e12 * features), rtol=1e-3, atol=1e-3)


def test_query_bounds_no_usual_map() -> None:
    """One image of a batch is scaled, no other, and none that is of a usual size."""
    head = build("query", label_graph())
    features = features_for(head, 3)
    expected = head(features)
    huge = torch.cat([features, 1e25 * features[:1]])
    torch.testing.assert_close(head(huge)[:3], expected, rtol=0, atol=0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("training", [False, True])
def test_second_gradients(case: str, training: bool) -> None:
    kind, options = CASES[case]
    options = {**options, "dropout": 0.0} if kind is QueryHead else options
    head = perturbed(kind(D, graph=label_graph(), **options)).double().train(training)
    names = [name for name, p in head.named_parameters() if p.requires_grad]
    features = features_for(head, 2, torch.float64).requires_grad_()

    def function(features: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(head, state, (features,))

    inputs = (features, *(p for p in head.parameters() if p.requires_grad))
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


def test_second_gradients_over_sparse_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_attention, "dense_pays", lambda *_: False)
    head = build("conditioned", label_graph()).double()
    features = features_for(head, 2, torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(head, (features,), fast_mode=True)


@pytest.mark.parametrize("training", [False, True])
def test_query_is_torchs_fused_attention_without_gradients(training: bool) -> None:
    kind, options = CASES["query"]
    head = kind(D, graph=label_graph(), dropout=0.0, **options).train(training)
    features = features_for(head, 3)
    with torch.no_grad():
        fused = head(features)
    torch.testing.assert_close(head(features), fused)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("miss_rate", [1e-6, 0.05, 0.5, 0.95])
def test_noisy_or_at_any_log_odds(dtype: torch.dtype, miss_rate: float) -> None:
    values = [-math.inf, -1e30, -1e4, -20.0, 0.0, 20.0, 1e4, 1e30, math.inf]
    for z, e, d in itertools.product(values, values, [-100.0, 0.0, 100.0]):
        own = [torch.tensor([[x]], dtype=dtype, requires_grad=True) for x in (z, e)]
        own.append(torch.tensor([d], dtype=dtype, requires_grad=True))
        logits = noisy_or(*own, miss_rate)
        assert logits.dtype == dtype
        assert not logits.isnan().any()
        assert logits.isfinite().all() or own[0].isinf().all()
        first = torch.autograd.grad(logits.sum(), own, create_graph=True)
        second = torch.autograd.grad(torch.stack([x.sum() for x in first]).sum(), own)
        assert all(x.isfinite().all() for x in (*first, *second)), (z, e, d)


def test_noisy_or_in_half_precision_is_that_of_float32() -> None:
    z, e = torch.linspace(-20, 20, 21), torch.linspace(5, -5, 21)
    for dtype in (torch.float16, torch.bfloat16):
        own = [x.to(dtype).view(1, -1) for x in (z, e, torch.zeros(21))]
        exact = noisy_or(*(x.float() for x in own[:2]), own[2][0].float(), 0.5)
        torch.testing.assert_close(noisy_or(*own[:2], own[2][0], 0.5), exact.to(dtype))

"""Weights of combined gradients against their conditions of optimality, SciPy and torchjd."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from gatlabel.engine.balancing import create_balancer
from gatlabel.engine.balancing.aggregation import CLASSES
from gatlabel.engine.balancing.simplex import C
from gatlabel.engine.balancing.solvers import SOLVERS, surgery_weights


def gramian(count: int, seed: int, conflict: float = 0.0, spread: float = 1.0) -> np.ndarray:
    """Of gradients with a common direction of size ``-conflict`` and norms that differ."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, 20)) * spread ** generator.uniform(-1, 1, (count, 1))
    rows[0] -= conflict * rows[1:].sum(0)
    return rows @ rows.T


def solution(name: str, g: np.ndarray) -> np.ndarray:
    found = SOLVERS[name](g.tolist())
    assert found is not None
    return np.array(found)


cases = st.tuples(
    st.integers(2, 9), st.integers(0, 99), st.sampled_from([0.0, 0.6, 2.0]), st.sampled_from([1, 8])
)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_cagrad_is_the_minimum_on_the_simplex(case) -> None:
    g = gramian(*case)
    found = solution("cagrad", g)
    count, g = len(g), g / np.trace(g)
    radius = C * np.sqrt(g.mean())
    w = (found - 1 / count) / (found - 1 / count).sum()
    assert w.min() >= -1e-12

    def value(v: np.ndarray) -> float:
        return float(g.mean(1) @ v + radius * np.sqrt(v @ g @ v))

    slope = g.mean(1) + radius * g @ w / np.sqrt(w @ g @ w)
    assert slope @ w <= slope.min() + 1e-9  # the condition of optimality of a convex function
    other = minimize(
        value, np.ones(count) / count, bounds=[(0, 1)] * count, tol=1e-12,
        constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
    )  # fmt: skip
    assert value(w) <= other.fun + 1e-9
    assert found == pytest.approx(1 / count + radius / np.sqrt(w @ g @ w) * w, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_fairgrad_solves_its_equation(case) -> None:
    g = gramian(*case)
    found = solution("fairgrad", g)
    assert found.min() > 0
    assert found * (g @ found) == pytest.approx(np.ones(len(g)), abs=1e-8)


#: Where torchjd's own solver, of cvxpy or SciPy, stops early.
NEAR = {"cagrad": 1e-3, "fairgrad": 1e-6}


@pytest.mark.parametrize("name", sorted(SOLVERS))
@pytest.mark.parametrize("conflict", [0.0, 0.6, 2.0])
def test_the_weights_are_those_of_torchjd(name: str, conflict: float) -> None:
    pytest.importorskip("torchjd")
    for seed in range(5):
        count = 2 + seed
        balancer = create_balancer(name, [str(k) for k in range(count)])
        g = torch.from_numpy(gramian(count, seed, conflict, 2.0))
        ours = torch.from_numpy(solution(name, g.numpy()))
        near = NEAR.get(name, 1e-9)
        torch.testing.assert_close(ours, balancer.weighting(g), atol=near, rtol=near)
        torch.testing.assert_close(balancer._weights(g, torch.arange(count)), ours)


@pytest.mark.parametrize("name", ["gradvac", "pcgrad"])
def test_gradients_are_corrected_in_the_order_given_as_by_torchjd(name: str) -> None:
    aggregation = pytest.importorskip("torchjd.aggregation")
    weighting, count = getattr(aggregation, CLASSES[name])(), 4
    decay = 0.5 if name == "gradvac" else 0.0
    targets = [[0.0] * count for _ in range(count)]
    for seed in range(8):  # the targets of GradVac follow
        g = gramian(count, seed, (-0.5, 0.6)[seed % 2], 2.0)
        torch.manual_seed(seed)
        if name == "pcgrad":
            orders = [torch.randperm(count).tolist() for _ in range(count)]
        else:
            others = [[j for j in range(count) if j != i] for i in range(count)]
            orders = [[own[k] for k in torch.randperm(count - 1).tolist()] for own in others]
        ours = surgery_weights(g.tolist(), orders, targets, decay)
        torch.manual_seed(seed)
        theirs = weighting(torch.from_numpy(g))
        torch.testing.assert_close(torch.tensor(ours).double(), theirs, atol=1e-6, rtol=1e-6)
    if name == "gradvac":
        torch.testing.assert_close(torch.tensor(targets).double(), weighting._phi_t)
        assert torch.tensor(targets).any()
    else:
        assert not torch.tensor(targets).any()


@pytest.mark.parametrize("name", sorted({*CLASSES} - {"fairgrad"}))
def test_small_gradients_are_combined_as_large_ones(name: str) -> None:
    """Gradients of a mean over many images are far below 0.01, where torchjd's UPGrad is equal."""
    pytest.importorskip("torchjd")
    g = torch.from_numpy(gramian(3, 1, 2.0, 4.0))
    found = []
    for scale in (1.0, 1e-9):
        balancer = create_balancer(name, ["a", "b", "c"])
        for seed in range(2):
            torch.manual_seed(seed)
            weights = balancer._weights(g * scale, torch.arange(3))
        found.append(weights)
    torch.testing.assert_close(found[1], found[0])
    assert found[0].std() > 0.01  # there is a conflict


@pytest.mark.parametrize("name", sorted(SOLVERS))
@pytest.mark.parametrize("sign", [1, -1])
def test_parallel_gradients_have_finite_weights(name: str, sign: int) -> None:
    """The combined gradient is that of torchjd, except where it has no solution."""
    pytest.importorskip("torchjd")
    row = np.random.default_rng(0).normal(size=(1, 9))
    rows = np.concatenate([row, 2 * sign * row, np.random.default_rng(1).normal(size=(1, 9))])
    g = torch.from_numpy(rows @ rows.T)
    balancer = create_balancer(name, ["a", "b", "c"])
    ours, theirs = balancer._weights(g, torch.arange(3)), balancer.weighting(g)
    assert ours.isfinite().all()
    if sign > 0 or name not in ("fairgrad", "cagrad"):
        jacobian = torch.from_numpy(rows)
        near = max(NEAR.get(name, 1e-6), 1e-6)
        torch.testing.assert_close(ours @ jacobian, theirs @ jacobian, atol=near, rtol=near)

"""Weights of CAGrad and FairGrad against their conditions of optimality, SciPy and torchjd."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from gatlabel.engine.balancing import create_balancer
from gatlabel.engine.balancing.solvers import SOLVERS, C, cagrad_weights, fairgrad_weights


def gramian(count: int, seed: int, conflict: float = 0.0, spread: float = 1.0) -> np.ndarray:
    """Of gradients with a common direction of size ``-conflict`` and norms that differ."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, 20)) * spread ** generator.uniform(-1, 1, (count, 1))
    rows[0] -= conflict * rows[1:].sum(0)
    return rows @ rows.T


cases = st.tuples(
    st.integers(2, 9), st.integers(0, 99), st.sampled_from([0.0, 0.6, 2.0]), st.sampled_from([1, 8])
)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_cagrad_is_the_minimum_on_the_simplex(case) -> None:
    g = gramian(*case)
    found = cagrad_weights(g)
    assert found is not None
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
    found = fairgrad_weights(g)
    assert found is not None
    assert found.min() > 0
    assert found * (g @ found) == pytest.approx(np.ones(len(g)), abs=1e-8)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_the_weights_are_those_of_torchjd(name: str) -> None:
    pytest.importorskip("torchjd")
    balancer = create_balancer(name, [str(k) for k in range(4)])
    for seed in range(5):
        g = torch.from_numpy(gramian(4, seed, 0.6))
        ours, theirs = torch.from_numpy(SOLVERS[name](g.numpy())), balancer.weighting(g)
        # the solver of cvxpy stops early: at the conditions of optimality ours is exact to 1e-9
        near = 1e-6 if name == "fairgrad" else 1e-3
        torch.testing.assert_close(ours, theirs, atol=near, rtol=near)
        torch.testing.assert_close(balancer._weights(g, torch.arange(4)), ours)


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_parallel_gradients_are_left_to_torchjd(name: str) -> None:
    pytest.importorskip("torchjd")
    row = np.random.default_rng(0).normal(size=(1, 9))
    rows = np.concatenate([row, 2 * row, np.random.default_rng(1).normal(size=(1, 9))])
    assert SOLVERS[name](rows @ rows.T) is None
    balancer = create_balancer(name, ["a", "b", "c"])
    g = torch.from_numpy(rows @ rows.T)
    torch.testing.assert_close(balancer._weights(g, torch.arange(3)), balancer.weighting(g))

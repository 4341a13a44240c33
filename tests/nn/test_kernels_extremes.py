"""All kernels are one function at scores of any size too, and where a row has none to attend to."""

import math

import pytest
import torch
from torch import Tensor

from gatlabel.nn.kernels import Adjacency, attend
from gatlabel.nn.kernels.dense import dense_attention
from tests.reference.attention import attention

EDGES = [(0, 1), (2, 1), (3, 1), (1, 1), (4, 0), (0, 3), (4, 3), (2, 4), (3, 5)]
NODES = 7  # 2 and 6 have no in-edge, 5 has one, 6 none at all

Part = tuple[str, slice | int | list[int]]
PLACES: dict[str, list[Part]] = {
    "a source": [("s", 3)],
    "a target": [("t", 1)],
    "an isolated target": [("t", 2)],
    "a node without edges": [("s", 6), ("t", 6)],
    "two sources of a row": [("s", [2, 3])],
    "every source": [("s", slice(None))],
    "a source and its target": [("s", 3), ("t", 5)],
}


def graph(edges: list[tuple[int, int]] = EDGES) -> Adjacency:
    return Adjacency(torch.tensor(edges).T, NODES)


def inputs(dtype: torch.dtype, place: list[Part], value: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = [(2, NODES), (2, NODES), (2, NODES, 3)]
    s, t, v = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    for name, where in place:
        {"s": s, "t": t}[name][:, where] = value
    return [s, t, v]


def results(adjacency: Adjacency, tensors: list[Tensor], kernel: str, prior: bool) -> list[Tensor]:
    """Values, and gradients by scores and values."""
    own = [x.clone().requires_grad_() for x in tensors]
    dtype = own[0].dtype
    given = {}
    if prior:
        given = {
            "prior": torch.linspace(0, 1, adjacency.edges, dtype=dtype),
            "prior_weight": torch.tensor([1.0, -2.0], dtype=dtype),
        }
    out = attend(adjacency, *own, kernel=kernel, **given)
    probe = torch.linspace(-1, 1, out.numel(), dtype=dtype).view_as(out)
    return [out.detach(), *torch.autograd.grad((out * probe).sum(), own)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("prior", [False, True])
def test_kernels_agree_at_finite_scores(dtype: torch.dtype, place: str, prior: bool) -> None:
    largest = torch.finfo(dtype).max
    for size in (1e4, 1e30, largest / 4):
        for value in (size, -size):
            tensors = inputs(dtype, PLACES[place], value)
            expected = results(graph(), tensors, "csr", prior)
            found = results(graph(), tensors, "dense", prior)
            for ours, theirs in zip(found, expected, strict=True):
                assert ours.isfinite().all()
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, torch.finfo(torch.float32).max])
def test_nan_scores_affect_only_attending_nodes(place: str, value: float) -> None:
    tensors = inputs(torch.float32, PLACES[place], value)
    expected = attend(graph(), *tensors, kernel="csr")
    assert (expected[:, [2, 6]] == 0).all()
    found = attend(graph(), *tensors, kernel="dense")
    torch.testing.assert_close(found, expected, equal_nan=True)
    if place in ("an isolated target", "a node without edges"):
        assert expected.isfinite().all()
        for gradient in results(graph(), tensors, "dense", prior=True):
            assert gradient.isfinite().all()
    elif math.isnan(value):
        listens = {"a source": [1, 5], "a target": [1], "a source and its target": [1, 5]}
        rows = listens.get(place, [])
        assert not rows or expected[0].isnan().any(1).nonzero()[:, 0].tolist() == rows


@pytest.mark.parametrize("kernel", ["csr", "dense"])
def test_extremes_against_the_definition(kernel: str) -> None:
    s, t, v = inputs(torch.float64, PLACES["two sources of a row"], -1e30)
    expected = attention(EDGES, s, t, v)
    torch.testing.assert_close(attend(graph(), s, t, v, kernel=kernel), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    for value in (6e4, -6e4):
        s, t, v = inputs(dtype, PLACES["a source and its target"], value)
        expected = attend(graph(), s, t, v, kernel="csr")
        found = attend(graph(), s, t, v, kernel="dense")
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("value", [1e30, -1e30, math.inf, math.nan])
@pytest.mark.parametrize("place", ["a source", "a target", "every source"])
def test_the_complete_graph(place: str, value: float) -> None:
    tensors = inputs(torch.float32, PLACES[place], value)
    whole = Adjacency(None, NODES)
    expected = results(whole, tensors, "csr", prior=False)
    for kernel in ("dense", "sorted"):
        for ours, theirs in zip(results(whole, tensors, kernel, False), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("edges", [[(0, 1)], [(2, 2)], []])
def test_hardly_any_edge(edges: list[tuple[int, int]]) -> None:
    few = Adjacency(torch.tensor(edges, dtype=torch.long).view(-1, 2).T, NODES)
    tensors = inputs(torch.float32, PLACES["every source"], 1e30)
    expected = results(few, tensors, "csr", prior=False)
    for ours, theirs in zip(results(few, tensors, "dense", False), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kernel", ["dense", "csr", "sorted"])
def test_second_gradients(kernel: str) -> None:
    adjacency = Adjacency(None, NODES) if kernel == "sorted" else graph()
    tensors = [x.requires_grad_() for x in inputs(torch.float64, [], 0.0)]
    assert torch.autograd.gradgradcheck(
        lambda *own: attend(adjacency, *own, kernel=kernel), tensors, fast_mode=True
    )


def test_a_mask_costs_no_pass_backward() -> None:
    """The mask is applied outside autograd: no operator between the scores and the softmax."""
    s, t, v = (x.requires_grad_() for x in inputs(torch.float32, [], 0.0))
    adjacency = graph()
    out = dense_attention(s, t, v, adjacency.no_edge(), adjacency.alone, None, None, 0.2)
    softmax = out.grad_fn.next_functions[0][0]
    while "Softmax" not in softmax.name():
        softmax = softmax.next_functions[0][0]
    assert "LeakyRelu" in softmax.next_functions[0][0].name()

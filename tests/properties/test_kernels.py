"""All kernels compute the same function for any graph."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatlabel.nn.kernels import KERNELS, Adjacency, attend
from tests.reference.attention import attention


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """Node counts from one on; edges with self-loops, none at all, parallel or missing ones."""
    nodes = draw(st.integers(1, 7))
    node = st.integers(0, nodes - 1)
    if draw(st.booleans()):
        return nodes, [(j, i) for i in range(nodes) for j in range(nodes)]
    return nodes, draw(st.lists(st.tuples(node, node), max_size=20))


def draw_inputs(nodes: int, edges: int, seed: int, scale: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, nodes), (2, nodes), (2, nodes, 3), (edges,), (2,)]
    scales = [scale, scale, 1.0, 1.0, 1.0]
    return [
        (torch.randn(shape, generator=generator, dtype=torch.float64) * k).requires_grad_()
        for shape, k in zip(shapes, scales, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(
    graph=graphs(),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.0, 1.0, 3.0, 30.0]),
    with_prior=st.booleans(),
)
def test_kernels_agree_with_the_definition(graph, seed, scale, with_prior) -> None:
    nodes, edges = graph
    adjacency = Adjacency(torch.tensor(edges, dtype=torch.long).view(-1, 2).T, nodes)
    s, t, v, prior, weight = draw_inputs(nodes, len(edges), seed, scale)
    extra = {"prior": prior, "prior_weight": weight} if with_prior else {}
    wanted = [s, t, v, *extra.values()]
    probe = torch.linspace(-1, 1, v.numel(), dtype=torch.float64).view_as(v)
    expected = attention(edges, s, t, v, *extra.values())
    gradients = torch.autograd.grad((expected * probe).sum(), wanted, allow_unused=True)
    for kernel in KERNELS:
        if kernel == "dense" and not adjacency.simple:
            continue
        if kernel == "sorted" and (with_prior or not adjacency.complete):
            continue
        out = attend(adjacency, s, t, v, kernel=kernel, **extra)
        found = torch.autograd.grad((out * probe).sum(), wanted, allow_unused=True)
        torch.testing.assert_close(out, expected, rtol=1e-11, atol=1e-12)
        for ours, reference in zip(found, gradients, strict=True):
            if reference is None:
                reference = torch.zeros(())
            if ours is None:
                ours = torch.zeros(())
            torch.testing.assert_close(
                ours, reference.expand_as(ours).to(ours.dtype), rtol=1e-10, atol=1e-11
            )

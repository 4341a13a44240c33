"""What is particular to kernel *blocked*: its blocks, its memory, when it is passed over."""

import pytest
import torch
from torch import Tensor

from gatlabel.nn.kernels import Adjacency, attend, blocked, dispatch
from tests.nn.test_kernels import inputs, random_graph

NODES = 9


@pytest.mark.parametrize("block", [1, 20, 100, 1 << 19])
@pytest.mark.parametrize("whole", [False, True])
def test_first_and_second_gradients_in_any_blocks(
    block: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row at a time, some rows, a whole head, all heads."""
    monkeypatch.setattr(blocked, "BLOCK", block)
    graph = Adjacency(None, NODES) if whole else random_graph(NODES, 0.4)
    prior = torch.rand(graph.edges, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, dtype=torch.float64, requires_grad=True)

    def function(s: Tensor, t: Tensor, v: Tensor, prior: Tensor, weight: Tensor) -> Tensor:
        return attend(graph, s, t, v, prior=prior, prior_weight=weight, kernel="blocked")

    tensors = (*inputs(NODES, 2), prior, weight)
    assert torch.autograd.gradcheck(function, tensors)
    assert torch.autograd.gradgradcheck(function, tensors)


@pytest.mark.parametrize("wanted", [0, 1, 2, 3, 4])
def test_a_gradient_of_one_input_alone(wanted: int) -> None:
    graph = random_graph(NODES, 0.4)
    prior, weight = torch.rand(graph.edges, dtype=torch.float64), torch.randn(2).double()
    tensors = [x.detach() for x in (*inputs(NODES, 2), prior, weight)]
    tensors[wanted].requires_grad_()
    s, t, v, prior, weight = tensors
    found = []
    for kernel in ("blocked", "dense"):
        out = attend(graph, s, t, v, prior=prior, prior_weight=weight, kernel=kernel)
        found.append(torch.autograd.grad(out.square().sum(), tensors[wanted])[0])
    torch.testing.assert_close(*found)


def test_nothing_as_large_as_the_pairs_is_kept() -> None:
    """What a backward pass needs is O(H L C), but for the mask, which is the graph's own."""
    graph, nodes = random_graph(300, 0.3), 300
    s, t, v = inputs(nodes, 4)
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = attend(graph, s, t, v, kernel="blocked")
    large = [tensor for tensor in kept if tensor.numel() >= nodes * nodes]
    assert [tensor.data_ptr() for tensor in large] == [graph.absent.data_ptr()]
    joined = out.transpose(0, 1)
    assert joined.flatten(1).data_ptr() == out.data_ptr()  # to join the heads copies nothing


def test_gradients_that_come_node_by_node_or_expanded() -> None:
    graph = random_graph(40, 0.3)
    own = inputs(40, 6)
    found = []
    for kernel in ("blocked", "dense"):
        out = attend(graph, *own, kernel=kernel)
        joined = out.transpose(0, 1).flatten(1) * torch.linspace(-1, 1, 12).double()
        found.append(torch.autograd.grad(joined.sum() + out.sum(), own))
    for ours, reference in zip(*found, strict=True):
        torch.testing.assert_close(ours, reference)


def test_when_it_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout, with given weights, and where a model is exported: dense in its place."""
    asked = []

    def choose(*size: int, **about: object) -> str:
        asked.append(about["blockable"])
        return "dense"

    monkeypatch.setattr(dispatch, "choose_kernel", choose)
    graph, own = random_graph(NODES, 0.4), inputs(NODES, 2)
    attend(graph, *own)
    attend(graph, *own, dropout=0.5)
    dispatch.weighted_sum(graph, torch.rand(graph.edges, 2), own[2])
    assert asked == [True, False, False]

    class Attention(torch.nn.Module):
        def forward(self, s: Tensor, t: Tensor, v: Tensor) -> Tensor:
            return attend(graph, s, t, v)

    torch.export.export(Attention(), tuple(own))
    assert asked[3:] == [False] * len(asked[3:]) != []

import pytest
import torch
from torch import Tensor, nn

from gatlabel.nn import GATLayer, GATv2Layer, GCNLayer

pyg = pytest.importorskip("torch_geometric.nn")

LABELS = 12


def some_edges(dense: bool, self_loops: bool = True) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    share = 0.5 if dense else 1 / 80
    nodes = LABELS if dense else 130
    mask = torch.rand(nodes, nodes, generator=generator) < share
    if self_loops:
        mask[3, 3] = True
    else:
        mask.fill_diagonal_(False)
    mask[5] = False  # node 5 has no in-edge
    mask[5, 5] = False
    target, source = mask.nonzero(as_tuple=True)
    return torch.stack([source, target])


def assert_same(ours: nn.Module, theirs: nn.Module, *arguments: Tensor) -> None:
    """Values and gradients of inputs and parameters agree to 1e-10 in float64."""
    ours, theirs = ours.double(), theirs.double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5)
    ours.load_state_dict(theirs.state_dict())
    results = []
    for layer in (ours, theirs):
        x = arguments[0].clone().requires_grad_()
        out = layer(x, *arguments[1:])
        (out * torch.linspace(-1, 1, out.numel()).view_as(out).double()).sum().backward()
        gradients = {name: p.grad for name, p in layer.named_parameters()}
        results.append((out, x.grad, gradients))
    (a, dx_a, dp_a), (b, dx_b, dp_b) = results
    torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    torch.testing.assert_close(dx_a, dx_b, rtol=0, atol=1e-10)
    assert dp_a.keys() == dp_b.keys()
    for name in dp_a:
        torch.testing.assert_close(dp_a[name], dp_b[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("add_self_loops", [True, False])
@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize(("ours", "theirs"), [(GATLayer, "GATConv"), (GATv2Layer, "GATv2Conv")])
def test_attention_layers_equal_pyg(ours, theirs, concat, add_self_loops, dense) -> None:
    edges = some_edges(dense)
    nodes = LABELS if dense else 130
    options = {"heads": 3, "concat": concat, "add_self_loops": add_self_loops}
    x = torch.randn(nodes, 7, dtype=torch.float64)
    assert_same(ours(7, 5, **options), getattr(pyg, theirs)(7, 5, **options), x, edges)


def test_gatv2_with_shared_weights_equals_pyg() -> None:
    x = torch.randn(LABELS, 7, dtype=torch.float64)
    ours, theirs = (k(7, 5, heads=2, share_weights=True) for k in (GATv2Layer, pyg.GATv2Conv))
    assert_same(ours, theirs, x, some_edges(True))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("options", [{}, {"add_self_loops": False}, {"normalize": False}])
@pytest.mark.parametrize("weighted", [True, False])
def test_gcn_equals_pyg(options, weighted, dense) -> None:
    edges = some_edges(dense)
    x = torch.randn(LABELS if dense else 130, 7, dtype=torch.float64)
    weights = torch.rand(edges.shape[1], dtype=torch.float64) + 0.1 if weighted else None
    arguments = (x, edges) if weights is None else (x, edges, weights)
    assert_same(GCNLayer(7, 5, **options), pyg.GCNConv(7, 5, **options), *arguments)


@pytest.mark.parametrize("layer", [GATLayer, GATv2Layer])
def test_gradients_are_right(layer) -> None:
    module = layer(4, 3, heads=2).double()
    edges = torch.tensor([[0, 1, 2, 2], [1, 0, 0, 1]])
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in module.named_parameters()]

    def function(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(
            module, dict(zip(names, parameters, strict=True)), (x, edges)
        )

    assert torch.autograd.gradcheck(function, (x, *module.parameters()))


@pytest.mark.parametrize("layer", [GATLayer, GATv2Layer])
def test_attention_weights_sum_to_one_over_in_edges(layer) -> None:
    edges, weights = layer(4, 3, heads=2).attention(torch.randn(LABELS, 4), some_edges(True))
    sums = torch.zeros(LABELS, 2).index_add(0, edges[1], weights)
    torch.testing.assert_close(sums, torch.ones(LABELS, 2))


def test_no_edges_at_all() -> None:
    edges = torch.zeros(2, 0, dtype=torch.long)
    x = torch.randn(3, 4)
    layer = GATLayer(4, 3, heads=2, add_self_loops=False)
    torch.testing.assert_close(layer(x, edges), torch.zeros(3, 6))


def test_huge_scores_do_not_overflow() -> None:
    layer = GATLayer(4, 3)
    out = layer(torch.randn(LABELS, 4) * 1e4, some_edges(True))
    assert out.isfinite().all()

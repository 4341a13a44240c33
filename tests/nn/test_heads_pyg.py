"""What is particular to the head around PyG's convolutions."""

import pytest
import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.nn import PyGHead
from tests.nn.head_cases import perturbed

D = 12
NAMES = ["a", "b", "c", "d", "e"]
EDGES = [("a", "b", 0.5), ("c", "b", 0.2), ("b", "a", 0.3), ("b", "d", 1.5)]


@pytest.fixture
def graph() -> LabelGraph:
    return LabelGraph.from_edges(EDGES, names=NAMES)


@pytest.mark.parametrize(
    ("conv", "options", "edges_as"),
    [
        ("TransformerConv", {"heads": 2, "out_channels": 3}, "edge_attr"),
        ("GATConv", {}, "edge_attr"),
        ("GATv2Conv", {"heads": 2, "concat": False}, "edge_attr"),
        ("SAGEConv", {"aggr": "max"}, None),
        ("GraphConv", {}, "edge_weight"),
        ("GCNConv", {}, "edge_weight"),
        ("ChebConv", {"K": 2}, "edge_weight"),
        ("GINConv", {}, None),
        ("EdgeConv", {}, None),
        ("CGConv", {}, "edge_attr"),
        ("MixHopConv", {}, "edge_weight"),
    ],
)
def test_residual_form_around_the_convolution(graph, conv, options, edges_as) -> None:
    head = perturbed(PyGHead(D, graph, conv=conv, conv_options=options, hidden=8)).eval()
    assert head.convolution.edges_as == edges_as
    z = head.weight @ head.project.weight.T
    weights = {"edge_weight": graph.edge_weight, "edge_attr": graph.edge_weight[:, None]}
    given = {} if edges_as is None else {edges_as: weights[edges_as]}
    term = head.convolution.conv(z, graph.edge_index, **given) @ head.out_edge
    term[[2, 4]] = 0  # c and e have no in-edge
    expected = head.weight + z @ head.out_self + term
    torch.testing.assert_close(head.classifier()[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("conv", ["TransformerConv", "GATConv", "GraphConv"])
def test_weights_of_edges_matter(graph: LabelGraph, conv: str) -> None:
    head = perturbed(PyGHead(D, graph, conv=conv, hidden=8)).eval()
    before = head.classifier()[0]
    head.edge_weight = head.edge_weight * torch.tensor([0.1, 3.0, 5.0, 2.0])
    after = head.classifier()[0]
    assert not torch.allclose(after[1], before[1])
    torch.testing.assert_close(after[[2, 4]], before[[2, 4]])


def test_starts_as_its_linear_classifier(graph: LabelGraph) -> None:
    head = PyGHead(D, graph, hidden=8)
    weight, bias = head.classifier()
    torch.testing.assert_close(weight, head.weight, rtol=0, atol=0)
    assert bias is head.bias


def test_takes_a_class_and_knows_pygs_by_name(graph: LabelGraph) -> None:
    convolutions = pytest.importorskip("torch_geometric.nn")
    assert PyGHead(D, graph, convolutions.SAGEConv, hidden=8).config["conv"] == "SAGEConv"


class MeanOfNeighbours(nn.Module):
    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.LazyLinear(out_channels)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        total = torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])
        return self.linear(total)


def test_a_user_class_is_not_found_by_name(graph: LabelGraph) -> None:
    head = PyGHead(D, graph, conv=MeanOfNeighbours, hidden=8)
    assert head(torch.randn(2, D)).shape == (2, 5)
    with pytest.raises(InputError, match=r"not a PyG class.*pass conv=the class"):
        PyGHead(D, graph, conv=head.config["conv"])


def test_making_a_head_leaves_the_random_stream_to_its_parameters(graph: LabelGraph) -> None:
    none = LabelGraph(NAMES, torch.zeros(2, 0))
    drawn = []
    for given in (graph, none):
        torch.manual_seed(3)
        PyGHead(D, given, hidden=8)
        drawn.append(torch.rand(1))
    torch.testing.assert_close(*drawn, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conv": "TransfomerConv"}, "unknown PyG convolution.*did you mean 'TransformerConv'"),
        ({"conv": "SageConv"}, "did you mean 'SAGEConv'"),
        ({"conv": 3}, "conv=3: give the name"),
        ({"conv": "HypergraphConv"}, r"HypergraphConv takes \(x, hyperedge_index"),
        ({"conv": "ChebConv"}, "ChebConv cannot be created with conv_options={}.*'K'"),
        ({"conv": "SAGEConv", "conv_options": {"head": 2}}, "SAGEConv cannot be created.*head"),
        ({"conv": "DNAConv"}, r"DNAConv cannot run on \(x, edge_index\)"),
        ({"conv": "GINConv", "conv_options": {"nn": nn.Linear(8, 8)}}, "'nn' is a Linear"),
        ({"hidden": 0}, "hidden=0"),
    ],
)
def test_wrong_options_are_named(graph: LabelGraph, options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PyGHead(D, graph, **options)


def test_weights_that_a_convolution_cannot_normalise() -> None:
    negative = LabelGraph.from_edges([("a", "b", -0.5), ("b", "a", 0.4)], names=NAMES)
    with pytest.raises(InputError, match="NaN or infinity with the weights of this graph"):
        PyGHead(D, negative, conv="GCNConv")

"""The heads of the package under the base test, and what is particular to the first of them."""

import numpy as np
import pytest
import torch
from torch import nn

from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import (
    HEADS,
    AuxiliaryLosses,
    Foldable,
    GATHead,
    GATLayer,
    GATv2Head,
    GCNHead,
    GraphAblatable,
    LinearHead,
    LinearInit,
)
from gatlabel.nn.heads.protocols import starts_linear
from tests.nn.head_cases import CASES, KINDS, NAMES, Case, D, L, build, label_graph, perturbed
from tests.nn.heads.tester import HeadTester
from tests.reference import heads as reference


@pytest.fixture
def graph() -> LabelGraph:
    return label_graph()


def those(test) -> list[str]:
    return [name for name, (kind, _) in CASES.items() if test(kind)]


class TestHeadsOfThePackage(HeadTester):
    @pytest.fixture(params=CASES)
    def case(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]

    @pytest.fixture(params=KINDS)
    def one_case(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]

    @pytest.fixture(params=those(lambda kind: issubclass(kind, Foldable)))
    def foldable(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]

    @pytest.fixture(params=those(lambda kind: kind.needs_map))
    def on_maps(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]

    @pytest.fixture(params=those(lambda kind: issubclass(kind, GraphAblatable)))
    def over_graph(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]


@pytest.mark.parametrize("case", ["linear", "csra", "query"])
def test_heads_without_edges_need_labels_only(case: str) -> None:
    kind = CASES[case][0]
    assert kind(D, NAMES).out_features == kind(D, L).out_features == L
    for arguments in ({}, {"labels": 3, "graph": label_graph()}):
        with pytest.raises(InputError, match="give either"):
            kind(D, **arguments)
    encoder = Encoder.from_module(nn.Conv2d(3, D, 4), out_features=D, image_size=12)
    model = MultiLabelClassifier.create(encoder, case, labels=NAMES).eval()
    assert model(torch.zeros(2, 3, 12, 12)).shape == (2, L)
    assert model.graph is None


def test_what_each_head_can_do(graph: LabelGraph) -> None:
    def able(protocol: type) -> set[str]:
        return {name for name, head in HEADS.items() if issubclass(head, protocol)}

    assert able(Foldable) == {"linear", "gcn", "gat", "gatv2", "pyg"}
    assert able(LinearInit) == {"linear", "gat", "gatv2", "pyg"}
    assert able(GraphAblatable) == {"gcn", "gat", "gatv2", "pyg", "conditioned"}
    assert able(AuxiliaryLosses) == {"conditioned"}
    assert starts_linear(build("gat", graph))
    assert not starts_linear(build("gat-nodes", graph))  # a plain stack has no linear classifier
    assert not starts_linear(build("csra", graph))


def test_all_heads_are_tested() -> None:
    assert {kind for kind, _ in CASES.values()} == set(HEADS.values())
    assert {CASES[case][0] for case in KINDS} == set(HEADS.values())


@pytest.mark.parametrize("kind", [GATHead, GATv2Head])
def test_gat_head_starts_as_its_linear_classifier(kind, graph) -> None:
    head = kind(D, graph=graph, hidden=16)
    weight, bias = head.classifier()
    torch.testing.assert_close(weight, head.weight, rtol=0, atol=0)
    assert bias is head.bias


@torch.no_grad()
def test_gat_head_computes_the_formula_of_its_docstring(graph: LabelGraph) -> None:
    """A loop over labels, heads and neighbours, written from the formula."""
    head = perturbed(GATHead(D, graph=graph, hidden=8, heads=2)).double()
    x, w0 = head.nodes.vectors, head.weight
    z = w0 @ head.project.weight.T
    sources, targets = graph.edge_index.tolist()
    expected = torch.zeros(L, D, dtype=torch.float64)
    for i in range(L):
        edges = [e for e in range(len(targets)) if targets[e] == i]
        borrowed = []
        for h in range(2):
            a, b = head.attend.source.weight[h], head.attend.target.weight[h]
            scores = []
            for e in edges:
                raw = float(a @ x[sources[e]] + b @ x[i])
                prior = float(head.attend.prior_weight[h]) * float(graph.edge_weight[e])
                scores.append((raw if raw > 0 else 0.2 * raw) + prior)
            total = sum(np.exp(s) for s in scores)
            mixed = torch.zeros(4, dtype=torch.float64)
            for e, score in zip(edges, scores, strict=True):
                mixed = mixed + np.exp(score) / total * z[sources[e], 4 * h : 4 * h + 4]
            borrowed.append(mixed)
        expected[i] = w0[i] + z[i] @ head.out_self + torch.cat(borrowed) @ head.out_edge
    torch.testing.assert_close(head.classifier()[0], expected, rtol=0, atol=1e-6)


def test_a_label_without_in_edges_has_no_edge_term() -> None:
    graph = LabelGraph.from_edges([("a", "b")], names=["a", "b", "c"])
    head = perturbed(GATHead(D, graph=graph, hidden=16, node_features="learned"))
    z = head.project(head.weight)
    alone = head.weight + z @ head.out_self
    weight = head.classifier()[0]
    torch.testing.assert_close(weight[[0, 2]], alone[[0, 2]])
    assert not torch.allclose(weight[1], alone[1])


@pytest.mark.parametrize("kind", [GATHead, GATv2Head])
def test_self_loops_of_a_graph_are_not_neighbours(kind: type[GATHead]) -> None:
    loops = LabelGraph(NAMES, torch.arange(L).expand(2, L), self_loops=True)
    head = perturbed(kind(D, graph=loops, hidden=16, node_features="learned"))
    z = head.project(head.weight)
    torch.testing.assert_close(head.classifier()[0], head.weight + z @ head.out_self)
    assert head.attention()[0].shape == (2, 0)


def test_nodes_base_is_two_pyg_layers(graph: LabelGraph) -> None:
    conv = pytest.importorskip("torch_geometric.nn").GATConv
    head = build("gat-nodes", graph).double()
    x = head.nodes.vectors
    first, second = conv(x.shape[1], 4, heads=4).double(), conv(16, D // 4, heads=4).double()
    for theirs, ours in zip((first, second), head.stack.layers, strict=True):
        assert isinstance(ours, GATLayer)
        theirs.load_state_dict(ours.state_dict())
    hidden = nn.functional.elu(first(x, graph.edge_index))
    expected = second(hidden, graph.edge_index)
    torch.testing.assert_close(head.classifier()[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", ["mlgcn_code", "mlgcn_paper", "conditional"])
def test_gcn_head_is_mlgcn(variant: str) -> None:
    targets = (np.random.default_rng(0).random((100, L)) < 0.5).astype(np.float32)
    graph = Cooccurrence.from_targets(targets, NAMES).graph(variant)
    head = GCNHead(D, graph=graph, hidden=16).double()
    operator = graph.to_dense().double().numpy()
    if variant == "conditional":  # no matrix of its own: Kipf & Welling's normalisation
        operator = operator + np.eye(L)
        scale = operator.sum(1) ** -0.5
        operator = scale[:, None] * operator * scale
    features = torch.randn(3, D, dtype=torch.float64)
    parts = [p.detach().numpy() for p in (head.nodes.vectors, head.first, head.second)]
    expected = reference.mlgcn(features.numpy(), operator, *parts)
    np.testing.assert_allclose(head(features).detach().numpy(), expected, rtol=0, atol=1e-6)


def test_dropout_acts_in_training_only(graph: LabelGraph) -> None:
    head = perturbed(GATHead(D, graph=graph, hidden=16, dropout=0.5))
    assert not torch.equal(head.train().classifier()[0], head.classifier()[0])
    linear = head.fold()
    assert head.training
    torch.testing.assert_close(linear.weight, head.eval().classifier()[0])


def test_a_diverged_head_is_not_folded(graph: LabelGraph) -> None:
    head = LinearHead(D, L)
    nn.init.constant_(head.linear.weight, float("nan"))
    with pytest.raises(InputError, match="NaN"):
        head.fold()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 10, "heads": 4}, "multiple"),
        ({"base": "edges"}, "base 'edges'"),
        ({"base": "nodes", "layers": 0}, "layers=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"in_features": 0}, "at least one feature"),
    ],
)
def test_wrong_options_are_named(graph: LabelGraph, options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        GATHead(**{"in_features": D, "graph": graph, **options})


def test_replaces_a_linear_layer(graph: LabelGraph) -> None:
    models = pytest.importorskip("torchvision.models")
    network = models.resnet18(weights=None)
    network.fc = GATHead(network.fc.in_features, graph=graph, hidden=16)
    assert network(torch.randn(2, 3, 64, 64)).shape == (2, L)

"""One base test that every head joins, and what is particular to each."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.nn import HEADS, GATHead, GATLayer, GATv2Head, GCNHead, LinearHead, StaticHead

D, L = 24, 6
NAMES = ["a", "b", "c", "d", "e", "f"]

CASES: dict[str, tuple[type[StaticHead], dict[str, Any]]] = {
    "linear": (LinearHead, {}),
    "gcn": (GCNHead, {"hidden": 16}),
    "gat": (GATHead, {"hidden": 16}),
    "gat-learned": (GATHead, {"hidden": 16, "node_features": "learned", "bias": False}),
    "gat-nodes": (GATHead, {"hidden": 16, "base": "nodes"}),
    "gat-nodes-averaged": (GATHead, {"hidden": 10, "heads": 5, "base": "nodes", "layers": 3}),
    "gatv2": (GATv2Head, {"hidden": 16}),
    "gatv2-nodes": (GATv2Head, {"hidden": 16, "base": "nodes"}),
}


@pytest.fixture
def graph() -> LabelGraph:
    generator = np.random.default_rng(0)
    targets = (generator.random((200, L)) < 0.4).astype(np.float32)
    targets[:, 1] = np.maximum(targets[:, 1], targets[:, 0])
    return Cooccurrence.from_targets(targets, NAMES).graph("conditional", top_k=3)


def build(case: str, graph: LabelGraph) -> StaticHead:
    kind, options = CASES[case]
    return perturbed(kind(D, graph=graph, **options))


def perturbed(head: StaticHead) -> StaticHead:
    """Moves the zero-initialised parts off zero, so that every part takes part."""
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return head


@pytest.mark.parametrize("case", CASES)
class TestEveryHead:
    def test_takes_features_as_a_linear_layer_does(self, case: str, graph: LabelGraph) -> None:
        head = build(case, graph)
        for shape in ((D,), (3, D), (2, 5, D), (0, D)):
            assert head(torch.randn(*shape)).shape == (*shape[:-1], L)
        assert (head.in_features, head.out_features, head.needs_map) == (D, L, False)

    def test_logits_are_the_classifiers_times_the_features(self, case, graph) -> None:
        head = build(case, graph)
        weight, bias = head.classifier()
        assert weight.shape == (L, D)
        assert bias.shape == (L,)
        features = torch.randn(4, D)
        torch.testing.assert_close(head(features), features @ weight.T + bias)

    def test_folds_into_a_linear_layer_with_the_same_logits(self, case, graph) -> None:
        head = build(case, graph).double()
        linear = head.fold()
        assert type(linear) is nn.Linear
        features = torch.randn(4, D, dtype=torch.float64)
        torch.testing.assert_close(linear(features), head.eval()(features), rtol=0, atol=1e-12)
        assert not linear.weight.grad_fn

    def test_every_parameter_gets_a_gradient(self, case, graph) -> None:
        head = build(case, graph)
        head(torch.randn(4, D)).square().sum().backward()
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

    def test_gradients_are_right(self, case, graph) -> None:
        head = build(case, graph).double()
        names = [name for name, _ in head.named_parameters()]
        features = torch.randn(2, D, dtype=torch.float64)

        def function(*parameters: Tensor) -> Tensor:
            state = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(head, state, (features,))

        assert torch.autograd.gradcheck(function, tuple(head.parameters()), fast_mode=True)

    def test_state_goes_to_a_head_made_from_its_config(self, case, graph) -> None:
        head = build(case, graph)
        config = dict(head.config)
        description = config.get("node_features")
        if description:
            blank = torch.zeros(L, description["width"])
            config["node_features"] = nn.Parameter(blank) if description["trainable"] else blank
        width = config.pop("in_features")
        again = type(head)(width, graph=graph, **config)
        again.load_state_dict(head.state_dict())
        features = torch.randn(4, D)
        torch.testing.assert_close(again(features), head(features), rtol=1e-5, atol=1e-6)

    def test_permuting_the_labels_permutes_the_logits(self, case, graph) -> None:
        head = build(case, graph).double()
        order = [3, 1, 5, 0, 2, 4]
        moved = copy.deepcopy(head)
        per_label = {"weight", "bias", "linear.weight", "linear.bias", "nodes.vectors"}
        permuted = type(head)(D, graph=graph.reorder([NAMES[k] for k in order]), **CASES[case][1])
        state = {
            # what has a row a label moves with the labels; all else stays
            name: value[order] if name in per_label else value
            for name, value in moved.state_dict().items()
        }
        permuted.double().load_state_dict(state)
        features = torch.randn(4, D, dtype=torch.float64)
        torch.testing.assert_close(permuted(features), head(features)[:, order])

    def test_an_optimiser_step_lowers_the_loss(self, case, graph) -> None:
        head = build(case, graph)
        features, targets = torch.randn(16, D), (torch.rand(16, L) > 0.5).float()
        optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
        losses = []
        for _ in range(20):
            loss = nn.functional.binary_cross_entropy_with_logits(head(features), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0]


def test_all_heads_are_tested() -> None:
    static = {kind for kind in HEADS.values() if issubclass(kind, StaticHead)}
    assert {kind for kind, _ in CASES.values()} == static


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
def test_self_loops_of_a_graph_are_no_neighbours(kind: type[GATHead]) -> None:
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
def test_gcn_head_is_mlgcn(variant: str, graph: LabelGraph) -> None:
    """``A X W1``, LeakyReLU 0.2, ``A H W2``, with dense matrices."""
    targets = (np.random.default_rng(0).random((100, L)) < 0.5).astype(np.float32)
    graph = Cooccurrence.from_targets(targets, NAMES).graph(variant)
    head = GCNHead(D, graph=graph, hidden=16).double()
    a = graph.to_dense().double()
    if variant == "conditional":
        a = a + torch.eye(L)
        scale = a.sum(1).rsqrt()
        a = scale[:, None] * a * scale
    hidden = nn.functional.leaky_relu(a @ head.nodes.vectors @ head.first, 0.2)
    features = torch.randn(3, D, dtype=torch.float64)
    expected = features @ (a @ hidden @ head.second).T
    torch.testing.assert_close(head(features), expected, rtol=0, atol=1e-6)


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


def test_linear_head_needs_labels_once(graph: LabelGraph) -> None:
    assert LinearHead(D, NAMES).out_features == LinearHead(D, L).out_features == L
    for arguments in ({}, {"labels": 3, "graph": graph}):
        with pytest.raises(InputError, match="one of them"):
            LinearHead(D, **arguments)


def test_stands_where_a_linear_layer_stood(graph: LabelGraph) -> None:
    models = pytest.importorskip("torchvision.models")
    network = models.resnet18(weights=None)
    network.fc = GATHead(network.fc.in_features, graph=graph, hidden=16)
    assert network(torch.randn(2, 3, 64, 64)).shape == (2, L)

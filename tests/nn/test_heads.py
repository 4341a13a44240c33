"""One base test that every head joins, and what is particular to the first of them."""

import copy
import json
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS, GATHead, GATLayer, GATv2Head, GCNHead, GraphAblatable, LinearHead
from gatlabel.nn.identity import KEY
from tests.nn.head_cases import (
    CASES,
    KINDS,
    NAMES,
    D,
    L,
    build,
    features_for,
    label_dimension,
    label_graph,
    options_from,
    perturbed,
)
from tests.reference import heads as reference

STATIC = [case for case in CASES if not CASES[case][0].needs_map]
MAPS = [case for case in CASES if CASES[case][0].needs_map]
WITH_GRAPH = [case for case in CASES if issubclass(CASES[case][0], GraphAblatable)]
# A bias of the keys moves all scores of a query alike, and the softmax takes it away.
NO_EFFECT = {"convolution.conv.lin_key.bias"}


@pytest.fixture
def graph() -> LabelGraph:
    return label_graph()


@pytest.mark.parametrize("case", CASES)
class TestEveryHead:
    def test_gives_one_logit_a_label(self, case: str, graph: LabelGraph) -> None:
        head = build(case, graph)
        for batch in (0, 1, 3):
            assert head(features_for(head, batch)).shape == (batch, L)
        assert (head.in_features, head.out_features) == (D, L)

    def test_starts_at_base_rates(self, case, graph) -> None:
        head = build(case, graph)
        rates = torch.linspace(0.05, 0.9, L)
        head.init_bias(rates)
        if head.label_bias() is not None:
            blank = torch.zeros_like(features_for(head, 1))
            plain = head.without_edges() if isinstance(head, GraphAblatable) else head
            if head.kind != "query":  # its queries speak without a picture
                torch.testing.assert_close(plain(blank)[0].sigmoid(), rates)
        with pytest.raises(InputError, match="base rates"):
            head.init_bias(rates * 2)

    def test_every_parameter_gets_a_gradient(self, case, graph) -> None:
        head = build(case, graph)
        head(features_for(head, 4)).square().sum().backward()
        for name, parameter in head.named_parameters():
            if name not in NO_EFFECT and parameter.numel():
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name
                assert parameter.grad.abs().sum() > 0, name

    def test_gradients_are_right(self, case, graph) -> None:
        head = build(case, graph).double()
        names = [name for name, _ in head.named_parameters()]
        features = features_for(head, 2, torch.float64).requires_grad_()

        def function(features: Tensor, *parameters: Tensor) -> Tensor:
            state = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(head, state, (features,))

        inputs = (features, *head.parameters())
        assert torch.autograd.gradcheck(function, inputs, fast_mode=True)

    def test_state_goes_to_a_head_made_from_its_config(self, case, graph) -> None:
        head = build(case, graph)
        json.dumps(head.config)  # primitives
        again = type(head)(D, graph=graph, **options_from(head)).eval()
        again.load_state_dict(head.state_dict())
        features = features_for(head, 4)
        torch.testing.assert_close(again(features), head(features), rtol=1e-5, atol=1e-6)

    def test_a_saved_model_gives_the_same_logits(self, case, graph, tmp_path) -> None:
        def encoder() -> Encoder:
            trunk = nn.Conv2d(3, D, 4, stride=4)
            return Encoder.from_module(trunk, out_features=D, image_size=12)

        kind, options = CASES[case]
        model = MultiLabelClassifier.create(
            encoder(), kind.kind, graph=graph, head_options=options
        ).eval()
        perturbed(model.head)
        assert (model.graph is not None) == issubclass(kind, GraphAblatable)
        model.save_pretrained(tmp_path)
        again = MultiLabelClassifier.from_pretrained(tmp_path, encoder=encoder())
        images = torch.randint(0, 256, (3, 3, 12, 12), dtype=torch.uint8)
        torch.testing.assert_close(again(images), model(images), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(model.fold()(images), model(images), rtol=1e-4, atol=1e-4)

    def test_permuting_the_labels_permutes_the_logits(self, case, graph) -> None:
        head = build(case, graph).double()
        order = [3, 1, 5, 0, 2, 4]
        moved = graph.reorder([NAMES[k] for k in order])
        permuted = type(head)(D, graph=moved, **CASES[case][1]).double().eval()
        place = {old: new for new, old in enumerate(order)}
        edges = [tuple(place[end] for end in edge) for edge in graph.edge_index.T.tolist()]
        row = [edges.index(tuple(edge)) for edge in moved.edge_index.T.tolist()]
        state = {}
        for name, value in head.state_dict().items():
            if name == KEY:  # says that the weights are for another order
                continue
            dimension = label_dimension(head, name)
            # what has a row a label, or an edge, moves with them; all else stays
            state[name] = (
                value if dimension is None else value.index_select(dimension, torch.tensor(order))
            )
            if name == "coupling" and len(value):
                state[name] = value[row]
        permuted.load_state_dict(state)
        features = features_for(head, 4, torch.float64)
        torch.testing.assert_close(permuted(features), head(features)[:, order])

    def test_an_optimiser_step_lowers_the_loss(self, case, graph) -> None:
        head = build(case, graph)
        features, targets = features_for(head, 16), (torch.rand(16, L) > 0.5).float()
        optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
        losses = []
        for _ in range(20):
            loss = nn.functional.binary_cross_entropy_with_logits(head(features), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0]

    def test_runs_in_mixed_precision(self, case, graph) -> None:
        head = build(case, graph)
        features = features_for(head, 4)
        exact = head(features)
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(features)
            logits.float().square().sum().backward()
        torch.testing.assert_close(logits.float(), exact, rtol=0.1, atol=0.1)
        assert all(p.grad.isfinite().all() for p in head.parameters() if p.grad is not None)

    def test_a_graph_without_edges_will_do(self, case, graph) -> None:
        head = build(case, graph.counts.graph("identity"))
        logits = head(features_for(head, 2))
        logits.sum().backward()
        assert logits.isfinite().all()


@pytest.mark.parametrize("case", KINDS)
class TestEveryKind:
    def test_exports(self, case: str, graph: LabelGraph) -> None:
        head = build(case, graph)
        features = features_for(head, 3)
        batch = {0: torch.export.Dim("batch", min=1, max=64)}
        with warnings.catch_warnings():
            # PyG's scatter is scripted, and scripting is deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            program = torch.export.export(head, (features,), dynamic_shapes=(batch,))
        other = features_for(head, 5)
        torch.testing.assert_close(program.module()(other), head(other), rtol=1e-5, atol=1e-5)

    def test_compiles_in_one_piece(self, case, graph) -> None:
        head = build(case, graph)
        features = features_for(head, 3)
        torch.compiler.reset()
        compiled = torch.compile(head, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(features), head(features), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", STATIC)
class TestStaticHeads:
    def test_takes_features_as_a_linear_layer_does(self, case: str, graph: LabelGraph) -> None:
        head = build(case, graph)
        for shape in ((D,), (3, D), (2, 5, D), (0, D)):
            assert head(torch.randn(*shape)).shape == (*shape[:-1], L)

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


@pytest.mark.parametrize("case", MAPS)
class TestMapHeads:
    def test_takes_maps_of_any_size_and_layout(self, case: str, graph: LabelGraph) -> None:
        head = build(case, graph)
        for size in ((1, 1), (3, 5), (8, 1)):
            features = torch.randn(2, D, *size)
            logits = head(features)
            assert logits.shape == (2, L)
            last = features.contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(head(last), logits, rtol=1e-5, atol=1e-5)

    def test_where_things_are_does_not_matter(self, case, graph) -> None:
        """No head encodes positions: a shuffled map has the same logits."""
        head = build(case, graph).double()
        features = features_for(head, 2, torch.float64)
        shuffled = features.flatten(2)[:, :, torch.randperm(6)].view_as(features)
        torch.testing.assert_close(head(shuffled), head(features))

    def test_other_features_are_refused(self, case, graph) -> None:
        head = build(case, graph)
        for shape in ((2, D), (D, 3, 3), (2, D + 1, 3, 3)):
            with pytest.raises(InputError, match=rf"feature maps \(B, {D}, h, w\)"):
                head(torch.randn(*shape))


@pytest.mark.parametrize("case", WITH_GRAPH)
class TestHeadsWithAGraph:
    def test_without_edges_is_a_copy_that_no_graph_changes(self, case, graph) -> None:
        head = build(case, graph)
        before = copy.deepcopy(head.state_dict())
        features = features_for(head, 4)
        full = head(features)
        alone = head.without_edges()
        assert type(alone) is type(head)
        assert alone.edge_index.shape == (2, 0)
        torch.testing.assert_close(head(features), full, rtol=0, atol=0)
        assert not torch.allclose(alone(features), full)
        torch.testing.assert_close(alone.without_edges()(features), alone(features))
        for name, value in alone.state_dict().items():
            # what is learned an edge goes with the edge, and the state says that it is of others
            if name != KEY and value.shape == before[name].shape:
                torch.testing.assert_close(value, before[name], rtol=0, atol=0)

    def test_without_edges_is_the_head_of_the_graph_without_edges(self, case, graph) -> None:
        head = build(case, graph)
        none = type(head)(
            D, graph=LabelGraph(NAMES, torch.zeros(2, 0)), **options_from(head)
        ).eval()
        alone = head.without_edges()
        none.load_state_dict(alone.state_dict())
        features = features_for(head, 4)
        torch.testing.assert_close(none(features), alone(features), rtol=1e-5, atol=1e-6)

    def test_with_some_edges_is_the_head_of_the_smaller_graph(self, case, graph) -> None:
        head = build(case, graph)
        keep = torch.arange(len(head.edge_weight)) % 3 != 1
        some = head.with_edges(keep)
        smaller = LabelGraph(NAMES, head.edge_index[:, keep], head.edge_weight[keep])
        again = type(head)(D, graph=smaller, **options_from(head)).eval()
        again.load_state_dict(some.state_dict())
        features = features_for(head, 4)
        torch.testing.assert_close(again(features), some(features), rtol=1e-5, atol=1e-6)
        assert not torch.allclose(some(features), head(features))
        everything = head.with_edges(torch.ones_like(keep))
        torch.testing.assert_close(everything(features), head(features), rtol=0, atol=0)
        with pytest.raises(InputError, match="one value per edge"):
            head.with_edges(keep[1:])

    def test_an_isolated_label_has_no_edge_term(self, case, graph) -> None:
        sparse = LabelGraph.from_edges([("a", "b", 0.5), ("b", "c", 0.8)], names=NAMES)
        kind, options = CASES[case]
        options = (
            {**options, "node_features": torch.randn(L, 8)}
            if ("node_features" in build(case, graph).config)
            else options
        )
        head = perturbed(kind(D, graph=sparse, **options)).eval()
        features = features_for(head, 4)
        full, alone = head(features), head.without_edges()(features)
        torch.testing.assert_close(full[:, 3:], alone[:, 3:], rtol=1e-5, atol=1e-6)
        assert not torch.allclose(full[:, 1:3], alone[:, 1:3])

    def test_attention_is_a_share_of_each_label(self, case, graph) -> None:
        found = build(case, graph).attention()
        if found is None:
            return
        edges, weights = found
        sums = torch.zeros(L, weights.shape[1]).index_add(0, edges[1], weights.detach())
        heard = torch.zeros(L).index_fill(0, edges[1], 1.0)[:, None].expand_as(sums)
        torch.testing.assert_close(sums, heard)

    def test_needs_a_graph(self, case, graph) -> None:
        encoder = Encoder.from_module(nn.Conv2d(3, D, 4), out_features=D, image_size=12)
        with pytest.raises(InputError, match=f"head '{CASES[case][0].kind}' needs a label graph"):
            MultiLabelClassifier.create(encoder, CASES[case][0], labels=NAMES)


@pytest.mark.parametrize("case", ["linear", "csra", "query"])
def test_heads_without_edges_need_labels_only(case: str) -> None:
    kind = CASES[case][0]
    assert kind(D, NAMES).out_features == kind(D, L).out_features == L
    for arguments in ({}, {"labels": 3, "graph": label_graph()}):
        with pytest.raises(InputError, match="one of them"):
            kind(D, **arguments)
    encoder = Encoder.from_module(nn.Conv2d(3, D, 4), out_features=D, image_size=12)
    model = MultiLabelClassifier.create(encoder, case, labels=NAMES).eval()
    assert model(torch.zeros(2, 3, 12, 12)).shape == (2, L)
    assert model.graph is None


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


def test_stands_where_a_linear_layer_stood(graph: LabelGraph) -> None:
    models = pytest.importorskip("torchvision.models")
    network = models.resnet18(weights=None)
    network.fc = GATHead(network.fc.in_features, graph=graph, hidden=16)
    assert network(torch.randn(2, 3, 64, 64)).shape == (2, L)

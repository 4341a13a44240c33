"""The base test of every head: a head joins it by a class of two lines.

    class TestMyHead(HeadTester):
        head, options = MyHead, {"hidden": 16}

What only some heads can do is tested where the head has the protocol, and skipped elsewhere.
"""

import copy
import json
import warnings
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS, Foldable, GraphAblatable, Head
from gatlabel.nn.heads.protocols import forward_losses
from gatlabel.nn.identity import KEY
from tests.nn.head_cases import (
    NAMES,
    Case,
    D,
    L,
    features_for,
    label_dimension,
    label_graph,
    made,
    options_from,
    perturbed,
)

# A bias of the keys moves all scores of a query alike, and the softmax takes it away.
NO_EFFECT = {"convolution.conv.lin_key.bias"}


def build(case: Case, graph: LabelGraph) -> Any:
    """A head of a case in evaluation mode, of which every part takes part."""
    return made(*case, graph)


class HeadTester:
    """What every head must do.

    Attributes:
        head: The class.
        options: Options that make it small.
        label_axes: By name, the axis of labels of parameters and buffers that have one and are
            not called as those of the package's heads are.
    """

    head: ClassVar[type[Head]]
    options: ClassVar[dict[str, Any]] = {}
    label_axes: ClassVar[dict[str, int]] = {}

    @pytest.fixture(autouse=True)
    def known_by_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Saved models find their head by its name."""
        if hasattr(self, "head"):
            monkeypatch.setitem(HEADS, self.head.kind, self.head)

    @pytest.fixture
    def graph(self) -> LabelGraph:
        return label_graph()

    @pytest.fixture
    def case(self) -> Case:
        return self.head, self.options

    @pytest.fixture
    def one_case(self) -> Case:
        return self.head, self.options

    @pytest.fixture
    def foldable(self) -> Case:
        return self.having(issubclass(self.head, Foldable))

    @pytest.fixture
    def on_maps(self) -> Case:
        return self.having(self.head.needs_map)

    @pytest.fixture
    def over_graph(self) -> Case:
        return self.having(issubclass(self.head, GraphAblatable))

    def having(self, it: bool) -> Case:
        if not it:
            pytest.skip("for other heads")
        return self.head, self.options

    def label_axis(self, head: Head, name: str) -> int | None:
        return self.label_axes.get(name, label_dimension(head, name))

    def test_gives_one_logit_a_label(self, case, graph) -> None:
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
            if head.kind != "query":  # its queries speak without an image
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

    def test_roles_are_of_its_own_parameters(self, case, graph) -> None:
        head = build(case, graph)
        roles = head.param_groups()
        assert list(roles) == ["linear", "residual", "auxiliary"]
        own = {id(parameter) for parameter in head.parameters()}
        assert all(id(parameter) in own for group in roles.values() for parameter in group)

    def test_the_first_loss_is_that_of_the_logits(self, case, graph) -> None:
        head, criterion = build(case, graph), nn.BCEWithLogitsLoss()
        features, targets = features_for(head, 4), (torch.rand(4, L) > 0.5).float()
        logits, losses = forward_losses(head, features, targets, criterion)
        torch.testing.assert_close(losses[0], criterion(logits, targets))
        assert all(loss.shape == () and loss.isfinite() for loss in losses)

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

        kind, options = case
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
        permuted = type(head)(D, graph=moved, **case[1]).double().eval()
        place = {old: new for new, old in enumerate(order)}
        edges = [tuple(place[end] for end in edge) for edge in graph.edge_index.T.tolist()]
        row = [edges.index(tuple(edge)) for edge in moved.edge_index.T.tolist()]
        state = {}
        for name, value in head.state_dict().items():
            if name == KEY:  # says that the weights are for another order
                continue
            dimension = self.label_axis(head, name)
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

    def test_a_graph_without_edges_works(self, case, graph) -> None:
        head = build(case, graph.counts.graph("identity"))
        logits = head(features_for(head, 2))
        logits.sum().backward()
        assert logits.isfinite().all()

    def test_exports(self, one_case, graph) -> None:
        head = build(one_case, graph)
        features = features_for(head, 3)
        batch = {0: torch.export.Dim("batch", min=1, max=64)}
        with warnings.catch_warnings():
            # PyG's scatter is scripted, and scripting is deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            program = torch.export.export(head, (features,), dynamic_shapes=(batch,))
        other = features_for(head, 5)
        torch.testing.assert_close(program.module()(other), head(other), rtol=1e-5, atol=1e-5)

    def test_compiles_in_one_piece(self, one_case, graph) -> None:
        head = build(one_case, graph)
        features = features_for(head, 3)
        torch.compiler.reset()
        compiled = torch.compile(head, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(features), head(features), rtol=1e-5, atol=1e-5)

    def test_takes_features_as_a_linear_layer_does(self, foldable, graph) -> None:
        head = build(foldable, graph)
        for shape in ((D,), (3, D), (2, 5, D), (0, D)):
            assert head(torch.randn(*shape)).shape == (*shape[:-1], L)

    def test_logits_are_the_classifiers_times_the_features(self, foldable, graph) -> None:
        head = build(foldable, graph)
        weight, bias = head.classifier()
        assert weight.shape == (L, D)
        assert bias.shape == (L,)
        features = torch.randn(4, D)
        torch.testing.assert_close(head(features), features @ weight.T + bias)

    def test_folds_into_a_linear_layer_with_the_same_logits(self, foldable, graph) -> None:
        head = build(foldable, graph).double()
        linear = head.fold()
        assert type(linear) is nn.Linear
        features = torch.randn(4, D, dtype=torch.float64)
        torch.testing.assert_close(linear(features), head.eval()(features), rtol=0, atol=1e-12)
        assert not linear.weight.grad_fn

    def test_takes_maps_of_any_size_and_layout(self, on_maps, graph) -> None:
        head = build(on_maps, graph)
        for size in ((1, 1), (3, 5), (8, 1)):
            features = torch.randn(2, D, *size)
            logits = head(features)
            assert logits.shape == (2, L)
            last = features.contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(head(last), logits, rtol=1e-5, atol=1e-5)

    def test_where_things_are_does_not_matter(self, on_maps, graph) -> None:
        """No head encodes positions: a shuffled map has the same logits."""
        head = build(on_maps, graph).double()
        features = features_for(head, 2, torch.float64)
        shuffled = features.flatten(2)[:, :, torch.randperm(6)].view_as(features)
        torch.testing.assert_close(head(shuffled), head(features))

    def test_other_features_are_refused(self, on_maps, graph) -> None:
        head = build(on_maps, graph)
        for shape in ((2, D), (D, 3, 3), (2, D + 1, 3, 3)):
            with pytest.raises(InputError, match=rf"feature maps \(B, {D}, h, w\)"):
                head(torch.randn(*shape))

    def test_without_edges_is_a_copy_that_no_graph_changes(self, over_graph, graph) -> None:
        head = build(over_graph, graph)
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

    def test_without_edges_is_the_head_of_the_graph_without_edges(self, over_graph, graph) -> None:
        head = build(over_graph, graph)
        none = type(head)(
            D, graph=LabelGraph(NAMES, torch.zeros(2, 0)), **options_from(head)
        ).eval()
        alone = head.without_edges()
        none.load_state_dict(alone.state_dict())
        features = features_for(head, 4)
        torch.testing.assert_close(none(features), alone(features), rtol=1e-5, atol=1e-6)

    def test_with_some_edges_is_the_head_of_the_smaller_graph(self, over_graph, graph) -> None:
        head = build(over_graph, graph)
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

    def test_an_isolated_label_has_no_edge_term(self, over_graph, graph) -> None:
        sparse = LabelGraph.from_edges([("a", "b", 0.5), ("b", "c", 0.8)], names=NAMES)
        kind, options = over_graph
        options = (
            {**options, "node_features": torch.randn(L, 8)}
            if ("node_features" in build(over_graph, graph).config)
            else options
        )
        head = perturbed(kind(D, graph=sparse, **options)).eval()
        features = features_for(head, 4)
        full, alone = head(features), head.without_edges()(features)
        torch.testing.assert_close(full[:, 3:], alone[:, 3:], rtol=1e-5, atol=1e-6)
        assert not torch.allclose(full[:, 1:3], alone[:, 1:3])

    def test_attention_is_a_share_of_each_label(self, over_graph, graph) -> None:
        found = build(over_graph, graph).attention()
        if found is None:
            return
        edges, weights = found
        sums = torch.zeros(L, weights.shape[1]).index_add(0, edges[1], weights.detach())
        received = torch.zeros(L).index_fill(0, edges[1], 1.0)[:, None].expand_as(sums)
        torch.testing.assert_close(sums, received)

    def test_needs_a_graph(self, over_graph, graph) -> None:
        encoder = Encoder.from_module(nn.Conv2d(3, D, 4), out_features=D, image_size=12)
        with pytest.raises(InputError, match=f"head '{over_graph[0].kind}' needs a label graph"):
            MultiLabelClassifier.create(encoder, over_graph[0], labels=NAMES)

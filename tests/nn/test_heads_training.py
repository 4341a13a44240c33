"""Every parameter that may learn gets a gradient: training on several devices waits for each."""

import os

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.losses import BCELoss
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import GraphAblatable, Head, PyGHead
from gatlabel.nn.heads.protocols import forward_losses
from gatlabel.nn.pooling import POOLINGS
from tests.nn.head_cases import CASES, KINDS, NAMES, D, L, build, features_for, label_graph


def some_edges(graph: LabelGraph) -> LabelGraph:
    keep = graph.edge_index[1] < 3
    edges, weights = graph.edge_index[:, keep], graph.edge_weight[keep]
    return LabelGraph(graph.names, edges, weights, counts=graph.counts)


GRAPHS = {
    "counts": label_graph,
    "no edges": lambda: label_graph().counts.graph("identity"),
    "isolated labels": lambda: some_edges(label_graph()),
}
# Every class of PyG's that takes (x, edge_index) and runs with the packages at hand.
CONVOLUTIONS = {
    "AGNNConv": {}, "APPNP": {"K": 2, "alpha": 0.1}, "ARMAConv": {}, "AntiSymmetricConv": {},
    "CGConv": {}, "ChebConv": {"K": 2}, "EGConv": {"num_heads": 2}, "EdgeConv": {},
    "FeaStConv": {}, "FiLMConv": {}, "GATConv": {"residual": True}, "GATv2Conv": {}, "GCNConv": {},
    "GENConv": {}, "GINConv": {}, "GINEConv": {}, "GatedGraphConv": {"num_layers": 2},
    "GeneralConv": {}, "GraphConv": {}, "LEConv": {}, "LGConv": {}, "MFConv": {}, "MixHopConv": {},
    "PDNConv": {}, "ResGatedGraphConv": {}, "SAGEConv": {"project": True}, "SGConv": {},
    "SSGConv": {"alpha": 0.1}, "SimpleConv": {}, "SuperGATConv": {}, "TAGConv": {},
    "TransformerConv": {"beta": True}, "WLConvContinuous": {},
}  # fmt: skip


def without_gradient(head: nn.Module) -> list[str]:
    named = head.named_parameters()
    return [name for name, p in named if p.requires_grad and p.grad is None]


def losses(head: Head) -> Tensor:
    """Of a normal training step, with unknown and soft targets."""
    targets = torch.rand(4, L).masked_fill(torch.rand(4, L) < 0.3, -1.0)
    _, parts = forward_losses(head, features_for(head, 4), targets, BCELoss())
    return torch.stack(parts).sum()


def on(case: str, graph: LabelGraph) -> Head:
    kind, options = CASES[case]
    return kind(D, graph=graph, **options).train()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", GRAPHS)
def test_what_may_learn_gets_a_gradient(case: str, name: str) -> None:
    head = on(case, GRAPHS[name]())
    losses(head).backward()
    assert without_gradient(head) == []
    if isinstance(head, GraphAblatable):
        alone = head.without_edges()
        alone.zero_grad()
        losses(alone).backward()
        assert without_gradient(alone) == []


@pytest.mark.parametrize("conv", CONVOLUTIONS)
def test_of_every_pyg_convolution(conv: str) -> None:
    graph = label_graph()
    head = PyGHead(D, graph, conv=conv, conv_options=CONVOLUTIONS[conv], hidden=8)
    nn.init.normal_(head.out_edge)
    losses(head).backward()
    assert without_gradient(head) == []
    assert [name for name, p in head.named_parameters() if not p.requires_grad] == []


@pytest.fixture
def process_group(monkeypatch: pytest.MonkeyPatch, tmp_path):
    group = torch.distributed
    group.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    group.destroy_process_group()


@pytest.mark.skipif(os.name == "nt", reason="gloo over a file")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("graph", ["counts", "no edges"])
@pytest.mark.parametrize("case", KINDS)
def test_distributed_training_finds_no_unused_parameter(
    case: str, graph: str, process_group: None
) -> None:
    """It fails at the second step where a parameter got no gradient in the first."""

    class Losses(nn.Module):
        def __init__(self, head: Head) -> None:
            super().__init__()
            self.head = head

        def forward(self) -> Tensor:
            return losses(self.head)

    model = DistributedDataParallel(Losses(on(case, GRAPHS[graph]())))
    for _ in range(2):
        model().backward()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("case", KINDS)
def test_of_a_whole_model(case: str, pooling: str) -> None:
    encoder = Encoder.from_module(nn.Conv2d(3, D, 4, stride=4), out_features=D, image_size=12)
    kind, options = CASES[case]
    model = MultiLabelClassifier.create(
        encoder, kind, graph=label_graph(), head_options=options, pooling=pooling
    )
    features = model.features(torch.randint(0, 256, (4, 3, 12, 12), dtype=torch.uint8))
    _, parts = forward_losses(model.head, features, (torch.rand(4, L) > 0.5).float(), BCELoss())
    torch.stack(parts).sum().backward()
    assert without_gradient(model) == []


def test_old_weights_of_what_is_not_used_are_taken() -> None:
    """Files of before held them as parameters; the names are the same."""
    head = build("pyg", label_graph())
    state = head.state_dict()
    unused = [f"convolution.conv.lin_skip.{part}" for part in ("weight", "bias")]
    assert set(unused) <= set(state)
    assert not set(unused) & {name for name, _ in head.named_parameters()}
    old = {name: torch.full_like(v, 0.25) for name, v in state.items() if name != "_extra_state"}
    again = build("pyg", label_graph())
    again.load_state_dict(old)
    features = features_for(head, 3)
    before = again(features)
    old |= {name: torch.full_like(old[name], 7.0) for name in unused}
    again.load_state_dict(old)
    torch.testing.assert_close(again(features), before, rtol=0, atol=0)
    assert (again.convolution.conv.lin_skip.weight == 7).all()


class Doubled(nn.Module):
    """A user class that uses its parameters in its own way."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.spare = nn.Linear(out_channels, out_channels)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return torch.zeros_like(x).index_add(0, edge_index[1], 2 * x[edge_index[0]])


def test_a_user_class_keeps_its_parameters() -> None:
    head = PyGHead(D, label_graph(), conv=Doubled, hidden=8)
    assert isinstance(head.convolution.conv.spare.weight, nn.Parameter)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.float64])
def test_targets_of_any_type(dtype: torch.dtype) -> None:
    targets = torch.tensor([[1, 0, -1, 1, 0, -1]] * 3)
    for case in KINDS:
        head = build(case, label_graph())
        features = features_for(head, 3)
        _, expected = forward_losses(head, features, targets.float(), BCELoss())
        _, found = forward_losses(head, features, targets.to(dtype), BCELoss())
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, check_dtype=False)


def test_unknown_labels_do_not_train_the_context() -> None:
    head = build("conditioned", label_graph())
    with torch.no_grad():
        head.prior_logit[2] = torch.inf
    features = features_for(head, 3)
    targets = torch.tensor([[1.0, 0, -1, 1, 0, 1]] * 3)
    _, parts = forward_losses(head, features, targets, BCELoss())
    torch.stack(parts).sum().backward()
    assert all(part.isfinite() for part in parts)
    assert head.prior_logit.grad[2] == 0


def test_one_label_and_one_image() -> None:
    graph = LabelGraph([NAMES[0]], torch.zeros(2, 0))
    for kind, options in CASES.values():
        given = {k: v for k, v in options.items() if v not in ("learned", "svd")}
        if "node_features" in options or kind.kind in ("gcn", "gat", "gatv2"):
            given["node_features"] = torch.randn(1, 4)
        head = kind(D, graph=graph, **given)
        features = torch.randn(1, D, 1, 1) if head.needs_map else torch.randn(1, D)
        logits = head(features)
        logits.sum().backward()
        assert logits.shape == (1, 1)
        assert logits.isfinite().all()


@pytest.mark.parametrize("miss_rate", [1.0, 0.9999999, float("nan")])
def test_a_miss_rate_beyond_float32_is_refused(miss_rate: float) -> None:
    kind, options = CASES["conditioned"]
    with pytest.raises(InputError, match=r"at most 0\.999999"):
        kind(D, graph=label_graph(), **options, miss_rate=miss_rate)

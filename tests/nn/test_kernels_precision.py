"""The numeric limits of docs/kernels.md at a score spread of ten, against the slow definitions.

(*sorted* is held to them against *dense*, in a file of its own.)
"""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.graph import LabelGraph
from gatlabel.nn import GATHead
from gatlabel.nn.heads import image_attention
from gatlabel.nn.heads.messages import Messages
from gatlabel.nn.heads.stack import GATStack
from gatlabel.nn.kernels import attend
from tests.nn.test_kernels import random_graph, relative
from tests.reference import attention as reference

D, L, HEADS, HIDDEN, BATCH, PLACES = 96, 40, 4, 32, 6, 9
EXACT, VALUES, GRADIENTS = 1e-11, 1e-5, 1e-3


def spread(s: Tensor, t: Tensor) -> Tensor:
    return (s.amax() - s.amin() + t.amax() - t.amin()).detach()


def parts(out: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The values, and the gradients of a weighted sum of them."""
    probe = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out).sin()
    return [out, *torch.autograd.grad(out, inputs, probe.to(out.dtype))]


def hold(ours: Sequence[Tensor], expected: Sequence[Tensor], exact: bool = False) -> None:
    for index, (part, wanted) in enumerate(zip(ours, expected, strict=True)):
        limit = EXACT if exact else GRADIENTS if index else VALUES
        assert relative(part, wanted) < limit, index


def doubled(module: nn.Module) -> dict[str, Tensor]:
    named = module.named_parameters()
    return {name: p.detach().double().requires_grad_() for name, p in named}


def leaves(*tensors: Tensor) -> list[Tensor]:
    return [x.detach().double().requires_grad_() for x in tensors]


@pytest.mark.parametrize("kernel", ["dense", "csr"])
def test_kernels(kernel: str) -> None:
    graph = random_graph(150, 0.2)
    s, t = torch.randn(2, 2, 150, dtype=torch.float64)
    s, t = (10 * x / spread(s, t) for x in (s, t))
    tensors = leaves(s, t, torch.randn(2, 150, 16))
    source, target = (ends.tolist() for ends in graph.sorted_edges())
    edges = list(zip(source, target, strict=True))
    expected = parts(reference.attention(edges, *tensors), tensors)
    hold(parts(attend(graph, *tensors, kernel=kernel), tensors), expected, exact=True)
    single = [x.detach().float().requires_grad_() for x in tensors]
    hold(parts(attend(graph, *single, kernel=kernel), single), expected)


def some_graph() -> LabelGraph:
    """One label without neighbours, weights from 0 to 1."""
    mask = torch.rand(L, L) < 0.3
    mask.fill_diagonal_(False)
    mask[4] = False
    edges = mask.nonzero().T.flip(0)
    return LabelGraph([f"label {k}" for k in range(L)], edges, torch.rand(edges.shape[1]))


def some_head(graph: LabelGraph, **options: object) -> GATHead:
    """With scores that spread over ten in every layer, what the prior adds included."""
    head = GATHead(D, graph, torch.randn(L, 12), **{"heads": HEADS, **options})
    x = head.nodes()
    with torch.no_grad():
        if head.base == "nodes":
            assert isinstance(head.stack, GATStack)
            for layer in head.stack.layers:
                factor = 10 / spread(*layer._scores(x))
                layer.att_src *= factor
                layer.att_dst *= factor
                x = F.elu(layer(x, head.adjacency))
        else:
            nn.init.normal_(head.out_self, std=0.1)
            nn.init.normal_(head.out_edge, std=0.1)
            factor = 9 / spread(head.attend.source(x), head.attend.target(x))
            head.attend.source.weight *= factor
            head.attend.target.weight *= factor
    return head


LAZY: dict[str, dict[str, object]] = {
    "classifiers": {"hidden": HIDDEN},
    "nodes": {"hidden": HIDDEN, "base": "nodes"},
    "nodes, averaged": {"hidden": 35, "heads": 5, "base": "nodes"},
    "complete": {"hidden": HIDDEN, "base": "nodes", "complete": True},
}


@pytest.mark.parametrize(
    ("case", "kernel"),
    [(case, kernel) for case in list(LAZY)[:3] for kernel in ("dense", "csr")]
    + [("complete", "sorted")],
)
def test_lazy(case: str, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GATHead, "_saves_by_products", lambda *_: True)
    monkeypatch.setattr(GATHead, "classifier", None)  # not to be formed
    monkeypatch.setattr("gatlabel.nn.kernels.dispatch.choose_kernel", lambda *_, **__: kernel)
    graph = some_graph()
    head = some_head(graph, **LAZY[case])
    features = torch.randn(BATCH, D, requires_grad=True)
    (wide,), state, vectors = leaves(features), doubled(head), head.nodes().double()
    given = [(j, i) for j, i in graph.edge_index.T.tolist()]
    if case == "classifiers":
        prior = graph.edge_weight.double()
        expected = reference.default_head(wide, given, prior, vectors, state)
    else:
        every = [(j, i) for i in range(L) for j in range(L)]
        edges = every if case == "complete" else given + [(i, i) for i in range(L)]
        expected = reference.plain_head(wide, edges, vectors, state)
    ours = parts(head(features), [features, *head.parameters()])
    hold(ours, parts(expected, [wide, *state.values()]))


@pytest.mark.parametrize(
    ("dense", "fold", "attend_first"),
    [(True, True, True), (True, True, False), (True, False, True), (True, False, False),
     (False, False, False)],
)  # fmt: skip
def test_batched(
    dense: bool, fold: bool, attend_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a batch of images, in all orders of the dense form and in the form by edges."""
    monkeypatch.setattr(image_attention, "dense_pays", lambda *_: dense)
    monkeypatch.setattr(Messages, "_order", lambda *_: (fold, attend_first))
    graph = some_graph()
    messages = Messages(D, graph.edge_index, graph.edge_weight, L, HIDDEN, HEADS, dropout=0.0)
    assert messages.attend.dense == dense
    nn.init.normal_(messages.out)
    positions, evidence = torch.randn(BATCH, PLACES, D), torch.rand(BATCH, L) - 0.5
    attention_map = (3 * torch.randn(BATCH, L, PLACES)).softmax(-1)
    with torch.no_grad():
        values = messages.label_features(positions, attention_map)
        of_source, of_target = messages.attend.products(values, messages.attend.directions).unbind(
            -1
        )
        messages.attend.directions *= 9 / spread(of_source, of_target)
    own = [x.requires_grad_() for x in (positions, evidence, attention_map)]
    wide, state = leaves(*own), doubled(messages)
    edges = [(j, i) for j, i in graph.edge_index.T.tolist()]
    expected = reference.messages(*wide, edges, graph.edge_weight.double(), state)
    ours = parts(messages(*own), [*own, *messages.parameters()])
    hold(ours, parts(expected, [*wide, *state.values()]))

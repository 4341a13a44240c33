"""The heads' use of the kernels: logits with and without forming the classifiers."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.nn import GATHead, GATv2Head
from gatlabel.nn.heads.stack import GATStack

D, L = 24, 9
NAMES = [f"label {k}" for k in range(L)]


def some_graph() -> LabelGraph:
    mask = torch.rand(L, L) < 0.4
    mask.fill_diagonal_(False)
    mask[4] = False
    return LabelGraph(NAMES, mask.nonzero().T.flip(0))


CASES: dict[str, tuple[type[GATHead], dict[str, Any]]] = {
    "gat": (GATHead, {"hidden": 16}),
    "gat without bias": (GATHead, {"hidden": 16, "bias": False}),
    "gat with similarity": (GATHead, {"hidden": 16, "similarity_weight": 0.4}),
    "gatv2": (GATv2Head, {"hidden": 16}),
    "nodes": (GATHead, {"hidden": 16, "base": "nodes"}),
    "nodes, one layer": (GATHead, {"hidden": 16, "base": "nodes", "layers": 1}),
    "nodes, averaged": (GATHead, {"hidden": 10, "heads": 5, "base": "nodes"}),
    "complete": (GATHead, {"hidden": 16, "base": "nodes", "complete": True}),
}


def build(case: str) -> GATHead:
    kind, options = CASES[case]
    head = kind(D, some_graph(), torch.randn(L, 7), **options)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return head.double()


def force(monkeypatch: pytest.MonkeyPatch, lazy: bool) -> None:
    monkeypatch.setattr(GATHead, "_saves_by_products", lambda head, batch: lazy)


def logits_and_gradients(head: GATHead, features: Tensor) -> list[Tensor]:
    leaf = features.clone().requires_grad_()
    logits = head(leaf)
    probe = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)
    return [logits, *torch.autograd.grad((logits * probe).sum(), [leaf, *head.parameters()])]


@pytest.mark.parametrize("case", CASES)
def test_both_orders_of_the_products_agree(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = build(case)
    features = torch.randn(2, 3, D, dtype=torch.float64)
    results = []
    for lazy in (True, False):
        force(monkeypatch, lazy)
        results.append(logits_and_gradients(head, features))
    for ours, formed in zip(*results, strict=True):
        torch.testing.assert_close(ours, formed, rtol=1e-10, atol=1e-11)
    weight, bias = head.classifier()
    torch.testing.assert_close(results[0][0], features @ weight.T + bias)


@pytest.mark.parametrize("case", ["gat", "nodes"])
def test_no_classifier_is_formed_for_a_small_batch(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the published sizes of a batch; for a large one forming it is less work."""
    names = [f"label {k}" for k in range(200)]
    edges = torch.stack([torch.arange(200), torch.arange(200).roll(1)])
    base = "nodes" if case == "nodes" else "classifiers"
    head = GATHead(512, LabelGraph(names, edges), torch.randn(200, 8), base=base)
    formed: list[bool] = []
    classifier = GATHead.classifier
    monkeypatch.setattr(
        GATHead, "classifier", lambda head: (formed.append(True), classifier(head))[1]
    )
    head(torch.randn(16, 512))
    assert not formed
    head(torch.randn(4096, 512))
    assert formed


def test_gatv2_needs_its_node_vectors() -> None:
    head = GATv2Head(512, some_graph(), torch.randn(L, 8), base="nodes")
    assert isinstance(head.stack, GATStack)
    assert not head.stack.saves_by_products(head.adjacency, 1)


def test_complete_is_the_complete_graph_with_self() -> None:
    head = build("complete")
    every = LabelGraph(NAMES, (1 - torch.eye(L)).nonzero().T)
    explicit = GATHead(D, every, head.nodes.vectors.float(), hidden=16, base="nodes").double()
    explicit.load_state_dict(head.state_dict())
    torch.testing.assert_close(head.classifier()[0], explicit.classifier()[0])
    edges, weights = head.attention()
    assert edges.shape == (2, L * L)
    sums = torch.zeros(L, 4, dtype=torch.float64).index_add(0, edges[1], weights)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_complete_is_for_plain_stacks() -> None:
    with pytest.raises(InputError, match="complete=True"):
        GATHead(D, some_graph(), torch.randn(L, 7), complete=True)


@pytest.mark.parametrize("case", CASES)
def test_edges_that_are_replaced_are_sorted_again(case: str) -> None:
    head = build(case)
    before = head.classifier()[0]
    alone = head.without_edges()
    assert alone.adjacency.edges == (L if head.base == "nodes" else 0)
    assert not torch.allclose(alone.classifier()[0], before)
    torch.testing.assert_close(head.classifier()[0], before, rtol=0, atol=0)


@pytest.mark.parametrize("case", ["gat", "nodes", "complete"])
def test_compiles_in_one_piece_with_the_sparse_kernels(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    force(monkeypatch, True)
    kernel = "sorted" if case == "complete" else "csr"
    monkeypatch.setattr("gatlabel.nn.kernels.dispatch.choose_kernel", lambda *a, **k: kernel)
    head, features = build(case), torch.randn(3, D, dtype=torch.float64)
    torch.compiler.reset()
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    logits = compiled(features)
    torch.testing.assert_close(logits, head(features))
    logits.sum().backward()
    own = {name: parameter.grad.clone() for name, parameter in head.named_parameters()}
    head.zero_grad()
    head(features).sum().backward()
    for name, parameter in head.named_parameters():
        torch.testing.assert_close(own[name], parameter.grad)


def test_mixed_precision_reaches_the_logits() -> None:
    head = build("gat").float()
    features = torch.randn(3, D)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(features)
    torch.testing.assert_close(logits.float(), head(features), rtol=0.05, atol=0.1)


def test_the_state_holds_no_edges() -> None:
    assert all("adjacency" not in name for name in build("gat").state_dict())
    assert isinstance(build("gat").adjacency, nn.Module)


def test_edges_that_a_complete_head_does_not_use_cannot_be_removed() -> None:
    head = build("complete")
    keep = torch.ones(head.edge_index.shape[1], dtype=torch.bool)
    with pytest.raises(InputError, match="does not use the edges of its graph"):
        head.with_edges(keep)
    features = torch.eye(D, dtype=torch.float64)
    assert not torch.allclose(head.without_edges()(features), head(features))

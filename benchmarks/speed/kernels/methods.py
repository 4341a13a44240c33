"""The methods, at the widths of the table: 300 -> 4 x 256 -> 4 x 512 = D, 16 images."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.graph import LabelGraph
from gatlabel.losses import BCELoss
from gatlabel.nn import ConditionedHead, GATHead, LinearHead
from gatlabel.nn.kernels import Adjacency, attend

BATCH, DEGREE, NODE_WIDTH, HEADS, HIDDEN, WIDTH = 16, 16, 300, 4, 1024, 2048
MAP_WIDTH = 1024  # of the features of the image-conditioned head
NARROW = 256  # its own width, unless told otherwise


def some_edges(labels: int, degree: int) -> Tensor:
    """Distinct random in-neighbours, ``degree`` a label, none of them itself."""
    generator = torch.Generator().manual_seed(labels)
    order = torch.randperm(labels, generator=generator)
    steps = torch.randperm(labels - 1, generator=generator)[:degree] + 1
    target = torch.arange(labels).repeat_interleave(len(steps))
    source = (target + steps.repeat(labels)) % labels
    return order[torch.stack([source, target])]


def some_graph(labels: int, degree: int = DEGREE) -> LabelGraph:
    return LabelGraph([f"label {k}" for k in range(labels)], some_edges(labels, degree))


def plain_head(labels: int, complete: bool = False) -> GATHead:
    """``base="nodes"``: two plain GAT layers."""
    graph = some_graph(labels, 1 if complete else DEGREE)
    vectors = torch.randn(labels, NODE_WIDTH)
    return GATHead(
        WIDTH, graph, vectors, HIDDEN, HEADS, base="nodes", bias=False, complete=complete
    )


def default_head(labels: int, width: int = WIDTH) -> GATHead:
    head = GATHead(width, some_graph(labels), torch.randn(labels, NODE_WIDTH))
    with torch.no_grad():  # the zero start would spare the peer nothing, but it is not a fair case
        for matrix in (head.out_self, head.out_edge):
            nn.init.normal_(matrix, std=0.01)
    return head


class PyGHead(nn.Module):
    """Two of PyG's ``GATConv`` and the product with the features, with a plain head's weights."""

    def __init__(self, labels: int, like: GATHead | None = None) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyG's own, on import
            from torch_geometric.nn import GATConv
        self.first = GATConv(NODE_WIDTH, HIDDEN // HEADS, HEADS)
        self.second = GATConv(HIDDEN, WIDTH // HEADS, HEADS)
        vectors = torch.randn(labels, NODE_WIDTH) if like is None else like.nodes.vectors
        edges = some_edges(labels, DEGREE) if like is None else like.edge_index
        self.register_buffer("vectors", vectors)
        self.register_buffer("edges", edges)
        if like is not None:
            for theirs, ours in zip((self.first, self.second), like.stack.layers, strict=True):
                theirs.load_state_dict(ours.state_dict())

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, D)`` -> logits ``(B, L)``."""
        hidden = F.elu(self.first(self.vectors, self.edges))
        return features @ self.second(hidden, self.edges).T


def step(head: nn.Module, features: Tensor) -> Callable[[], Tensor]:
    """Forward and backward pass of a head; returns the logits."""

    def run() -> Tensor:
        for parameter in head.parameters():
            parameter.grad = None
        logits = head(features)
        logits.square().mean().backward()
        return logits.detach()

    return run


class ConditionedStep(nn.Module):
    """The image-conditioned head from label features ``(B, L, D)`` on, the beliefs given.

    With ``whole`` it is the whole head, from a map of 7 x 7; with ``training`` its losses; with
    ``dense`` it takes the dense form whatever the graph.
    """

    def __init__(
        self,
        labels: int,
        hidden: int,
        whole: bool = False,
        training: bool = False,
        dense: bool = False,
    ) -> None:
        super().__init__()
        with only_dense() if dense else nullcontext():
            self.head = ConditionedHead(MAP_WIDTH, some_graph(labels), hidden, HEADS)
        nn.init.normal_(self.head.messages.out, std=0.03)  # zero at the start
        self.whole, self.losses = whole, training
        self.register_buffer("evidence", torch.rand(BATCH, labels) - 0.5)
        self.register_buffer("targets", (torch.rand(BATCH, labels) < 0.05).float())

    def forward(self, features: Tensor) -> Tensor:
        """Features -> ``(B, L)``, or the losses."""
        if self.losses:
            return torch.stack(self.head.forward_losses(features, self.targets, BCELoss())[1])
        return self.head(features) if self.whole else self.head.messages(features, self.evidence)


def conditioned(name: str, labels: int) -> Callable[[], Tensor]:
    """Forward and backward pass, to the parameters and to the features, of a part of the head.

    ``conditioned``, ``conditioned-compiled``: graph attention over label features, with the linear
    map in it, as wide as the features; ``conditioned-map``: that map alone; the same after
    ``conditioned-narrow`` with the default width; ``conditioned-whole``: the head, from a map;
    ``conditioned-training``: its two losses; ``conditioned-narrow-dense``: in the dense form.
    """
    words = set(name.split("-"))
    whole = bool(words & {"whole", "training"})
    shape = (BATCH, MAP_WIDTH, 7, 7) if whole else (BATCH, labels, MAP_WIDTH)
    features = torch.randn(shape, requires_grad=True)
    hidden = NARROW if "narrow" in words else MAP_WIDTH
    step_of = ConditionedStep(labels, hidden, whole, "training" in words, "dense" in words)
    part: nn.Module = step_of.head.messages.project if "map" in words else step_of
    run = torch.compile(part) if "compiled" in words else part
    probe = torch.randn(part(features).shape)
    own = [features, *(p for p in part.parameters() if p.requires_grad)]

    def once() -> Tensor:
        for tensor in own:
            tensor.grad = None
        out = run(features)
        out.backward(probe)
        return out.detach()

    return once


def attention(kernel: str, labels: int, degree: int, channels: int) -> Callable[[], Tensor]:
    """Forward and backward pass of one attention by a kernel; all labels: the complete graph."""
    graph = Adjacency(None if degree == labels else some_edges(labels, degree), labels)
    shapes = [(HEADS, labels), (HEADS, labels), (HEADS, labels, channels)]
    own = [torch.randn(shape, requires_grad=True) for shape in shapes]
    probe = torch.randn(shapes[2])
    return lambda: torch.autograd.grad(attend(graph, *own, kernel=kernel), own, probe)[2]


def method(name: str, labels: int) -> Callable[[], Tensor]:
    """The step of a head by name; ``complete-KERNEL`` is ``complete`` with that kernel.

    ``attention-KERNEL-DEGREE-CHANNELS`` is one attention alone.
    """
    if name.startswith("attention-"):
        _, kernel, degree, channels = name.split("-")
        return attention(kernel, labels, int(degree), int(channels))
    if name.startswith("conditioned"):
        return conditioned(name, labels)
    if name.startswith("complete-"):
        run = method("complete", labels)

        def by_kernel() -> Tensor:
            with only_kernel(name.removeprefix("complete-")):
                return run()

        return by_kernel
    heads: dict[str, Callable[[], nn.Module]] = {
        "plain": lambda: plain_head(labels),
        "complete": lambda: plain_head(labels, complete=True),
        "default": lambda: default_head(labels),
        "pyg": lambda: PyGHead(labels),
        "linear": lambda: LinearHead(WIDTH, labels),
    }
    return step(heads[name](), torch.randn(BATCH, WIDTH))


def check_equal(ours: GATHead, theirs: PyGHead, features: Tensor) -> float:
    """Largest difference of logits and gradients, relative to the largest entry of each."""
    pairs = [(step(ours, features)(), step(theirs, features)())]
    for a, b in zip((theirs.first, theirs.second), ours.stack.layers, strict=True):
        gradients = {name: parameter.grad for name, parameter in a.named_parameters()}
        pairs += [(p.grad, gradients[name]) for name, p in b.named_parameters()]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@contextmanager
def only_kernel(name: str) -> Iterator[None]:
    """Overrides the automatic choice."""
    with mock.patch("gatlabel.nn.kernels.dispatch.choose_kernel", return_value=name):
        yield


@contextmanager
def only_dense() -> Iterator[None]:
    """Conditioned heads made here take the dense form."""
    with mock.patch("gatlabel.nn.heads.image_attention.dense_pays", return_value=True):
        yield

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.nn.kernels import Adjacency, attend, choose_kernel, csr_torch, weighted_sum
from tests.reference.attention import attention

EDGES = [(0, 1), (2, 1), (3, 1), (1, 1), (4, 0), (0, 3), (4, 3), (2, 4)]  # node 2 has no in-edge
NODES = 5


def adjacency() -> Adjacency:
    return Adjacency(torch.tensor(EDGES).T, NODES)


def inputs(nodes: int, channels: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    shapes = [(2, nodes), (2, nodes), (2, nodes, channels)]
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def random_graph(nodes: int, share: float) -> Adjacency:
    mask = torch.rand(nodes, nodes) < share
    mask[1] = False
    target, source = mask.nonzero(as_tuple=True)
    return Adjacency(torch.stack([source, target]), nodes)


def relative(ours: Tensor, reference: Tensor) -> float:
    ours, reference = ours.detach().double(), reference.detach()
    return float((ours - reference).abs().max() / reference.abs().max())


@pytest.mark.parametrize("kernel", ["dense", "csr"])
def test_gradcheck(kernel: str) -> None:
    prior = torch.rand(len(EDGES), dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, dtype=torch.float64, requires_grad=True)

    def function(s: Tensor, t: Tensor, v: Tensor, prior: Tensor, weight: Tensor) -> Tensor:
        return attend(adjacency(), s, t, v, prior=prior, prior_weight=weight, kernel=kernel)

    assert torch.autograd.gradcheck(function, (*inputs(NODES, 3), prior, weight))


def test_second_gradients_of_the_csr_torch() -> None:
    graph = adjacency()

    def function(s: Tensor, t: Tensor, v: Tensor) -> Tensor:
        return attend(graph, s, t, v, kernel="csr")

    assert torch.autograd.gradgradcheck(function, tuple(inputs(NODES, 2)))


@pytest.mark.parametrize("kernel", ["dense", "csr"])
def test_low_precision_is_computed_in_float32(kernel: str) -> None:
    s, t, v = (x.detach().bfloat16() for x in inputs(NODES, 4))
    out = attend(adjacency(), s, t, v, kernel=kernel)
    exact = attend(adjacency(), s.double(), t.double(), v.double(), kernel=kernel)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, exact.bfloat16())
    with torch.autocast("cpu", torch.bfloat16):
        under = attend(adjacency(), s.float(), t.float(), v.float(), kernel=kernel)
    torch.testing.assert_close(under.double(), exact, rtol=1e-5, atol=1e-6)


def test_parallel_edges_each_count() -> None:
    edges = [(0, 1), (0, 1), (2, 1), (0, 0)]
    graph = Adjacency(torch.tensor(edges).T, 3)
    s, t, v = inputs(3, 4)
    prior, weight = torch.rand(4, dtype=torch.float64), torch.rand(2, dtype=torch.float64)
    out = attend(graph, s, t, v, prior=prior, prior_weight=weight, kernel="csr")
    torch.testing.assert_close(out, attention(edges, s, t, v, prior, weight))
    assert attend(graph, s, t, v).shape == out.shape  # and the choice passes dense over
    with pytest.raises(InputError, match="'dense' needs a graph without duplicate edges"):
        attend(graph, s, t, v, kernel="dense")


@pytest.mark.parametrize("kernel", ["dense", "csr"])
def test_dropout_keeps_the_mean(kernel: str) -> None:
    graph = random_graph(40, 0.3)
    s, t, v = (x.detach() for x in inputs(40, 3))
    kept = attend(graph, s, t, v, kernel=kernel)
    dropped = sum(attend(graph, s, t, v, dropout=0.5, kernel=kernel) for _ in range(400)) / 400
    assert not torch.equal(attend(graph, s, t, v, dropout=0.5, kernel=kernel), kept)
    torch.testing.assert_close(dropped, kept, rtol=0, atol=0.25)


@pytest.mark.parametrize("kernel", ["dense", "csr"])
def test_given_weights_are_summed_over_edges(kernel: str) -> None:
    graph = random_graph(30, 0.2)
    source, target = graph.sorted_edges()
    weights = torch.randn(len(source), 2, dtype=torch.float64, requires_grad=True)
    values = inputs(30, 4)[2]
    matrix = torch.zeros(2, 30, 30, dtype=torch.float64)
    matrix[:, target, source] = weights.detach().T
    out = weighted_sum(graph, weights, values, kernel=kernel)
    torch.testing.assert_close(out, matrix @ values)
    assert torch.autograd.gradcheck(
        lambda w, v: weighted_sum(graph, w, v, kernel=kernel), (weights, values), fast_mode=True
    )


@pytest.mark.parametrize(("name", "value"), [("MKL", False), ("SPARSE", ())])
def test_csr_elsewhere(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other processors than x86-64 run, and devices without sparse matrices."""
    graph, own = random_graph(50, 0.2), inputs(50, 6)
    probe = torch.randn_like(own[2])
    results = []
    for elsewhere in (False, True):
        if elsewhere:
            monkeypatch.setattr(csr_torch, name, value)
            monkeypatch.setattr(csr_torch, "BLOCK", 64)
        out = attend(graph, *own, kernel="csr")
        results.append([out, *torch.autograd.grad(out, own, probe)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kernel", ["dense", "csr", "sorted"])
def test_compiles_and_exports(kernel: str) -> None:
    graph = Adjacency(None, 6) if kernel == "sorted" else adjacency()
    s, t, v = inputs(graph.nodes, 3)

    class Attention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.adjacency = graph

        def forward(self, s: Tensor, t: Tensor, v: Tensor) -> Tensor:
            return attend(self.adjacency, s, t, v, kernel=kernel)

    module = Attention()
    expected = module(s, t, v)
    probe = torch.randn_like(v)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    out = compiled(s, t, v)
    torch.testing.assert_close(out, expected)
    for ours, reference in zip(
        torch.autograd.grad(out, (s, t, v), probe),
        torch.autograd.grad(expected, (s, t, v), probe),
        strict=True,
    ):
        torch.testing.assert_close(ours, reference)
    exported = torch.export.export(module, (s, t, v)).module()
    torch.testing.assert_close(exported(s, t, v), expected)


def test_operators_are_registered_rightly() -> None:
    """torch's own check of schema, fake tensors and autograd registration."""
    graph, (s, _, v) = adjacency(), inputs(NODES, 3)
    structure = graph.csr()
    weights = torch.rand(2, len(EDGES), dtype=torch.float64, requires_grad=True)
    scores = torch.rand(len(EDGES), 2, dtype=torch.float64, requires_grad=True)
    ops = torch.ops.gatlabel
    cases = [
        (ops.csr_sum.default, (weights, v, *structure)),
        (ops.csr_dots.default, (v, v, *structure)),
        (ops.csr_softmax.default, (scores, structure.offsets, graph.sorted_edges()[1])),
        (ops.complete_attention.default, (s, s, v, 0.2)),
    ]
    for operator, arguments in cases:
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))


def test_the_adjacency_moves_with_its_module_and_is_not_saved() -> None:
    graph = adjacency()
    assert not graph.state_dict()
    assert graph.to("meta").csr().sources.device.type == "meta"
    assert repr(adjacency()) == "Adjacency(nodes=5, edges=8)"


def test_properties_of_graphs() -> None:
    graph = adjacency()
    assert (graph.isolated, graph.simple, graph.complete) == (True, True, False)
    every = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    for whole in (Adjacency(every, 4), Adjacency(None, 4)):
        assert (whole.isolated, whole.simple, whole.complete, whole.edges) == (
            False,
            True,
            True,
            16,
        )
    doubled = torch.cat([every[:, :15], every[:, :1]], dim=1)
    assert not Adjacency(doubled, 4).complete


def test_choice() -> None:
    assert choose_kernel(80, 80 * 16, 64) == "dense"
    assert choose_kernel(10_000, 160_000, 256) == "csr"
    assert choose_kernel(50, 2500, 64, simple=False) == "csr"
    assert choose_kernel(20_000, 400_000_000, 64, sortable=True) == "sorted"
    assert choose_kernel(20, 400, 64, sortable=True) == "dense"
    assert choose_kernel(1_000, 500_000, 16) == "dense"
    assert choose_kernel(2_000, 1_000_000, 64) == "csr"  # dense arrays would be new memory
    assert choose_kernel(2_000, 1_000_000, 64, device="cuda") == "dense"
    assert choose_kernel(2_000, 3_000_000, 64) == "dense"


def test_wrong_kernels_are_named() -> None:
    own = inputs(NODES, 3)
    with pytest.raises(InputError, match="csr"):
        attend(adjacency(), *own, kernel="csv")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="complete graph"):
        attend(adjacency(), *own, kernel="sorted")
    with pytest.raises(InputError, match="no dropout"):
        attend(Adjacency(None, NODES), *own, dropout=0.1, kernel="sorted")


def test_the_softmax_of_a_node_is_its_own() -> None:
    """A far larger score elsewhere does not underflow a node's weights."""
    s = torch.tensor([[0.0, 500.0, 0.0]])
    graph = Adjacency(torch.tensor([[0, 2, 1], [0, 0, 2]]), 3)
    v = torch.randn(1, 3, 2)
    for kernel in ("dense", "csr"):
        out = attend(graph, s, torch.zeros(1, 3), v, kernel=kernel)
        torch.testing.assert_close(out[0, 0], (v[0, 0] + v[0, 2]) / 2)
        torch.testing.assert_close(out[0, 2], v[0, 1])
        assert F.mse_loss(out[0, 1], torch.zeros(2)) == 0


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([[0, 5], [1, 1]], "contains node 5, but the nodes are numbered 0 to 2"),
        ([[0, 1], [1, 3]], "contains node 3, but the nodes are numbered 0 to 2"),
        ([[0, -1], [1, 1]], "contains node -1, but the nodes are numbered 0 to 2"),
        ([[0, 1, 2]], r"int64 \(1, 3\): expected int64 \(2, E\)"),
        ([[0.0, 1.0], [1.0, 2.0]], r"float32 \(2, 2\): expected int64"),
    ],
)
def test_edges_between_nodes_that_are_not_there(edges: list[list[int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Adjacency(torch.tensor(edges), 3)


@pytest.mark.parametrize("kernel", ["dense", "csr"])
def test_shapes_that_do_not_fit_the_graph(kernel: str) -> None:
    """The sparse kernels would read beyond the end of short values."""
    s, t, v = inputs(NODES, 3)
    for own, name in (
        ((s[:, 1:], t, v), "source_scores"),
        ((s, t[:1], v), "target_scores"),
        ((s[:, 1:], t[:, 1:], v[:, 1:]), "values"),
        (inputs(NODES + 1, 3), "values"),
    ):
        with pytest.raises(InputError, match=f"^{name} has the shape"):
            attend(adjacency(), *own, kernel=kernel)
    weights = torch.rand(len(EDGES), 2)
    with pytest.raises(InputError, match=r"^weights .* \(E, H\) = \(8, 2\)"):
        weighted_sum(adjacency(), weights[1:], v, kernel=kernel)
    with pytest.raises(InputError, match="L = 5, the nodes of the graph"):
        weighted_sum(adjacency(), weights, v[:, 1:], kernel=kernel)


def test_a_prior_requires_its_weight() -> None:
    own, prior, weight = inputs(NODES, 3), torch.rand(len(EDGES)), torch.rand(2)
    with pytest.raises(InputError, match="prior_weight is missing"):
        attend(adjacency(), *own, prior=prior)
    with pytest.raises(InputError, match="prior is missing"):
        attend(adjacency(), *own, prior_weight=weight)
    with pytest.raises(InputError, match=r"prior has the shape \(9,\), .* \(E,\) = \(8,\)"):
        attend(adjacency(), *own, prior=torch.rand(9), prior_weight=weight)
    with pytest.raises(InputError, match=r"prior_weight .* \(H,\) = \(2,\)"):
        attend(adjacency(), *own, prior=prior, prior_weight=weight[:1])

"""The kernel *triton*, in Triton's interpreter where there is no GPU (tests/conftest.py)."""

import pytest
import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.nn.kernels import Adjacency, attend, weighted_sum
from tests.nn.test_kernels import EDGES, NODES, adjacency, inputs, random_graph, relative
from tests.reference.attention import attention

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def on_device(*tensors: Tensor) -> list[Tensor]:
    return [x.detach().to(DEVICE).requires_grad_(x.requires_grad) for x in tensors]


def test_gradcheck() -> None:
    graph = adjacency().to(DEVICE)
    prior = torch.rand(len(EDGES), dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, dtype=torch.float64, requires_grad=True)

    def function(s: Tensor, t: Tensor, v: Tensor, prior: Tensor, weight: Tensor) -> Tensor:
        return attend(graph, s, t, v, prior=prior, prior_weight=weight, kernel="triton")

    own = (*on_device(*inputs(NODES, 3), prior, weight),)
    assert torch.autograd.gradcheck(function, own, fast_mode=True)


@pytest.mark.parametrize("channels", [1, 3, 16, 700])  # of one and of two blocks
@pytest.mark.parametrize(("dtype", "limits"), [(torch.float64, (1e-11, 1e-11)),
                                               (torch.float32, (1e-5, 1e-3))])  # fmt: skip
def test_precision_at_a_spread_of_ten(
    channels: int, dtype: torch.dtype, limits: tuple[float, float]
) -> None:
    graph = random_graph(16, 0.2).to(DEVICE)
    s, t, v = (x.detach() for x in inputs(16, channels))
    s, t = (10 * x / (s.amax() - s.amin() + t.amax() - t.amin()) for x in (s, t))
    probe = torch.randn_like(v).to(DEVICE)
    found = {}
    for kernel, own_dtype in (("dense", torch.float64), ("triton", dtype)):
        own = [x.to(DEVICE, own_dtype).requires_grad_() for x in (s, t, v)]
        out = attend(graph, *own, kernel=kernel)
        found[kernel] = [out, *torch.autograd.grad(out, own, probe.to(own_dtype))]
    for index, (ours, reference) in enumerate(zip(found["triton"], found["dense"], strict=True)):
        assert relative(ours.cpu(), reference.cpu()) < limits[bool(index)]


def test_against_the_slow_definition_with_parallel_edges() -> None:
    edges = [(0, 1), (0, 1), (2, 1), (0, 0)]
    graph = Adjacency(torch.tensor(edges).T, 3).to(DEVICE)
    s, t, v = (x.detach() for x in inputs(3, 4))
    prior, weight = torch.rand(4, dtype=torch.float64), torch.rand(2, dtype=torch.float64)
    p, w = on_device(prior, weight)
    out = attend(graph, *on_device(s, t, v), prior=p, prior_weight=w, kernel="triton")
    torch.testing.assert_close(out.cpu(), attention(edges, s, t, v, prior, weight))


def test_memory_layouts_and_empty_graphs() -> None:
    graph = random_graph(20, 0.2).to(DEVICE)
    source, _ = graph.sorted_edges()
    weights = torch.rand(len(source), 3, dtype=torch.float64, device=DEVICE)
    by_node = torch.randn(20, 3, 5, dtype=torch.float64, device=DEVICE).transpose(0, 1)
    by_channel = torch.randn(5, 20, 3, dtype=torch.float64, device=DEVICE).permute(2, 1, 0)
    for values in (by_node, by_channel):
        expected = weighted_sum(graph, weights, values, kernel="csr")
        torch.testing.assert_close(weighted_sum(graph, weights, values, kernel="triton"), expected)
    none = Adjacency(torch.zeros(2, 0, dtype=torch.long), 4).to(DEVICE)
    s, t, v = on_device(*inputs(4, 3))
    out = attend(none, s, t, v, kernel="triton")
    assert not out.any()
    assert not any(g.any() for g in torch.autograd.grad(out.sum(), (s, t, v)))


def test_compiles() -> None:
    graph = adjacency().to(DEVICE)
    own = on_device(*inputs(NODES, 3))

    def run(s: Tensor, t: Tensor, v: Tensor) -> Tensor:
        return attend(graph, s, t, v, kernel="triton")

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    expected = run(*own)
    out = compiled(*own)
    torch.testing.assert_close(out, expected)
    for ours, theirs in zip(
        torch.autograd.grad(out.square().sum(), own),
        torch.autograd.grad(expected.square().sum(), own),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    s, t, v = inputs(NODES, 3)
    with pytest.raises(InputError, match=r"'triton' needs a CUDA device .* use 'csr'"):
        attend(adjacency(), s, t, v, kernel="triton")

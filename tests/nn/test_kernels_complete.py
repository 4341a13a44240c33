"""The sorted kernel: exact attention over all pairs without forming them."""

import pytest
import torch
from torch import Tensor

from gatlabel.nn import GATLayer
from gatlabel.nn.kernels import Adjacency, attend, by_rows, complete_attention, sorted_sums, spread
from gatlabel.nn.kernels.prefix import Ranking, remaining_sums, running_sums


def inputs(nodes: int, width: float = 1.0, channels: int = 3) -> list[Tensor]:
    s, t = torch.randn(2, 2, nodes, dtype=torch.float64)
    scale = width / spread(s, t) if nodes > 1 else 1.0
    values = torch.randn(2, nodes, channels, dtype=torch.float64)
    return [x.requires_grad_() for x in (s * scale, t * scale, values)]


def results(nodes: int, own: list[Tensor], probe: Tensor, kernel: str) -> list[Tensor]:
    out = attend(Adjacency(None, nodes), *own, kernel=kernel)
    return [out, *torch.autograd.grad(out, own, probe.to(out.dtype))]


def relative(ours: Tensor, reference: Tensor) -> float:
    ours, reference = ours.detach().double(), reference.detach()
    return float((ours - reference).abs().max() / reference.abs().max())


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 50])
def test_sums_of_the_first_and_last_ranks(rows: int) -> None:
    x, order = torch.randn(rows, 3, dtype=torch.float64), torch.randperm(rows)
    ranking, ranked, every = Ranking.of(order[None]), x[order], torch.arange(rows + 1)
    ones = ranking.lay_out(torch.ones(1, rows, dtype=torch.float64))
    laid_out = x[ranking.gather[0]] * ones[0, :, None]
    torch.testing.assert_close(laid_out[ranking.slot[0]], x)
    first = torch.stack([ranked[:k].sum(0) for k in range(rows + 1)])
    last = torch.stack([ranked[k:].sum(0) for k in range(rows + 1)])
    torch.testing.assert_close(ranking.first(laid_out, ranking.where_first(every)), first)
    torch.testing.assert_close(ranking.last(laid_out, ranking.where_last(every)), last)
    torch.testing.assert_close(running_sums(ranked[None, :, 0])[0], first[:, 0])
    torch.testing.assert_close(remaining_sums(ranked[None, :, 0])[0], last[:, 0])


@pytest.mark.parametrize("nodes", [1, 2, 9])
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_gradcheck(nodes: int, slope: float) -> None:
    own = tuple(inputs(nodes, 6.0))
    assert torch.autograd.gradcheck(lambda s, t, v: complete_attention(s, t, v, slope), own)


@pytest.mark.parametrize("width", [0.1, 10.0, 90.0])
def test_precision_against_the_dense_kernel(width: float) -> None:
    own = inputs(1000, width, channels=8)
    probe = torch.randn_like(own[2])
    reference = results(1000, own, probe, "dense")
    single = [x.detach().float().requires_grad_() for x in own]
    for precise, rough, wanted in zip(
        results(1000, own, probe, "sorted"),
        results(1000, single, probe, "sorted"),
        reference,
        strict=True,
    ):
        assert relative(precise, wanted) < 1e-11
        assert relative(rough, wanted) < (1e-5 if wanted is reference[0] else 1e-3)


@pytest.mark.parametrize("width", [150.0, 5000.0])
def test_wide_scores_fall_back(width: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the float32 limit float64 computes; above that one's, rows of the definition do."""
    monkeypatch.setattr(by_rows, "BLOCK", 1 << 12)  # several blocks of rows
    own = [x.detach().float().requires_grad_() for x in inputs(200, width)]
    exact = [x.detach().double().requires_grad_() for x in own]
    probe = torch.randn_like(own[2])
    wanted = results(200, exact, probe.double(), "dense")
    # Absolute bounds: the softmax saturates and the gradients of its scores all but vanish.
    for ours, reference in zip(results(200, own, probe, "sorted"), wanted, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), reference, rtol=1e-5, atol=1e-4)
    for ours, reference in zip(results(200, exact, probe, "sorted"), wanted, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("block", [1, 20, 1 << 19])
def test_gradients_by_rows(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row at a time, some, and all; far above the limit, where no weight is one or zero yet."""
    monkeypatch.setattr(by_rows, "BLOCK", block)
    monkeypatch.setattr(sorted_sums, "SPREAD_LIMIT", {torch.float64: 0.0})
    own = inputs(7, 5.0)

    def function(*tensors: Tensor) -> Tensor:
        return complete_attention(*tensors, 0.2)

    assert torch.autograd.gradcheck(function, own)
    assert torch.autograd.gradgradcheck(function, own)


@pytest.mark.parametrize("place", [0, 1])
def test_one_outlying_score(place: int) -> None:
    """One weight dominates, or a target attends to all equally: neither loses precision."""
    own = [x.detach() for x in inputs(300, 5.0)]
    own[place][:, 7] += 60.0
    own = [x.float().requires_grad_() for x in own]
    exact = [x.detach().double().requires_grad_() for x in own]
    probe = torch.randn_like(own[2])
    for ours, reference in zip(
        results(300, own, probe, "sorted"), results(300, exact, probe, "dense"), strict=True
    ):
        torch.testing.assert_close(ours.double(), reference, rtol=1e-5, atol=1e-5)


def test_tied_scores() -> None:
    own = [x.detach().round().requires_grad_() for x in inputs(60, 8.0)]
    probe = torch.randn_like(own[2])
    for ours, reference in zip(
        results(60, own, probe, "sorted"), results(60, own, probe, "dense"), strict=True
    ):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-11)


def test_more_channels_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    own = inputs(40, 5.0, channels=150)
    probe = torch.randn_like(own[2])
    whole = results(40, own, probe, "sorted")
    monkeypatch.setattr(sorted_sums, "CHUNK", 1)
    for parts, reference in zip(results(40, own, probe, "sorted"), whole, strict=True):
        torch.testing.assert_close(parts, reference, rtol=1e-12, atol=1e-13)


def test_a_layer_on_a_complete_graph_takes_it() -> None:
    """Large enough for the choice to fall on it; equal to the dense kernel on explicit edges."""
    nodes = 700
    layer = GATLayer(5, 8, heads=2).double()
    x = torch.randn(nodes, 5, dtype=torch.float64)
    every = torch.cartesian_prod(torch.arange(nodes), torch.arange(nodes)).T
    from_edges, implied = layer(x, every), layer(x, Adjacency(None, nodes))
    values = layer.lin(x).view(nodes, 2, 8).transpose(0, 1)
    scores = ((values * a.transpose(0, 1)).sum(-1) for a in (layer.att_src, layer.att_dst))
    dense = attend(Adjacency(None, nodes), *scores, values, kernel="dense")
    for out in (from_edges, implied):
        torch.testing.assert_close(out, dense.transpose(0, 1).flatten(1), rtol=0, atol=1e-12)

"""What is particular to the image-conditioned head."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.losses import BCELoss
from gatlabel.nn import ConditionedHead
from gatlabel.nn.heads import image_attention
from gatlabel.nn.heads.conditioned import COUPLING_UNIT
from gatlabel.nn.heads.messages import Messages
from gatlabel.nn.heads.noisy_or import noisy_or
from tests.reference import heads as reference

D, L = 10, 6
NAMES = ["a", "b", "c", "d", "e", "f"]
EDGES = [("a", "b", 0.5), ("c", "b", 1.5), ("b", "a", -0.3), ("e", "d", 1.0), ("a", "d", 0.2)]


@pytest.fixture
def graph() -> LabelGraph:
    return LabelGraph.from_edges(EDGES, names=NAMES)


def built(graph: LabelGraph, **options: float) -> ConditionedHead:
    rates = torch.linspace(0.1, 0.6, L)
    head = ConditionedHead(D, graph, base_rates=rates, **{"hidden": 8, "heads": 2, **options})
    head = head.double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return head


def image_map(batch: int = 3, height: int = 3, width: int = 5) -> Tensor:
    return torch.randn(batch, D, height, width, dtype=torch.float64)


@pytest.fixture(params=["dense", "sparse"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    dense = request.param == "dense"
    monkeypatch.setattr(image_attention, "dense_pays", lambda nodes, edges: dense)
    return request.param


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_computes_the_formula_of_its_docstring(graph: LabelGraph, form: str, steps: int) -> None:
    head = built(graph, steps=steps, miss_rate=0.3)
    assert head.messages.attend.dense == (form == "dense")
    features = image_map()
    state = {name: value.numpy() for name, value in head.state_dict().items()}
    edges = [tuple(edge) for edge in graph.edge_index.T.tolist()]
    index, attention = head.attention_for(features)
    assert index.equal(graph.edge_index)
    for image, logits, weights in zip(features, head(features), attention, strict=True):
        expected = reference.conditioned(
            image.numpy(), edges, graph.edge_weight.double().numpy(), state, steps, COUPLING_UNIT,
            0.3,
        )  # fmt: skip
        np.testing.assert_allclose(logits.detach().numpy(), expected[0], rtol=0, atol=1e-10)
        np.testing.assert_allclose(weights.numpy(), expected[1], rtol=0, atol=1e-10)


def test_both_orders_of_projecting_give_the_same(graph: LabelGraph) -> None:
    head = built(graph)
    for size in (1, 40):  # few places: project first; many places: attend first
        features = image_map(2, size, size)
        positions = head.positions(features)
        look = torch.rand(2, L, size * size, dtype=torch.float64)
        expected = torch.einsum("blu,bud,cd->blc", look, positions, head.messages.project.weight)
        torch.testing.assert_close(head.messages.label_features(positions, look), expected)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("attend_first", [False, True])
def test_all_orders_of_products_give_the_same(
    graph: LabelGraph, monkeypatch: pytest.MonkeyPatch, fold: bool, attend_first: bool
) -> None:
    head, features = built(graph), image_map()
    parameters = [features.requires_grad_(), *head.parameters()]
    results = []
    for dense in (False, True):  # the sparse form has one order only
        monkeypatch.setattr(image_attention, "dense_pays", lambda *_, dense=dense: dense)
        monkeypatch.setattr(Messages, "_order", lambda *_: (fold, attend_first))
        head.messages.attend.set_edges(head.edge_index, head.edge_weight)
        assert head.messages.attend.dense == dense
        logits = head(features)
        results.append([logits, *torch.autograd.grad(logits.square().sum(), parameters)])
    for sparse, dense in zip(*results, strict=True):
        torch.testing.assert_close(dense, sparse)


def test_the_order_with_the_fewest_operations_is_taken(graph: LabelGraph) -> None:
    wide = ConditionedHead(1024, graph, hidden=1024)
    assert wide.messages._order(L, mapped=False) == (True, True)  # 4 x 8 columns instead of 1,024
    narrow = ConditionedHead(1024, graph, hidden=8, heads=2)
    assert narrow.messages._order(2, mapped=True) == (False, False)  # fewer positions than labels
    assert narrow.messages._order(400, mapped=True) == (False, True)


def test_the_form_follows_size_and_density() -> None:
    assert image_attention.dense_pays(80, 10)
    assert not image_attention.dense_pays(400, 400 * 64)
    assert image_attention.dense_pays(2000, 2000 * 1000)


def test_many_labels_export_and_lose_their_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sparse form, with and without the registered product."""
    labels = 120
    ring = torch.stack([torch.arange(labels), torch.arange(1, labels + 1) % labels])
    graph = LabelGraph([f"label {k}" for k in range(labels)], ring)
    head, features = ConditionedHead(D, graph, hidden=8), image_map().float()
    with torch.no_grad():
        head.messages.out.normal_()
    assert not head.messages.attend.dense
    logits = head(features)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(head(features), logits)
    alone = head.without_edges()(features)
    assert not torch.allclose(alone, logits, atol=1e-3)


def test_starts_as_its_own_no_edges_form(graph: LabelGraph) -> None:
    head = ConditionedHead(D, graph, hidden=8)
    features = image_map().float()
    torch.testing.assert_close(head(features), head.without_edges()(features), rtol=0, atol=0)


def test_without_edges_keeps_the_base_logits_and_only_them(graph: LabelGraph) -> None:
    head = built(graph)
    features = image_map()
    alone = head.without_edges()
    assert alone.edge_index.shape == (2, 0)
    assert alone.attention_for(features)[1].shape == (3, 0, 2)
    scores = nn.functional.conv2d(features, head.score.weight[..., None, None]).flatten(2)
    look = (head.sharpness * scores).softmax(-1)
    share = head.gate.sigmoid()
    expected = head.score.bias + (1 - share) * scores.mean(-1) + share * (look * scores).sum(-1)
    torch.testing.assert_close(alone(features), expected)
    assert not torch.allclose(head(features), expected)


def test_a_label_without_in_edges_has_no_edge_term(graph: LabelGraph, form: str) -> None:
    head = built(graph)
    features = image_map()
    full, alone = head(features), head.without_edges()(features)
    received = graph.in_degree > 0
    torch.testing.assert_close(full[:, ~received], alone[:, ~received])
    assert ((full - alone).abs()[:, received] > 1e-6).all()


def test_self_loops_are_not_neighbours() -> None:
    loops = LabelGraph(NAMES, torch.arange(L).expand(2, L), self_loops=True)
    head = built(loops)
    features = image_map()
    torch.testing.assert_close(head(features), head.without_edges()(features))


def test_starts_from_the_base_rates_of_the_counts() -> None:
    targets = np.array([[1, 0], [1, 0], [1, -1], [0, 0]])
    counts = Cooccurrence.from_targets(targets, ["a", "b"])
    head = ConditionedHead(D, counts.graph("complete"))
    torch.testing.assert_close(head.base_rates, torch.tensor([3.5 / 5, 0.5 / 4]))
    torch.testing.assert_close(head.score.bias.sigmoid(), head.base_rates)
    none = ConditionedHead(D, LabelGraph.from_edges([("a", "b")], names=["a", "b"]))
    assert none.base_rates.tolist() == [0.5, 0.5]


def test_a_label_at_its_base_rate_sends_no_message(graph: LabelGraph) -> None:
    """Where every label is believed as often as it occurs, the edges are silent."""
    head = built(graph)
    with torch.no_grad():
        head.score.bias.copy_(head.base_rates.logit())
    nothing = torch.zeros(2, D, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(head(nothing), head.without_edges()(nothing))


def ising_pair(n: int = 4000, coupling: float = 3.0) -> Tensor:
    """Targets ``(n, 2)``: the first label raises the log-odds of the second by the coupling."""
    generator = torch.Generator().manual_seed(0)
    first = (torch.rand(n, generator=generator) < 0.3).float()
    second = (torch.rand(n, generator=generator) < torch.sigmoid(coupling * first - 2)).float()
    return torch.stack([first, second], 1)


def test_couplings_recover_an_ising_model() -> None:
    """Also if the encoder has memorised the training images and unary logits explain all labels."""
    targets = ising_pair(coupling=3.0)
    graph = LabelGraph.from_edges([("a", "b")], names=["a", "b"])
    head = ConditionedHead(2, graph, hidden=4, heads=1)
    head.messages.out.requires_grad_(False)
    with torch.no_grad():
        head.score.weight.copy_(20 * torch.eye(2))
    head.score.weight.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in head.parameters() if p.requires_grad], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        features = (targets - 0.5)[..., None, None]
        _, losses = head.forward_losses(features, targets, BCELoss())
        torch.stack(losses).sum().backward()
        optimizer.step()
    edges, effects = head.edge_effects()
    assert edges.tolist() == [[0], [1]]
    assert effects.item() == pytest.approx(3.0, abs=0.3)


def test_the_context_loss_trains_neither_unary_logits_nor_encoder(graph: LabelGraph) -> None:
    """The parts of unary get the gradients of the no-edges form, bit for bit."""
    head, features = built(graph), image_map().requires_grad_()
    alone = head.without_edges()
    targets = (torch.rand(3, L, dtype=torch.float64) < 0.4).double()
    apart = {id(p) for p in head.auxiliary_parameters()}
    names = [name for name, p in head.named_parameters() if id(p) not in apart]
    assert names == ["sharpness", "gate", "score.weight", "score.bias"]
    found = []
    for one in (head, alone):
        logits, losses = one.forward_losses(features, targets, BCELoss())
        assert len(losses) == (2 if one is head else 1)
        assert logits.equal(alone(features))
        parameters = dict(one.named_parameters())
        found.append(
            torch.autograd.grad(
                torch.stack(losses).sum(), [features, *(parameters[n] for n in names)]
            )
        )
    for with_context, without in zip(*found, strict=True):
        assert with_context.equal(without)


def test_context_learns_from_the_known_labels_of_neighbours(
    graph: LabelGraph,
) -> None:
    head, features = built(graph, dropout=0.0), image_map()
    targets = torch.tensor([[1, 0, 1, 0, 1, 0], [0, 1, -1, 0, 0.4, 1], [-1, -1, 0, 1, 1, 0]])
    targets = targets.double()
    unary, (unary_loss, context_loss) = head.forward_losses(features, targets, BCELoss())
    assert torch.equal(head.unary_logits(features), unary)
    torch.testing.assert_close(unary_loss, BCELoss()(unary, targets))
    index, attention = head.attention_for(features)
    positions = head.positions(features)
    values = head.messages.label_features(positions, head._unary(positions)[1]).unflatten(2, (2, 4))
    total, known = 0.0, 0
    for n in range(3):
        state = torch.where(targets[n] >= 0, targets[n], unary[n].sigmoid()) - head.base_rates
        for i in range(L):
            if targets[n, i] < 0:
                continue
            context = head.prior_logit[i]
            for e, (j, target) in enumerate(index.T.tolist()):
                if target == i:
                    received = (attention[n, e, :, None] * state[j] * values[n, j]).flatten()
                    context = context + head.messages.out[i] @ received / 8
                    context = context + COUPLING_UNIT * head.coupling[e] * state[j]
            total = total + nn.functional.binary_cross_entropy_with_logits(context, targets[n, i])
            known += 1
    torch.testing.assert_close(context_loss, total / known)


def test_without_known_targets_the_loss_is_0(graph: LabelGraph) -> None:
    unknown = -torch.ones(3, L, dtype=torch.float64)
    _, losses = built(graph).forward_losses(image_map(), unknown, BCELoss())
    assert [loss.item() for loss in losses] == [0, 0]


def test_seen_labels_keep_their_logit_and_others_follow_their_context() -> None:
    unary = torch.tensor([[-30.0, -30.0, -6.0, 0.0, 30.0]], dtype=torch.float64)
    prior = torch.full((5,), -4.0, dtype=torch.float64)
    context = torch.tensor([[-1.0, -6.0, -1.0, -1.0, -1.0]], dtype=torch.float64)
    found = (noisy_or(unary, context, prior, 0.5) - unary)[0]
    a, a0 = (0.5 / (1 + math.exp(-x)) for x in (-1.0, -4.0))
    whole = math.log(a / a0 * (1 - a0) / (1 - a))
    assert found[0].item() == pytest.approx(whole, abs=1e-9)
    assert found[1].item() == pytest.approx(-2.0, abs=0.02)
    assert found[2].item() == pytest.approx(whole, abs=1e-9)  # nothing above the prior is seen
    assert 0.1 < found[3] < 0.4
    assert 0 < found[4] < 0.15  # it may be there twice over: seen, and hidden elsewhere
    assert noisy_or(unary, prior.expand(1, 5), prior, 0.5).equal(unary)


@given(
    unary=st.floats(-20, 20), context=st.floats(-20, 20), prior=st.floats(-20, 5),
    miss_rate=st.floats(0.01, 0.99),
)  # fmt: skip
def test_context_is_a_noisy_or(
    unary: float, context: float, prior: float, miss_rate: float
) -> None:
    z, e, d = (torch.tensor([[x]], dtype=torch.float64) for x in (unary, context, prior))
    chances = [miss_rate * float(reference.sigmoid(x)) for x in (context, prior)]
    expected = reference.noisy_or(unary, *chances)
    assert noisy_or(z, e, d[0], miss_rate).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("far", [-1e4, -200.0, 200.0, 1e4])
def test_context_is_finite_for_any_logit(far: float) -> None:
    values = [torch.full((1, 1), x, requires_grad=True) for x in (far, -far, 0.0)]
    for unary in values:
        for context in values:
            out = noisy_or(unary, context, torch.tensor([-3.0]), 0.9)
            gradients = torch.autograd.grad(out.sum(), [unary, context], allow_unused=True)
            assert out.isfinite().all()
            assert all(g is None or g.isfinite().all() for g in gradients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 10, "heads": 4}, "multiple"),
        ({"steps": -1}, "steps=-1"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"miss_rate": 0.0}, "miss_rate=0.0"),
        ({"base_rates": torch.full((L,), 1.0)}, f"expected {L} values above 0"),
        ({"base_rates": torch.full((L + 1,), 0.5)}, f"expected {L} values above 0"),
    ],
)
def test_wrong_options_are_named(graph: LabelGraph, options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ConditionedHead(D, graph, **options)


def test_pooled_features_are_refused(graph: LabelGraph) -> None:
    with pytest.raises(InputError, match=r"feature maps \(B, 10, h, w\), got \(3, 10\)"):
        ConditionedHead(D, graph)(torch.randn(3, D))

"""Heads on similarity graphs: classifiers are shared between similar labels."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.nn import GATHead, GATv2Head, LinearHead, PyGHead
from gatlabel.nn.heads.shared_classifier import ClassifierMixing
from tests.reference.heads import shared_classifiers

NAMES = ["cat", "dog", "cow", "bus", "car", "kite"]
EDGES = [("cat", "dog", 3.0), ("cow", "dog", 1.0), ("dog", "cat", 0.5), ("bus", "car", 2.0)]
D, L = 10, 6


def similarity_graph(**options) -> LabelGraph:
    return LabelGraph.from_edges(EDGES, NAMES, **{"relation": "similarity", **options})


def free(head: GATHead | PyGHead) -> Tensor:
    return head.weight.detach()


@pytest.mark.parametrize("kind", [GATHead, GATv2Head, PyGHead])
class TestEveryHeadWithKin:
    def test_starts_as_own_classifier_plus_mean_of_similar_labels(self, kind) -> None:
        head = kind(D, similarity_graph(), hidden=8)
        assert head.similarity_weight == 0.5
        expected = shared_classifiers(free(head).tolist(), EDGES, NAMES, 0.5)
        torch.testing.assert_close(head.classifier()[0], torch.tensor(expected))
        dog, cat, cow = (NAMES.index(name) for name in ("dog", "cat", "cow"))
        by_hand = free(head)[dog] + 0.5 * (0.75 * free(head)[cat] + 0.25 * free(head)[cow])
        torch.testing.assert_close(head.classifier()[0][dog], by_hand)
        kite = NAMES.index("kite")  # has no similar label
        assert torch.equal(head.classifier()[0][kite], free(head)[kite])

    def test_cooccurrence_edges_share_no_classifiers_by_default(self, kind) -> None:
        cooccurrence = similarity_graph(relation="cooccurrence")
        head = kind(D, cooccurrence, hidden=8)
        assert head.mixing_matrix() is None
        assert head.config["similarity_weight"] == 0
        torch.testing.assert_close(head.classifier()[0], free(head))
        asked = kind(D, cooccurrence, hidden=8, similarity_weight=0.3)
        expected = shared_classifiers(free(asked).tolist(), EDGES, NAMES, 0.3)
        torch.testing.assert_close(asked.classifier()[0], torch.tensor(expected))
        alone = kind(D, similarity_graph(), hidden=8, similarity_weight=0.0)
        torch.testing.assert_close(alone.classifier()[0], free(alone))

    def test_a_linear_start_is_what_its_classifiers_are(self, kind) -> None:
        head = kind(D, similarity_graph(), hidden=8)
        weight, bias = torch.randn(L, D), torch.randn(L)
        (held,) = head.init_linear(weight, bias)
        torch.testing.assert_close(head.classifier(), (weight, bias))
        torch.testing.assert_close(head.mixing_matrix().float() @ held.detach(), weight)
        assert not torch.allclose(held, weight)

    def test_weight_of_removed_edges_goes_to_the_remaining_ones(self, kind) -> None:
        head = kind(D, similarity_graph(), hidden=8)
        torch.testing.assert_close(head.without_edges().classifier()[0], free(head))
        keep = torch.tensor([NAMES[int(s)] != "cow" for s in head.edge_index[0]])
        some = head.with_edges(keep).classifier()[0]
        dog, cat = NAMES.index("dog"), NAMES.index("cat")
        torch.testing.assert_close(some[dog], free(head)[dog] + 0.5 * free(head)[cat])
        assert not torch.allclose(some[dog], head.classifier()[0][dog])

    @pytest.mark.parametrize("similarity_weight", [-0.1, 1.0, float("nan")])
    def test_a_share_out_of_range_is_refused(self, kind, similarity_weight) -> None:
        with pytest.raises(InputError, match="at least 0 and below 1"):
            kind(D, similarity_graph(), hidden=8, similarity_weight=similarity_weight)

    def test_the_more_images_a_label_has_the_less_it_takes(self, kind, tmp_path) -> None:
        counts = Cooccurrence.from_counts([9, 0, 3, 1, 1, 1], [], 20, NAMES)
        graph = similarity_graph(counts=counts)
        head = kind(D, graph, node_features="learned", hidden=8) if kind is not PyGHead else kind(
            D, graph, hidden=8
        )  # fmt: skip
        cat, dog, cow = (NAMES.index(name) for name in ("cat", "dog", "cow"))
        assert head.mixing.strength[[cat, dog, cow]].tolist() == [0.125, 0.5, 0.25]
        expected = free(head)[cat] + 0.125 * free(head)[dog]
        torch.testing.assert_close(head.classifier()[0][cat], expected)
        # it goes with the weights: who loads them need not know how many images there were
        again = kind(D, similarity_graph(), hidden=8) if kind is PyGHead else kind(
            D, similarity_graph(), node_features="learned", hidden=8
        )  # fmt: skip
        if kind is not PyGHead:
            again.nodes = copy.deepcopy(head.nodes)
        again.load_state_dict(head.state_dict())
        torch.testing.assert_close(again.classifier(), head.classifier())
        some = head.with_edges(torch.ones_like(head.edge_weight, dtype=torch.bool))
        assert torch.equal(some.mixing.strength, head.mixing.strength)

    def test_learning_of_a_label_moves_those_that_are_like_it(self, kind) -> None:
        head = kind(D, similarity_graph(), hidden=8)
        before = head.classifier()[0].detach().clone()
        optimizer = torch.optim.SGD([head.weight], lr=0.1)
        features = torch.randn(4, D)
        head(features)[:, NAMES.index("dog")].sum().backward()
        optimizer.step()
        moved = (head.classifier()[0] - before).abs().sum(1)
        assert all(moved[NAMES.index(name)] > 1e-3 for name in ("dog", "cat", "cow"))
        assert all(moved[NAMES.index(name)] == 0 for name in ("bus", "car", "kite"))


def test_plain_stacks_have_no_classifiers_to_share() -> None:
    head = GATHead(D, similarity_graph(), hidden=8, base="nodes")
    assert head.mixing_matrix() is None
    with pytest.raises(InputError, match=r'similarity_weight=0\.5 needs base="classifiers"'):
        GATHead(D, similarity_graph(), hidden=8, base="nodes", similarity_weight=0.5)


def test_a_linear_head_shares_with_nobody() -> None:
    assert LinearHead(D, labels=L).mixing_matrix() is None


def test_weights_that_are_not_positive_contribute_nothing() -> None:
    edges = torch.tensor([[0, 1, 0], [2, 2, 1]])
    mixing = ClassifierMixing(edges, torch.tensor([2.0, -5.0, -1.0]), 3, 0.5)
    values = torch.randn(3, 4)
    out = mixing(values)
    torch.testing.assert_close(out[2], 0.5 * values[0])
    assert out[:2].abs().max() == 0


@given(st.integers(0, 2**31), st.floats(0, 0.99))
@settings(max_examples=25, deadline=None)
def test_the_share_can_always_be_undone(seed: int, similarity_weight: float) -> None:
    """``C`` has an inverse for any graph and any share below 1, so every start has its ``V``."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(7, 7, generator=generator) < 0.5
    mask.fill_diagonal_(False)
    edges = mask.nonzero().T.flip(0)
    weight = torch.rand(edges.shape[1], generator=generator) * 10
    mixing = ClassifierMixing(edges, weight, 7, similarity_weight)
    values = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(mixing.matrix() @ values, values + mixing(values))
    back = torch.linalg.solve(mixing.matrix(), values + mixing(values))
    torch.testing.assert_close(back, values, rtol=1e-6, atol=1e-6)

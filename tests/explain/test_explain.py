"""The contribution of an edge is what changes without it."""

import csv
import math
from pathlib import Path

import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.explain import contribution_share, explain_graph, removal_effect
from gatlabel.graph import LabelGraph
from gatlabel.metrics import average_precision
from gatlabel.nn import ConditionedHead, GATHead, GCNHead, LinearHead
from gatlabel.nn.identity import KEY
from tests.nn.head_cases import NAMES, D, L, features_for, label_graph, perturbed


@pytest.fixture
def graph() -> LabelGraph:
    return label_graph()


def head_of(graph: LabelGraph, kind: type = GATHead) -> GATHead:
    options = {} if kind is ConditionedHead else {"node_features": torch.randn(L, 8)}
    heads = {} if kind is GCNHead else {"heads": 2}
    return perturbed(kind(D, graph=graph, hidden=8, **heads, **options)).eval()


def targets_for(count: int) -> torch.Tensor:
    targets = torch.randint(0, 2, (count, L)).float()
    targets[0] = 1
    targets[:, 5] = 0  # a label without a positive
    targets[1, 0] = -1
    return targets


def test_contribution_share_by_its_definition(graph: LabelGraph) -> None:
    head = head_of(graph)
    shares = contribution_share(head)
    whole = head.classifier()[0]
    for edge in range(graph.num_edges):
        keep = [k for k in range(graph.num_edges) if k != edge]
        fewer = LabelGraph(NAMES, graph.edge_index[:, keep], graph.edge_weight[keep])
        without = GATHead(D, fewer, node_features=torch.zeros(L, 8), hidden=8, heads=2)
        state = {name: v for name, v in head.state_dict().items() if name != KEY}  # of all edges
        without.load_state_dict(state)
        target = int(graph.edge_index[1, edge])
        change = whole[target] - without.classifier()[0][target]
        torch.testing.assert_close(
            shares[edge].float(), change.norm() / whole[target].norm(), rtol=1e-4, atol=1e-6
        )
    assert (shares > 0).all()


@pytest.mark.parametrize("kind", [GATHead, GCNHead, ConditionedHead])
def test_removal_effect_by_its_definition(kind: type, graph: LabelGraph) -> None:
    head = head_of(graph, kind)
    features, targets = features_for(head, 40), targets_for(40)
    effect = removal_effect(head, features, targets, edges=[0, 3])
    whole = head(features).detach()
    for row, edge in enumerate((0, 3)):
        keep = torch.ones(graph.num_edges, dtype=torch.bool)
        keep[edge] = False
        target = int(head.edge_index[1, edge])
        logits = head.with_edges(keep)(features).detach()
        column = slice(target, target + 1)
        ap = [float(average_precision(z[:, column], targets[:, column])) for z in (whole, logits)]
        assert float(effect.ap_change[row]) == pytest.approx(ap[0] - ap[1], nan_ok=True)
        moved = (whole - logits)[:, target].square().mean().sqrt()
        spread = moved / whole[:, target].std(unbiased=False)
        assert float(effect.spread[row]) == pytest.approx(float(spread), rel=1e-4)


def test_an_edge_with_evidence_changes_the_ap() -> None:
    graph = LabelGraph.from_edges([("a", "b", 1.0), ("c", "b", 1.0)], ["a", "b", "c"])
    head = ConditionedHead(2, graph, hidden=2, heads=1)
    with torch.no_grad():  # b is only seen through a; c tells nothing
        head.score.weight.copy_(torch.tensor([[8.0, 0.0], [0.0, 0.0], [0.0, 8.0]]))
        head.score.bias.zero_()
        head.coupling.copy_(torch.tensor([1.0, 0.0]))
    features = torch.randn(200, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    present = (features[:, 0, 0, 0] > 0).float()
    targets = torch.stack([present, present, (features[:, 1, 0, 0] > 0).float()], 1)
    explanation = explain_graph(head, graph, features, targets)
    best, worst = explanation.neighbours("b")
    assert (best.source, worst.source) == ("a", "c")
    assert best.ap_change > 0.3
    assert abs(worst.ap_change) < 1e-6
    assert worst.contribution < 1e-6 < best.contribution


def test_before_training_edges_contribute_nothing(graph: LabelGraph) -> None:
    start = GATHead(D, graph, node_features=torch.randn(L, 8), hidden=8, heads=2).eval()
    trained = head_of(graph)
    explanation = explain_graph(trained, graph, before=start)
    assert all(edge.contribution_before == 0 < edge.contribution for edge in explanation.edges)
    of_a = [edge for edge in explanation.edges if edge.target == "a"]
    assert sum(edge.attention for edge in of_a) == pytest.approx(1, abs=1e-5)
    assert sum(edge.attention_before for edge in of_a) == pytest.approx(1, abs=1e-5)
    assert all(math.isnan(edge.ap_change) for edge in explanation.edges)
    assert explanation.strongest(2)[0].contribution >= explanation.strongest(2)[1].contribution


@pytest.mark.parametrize("base", ["classifiers", "nodes"])
def test_attention_is_that_of_the_edge(base: str, graph: LabelGraph) -> None:
    head = GATHead(D, graph, node_features=torch.randn(L, 8), hidden=8, heads=2, base=base)  # type: ignore[arg-type]
    edges, weights = (part.detach() for part in head.attention())
    found = explain_graph(head.eval(), graph).edges
    for row, edge in enumerate(graph.edge_index.T.tolist()):
        place = edges.T.tolist().index(edge)
        assert found[row].attention == pytest.approx(float(weights[place].mean()), abs=1e-6)


def test_writes_a_table_and_an_image(graph: LabelGraph, tmp_path: Path) -> None:
    explanation = explain_graph(head_of(graph), graph)
    explanation.save(tmp_path / "edges.csv")
    with (tmp_path / "edges.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == [edge.source for edge in explanation.edges]
    assert float(rows[0]["contribution"]) == explanation.edges[0].contribution
    assert rows[0]["ap_change"] == ""
    explanation.draw(tmp_path / "edges.png")
    assert (tmp_path / "edges.png").stat().st_size > 5000


def test_mistakes_are_named(graph: LabelGraph) -> None:
    head = head_of(graph)
    features, targets = features_for(head, 4), targets_for(4)
    with pytest.raises(InputError, match="no label graph"):
        explain_graph(LinearHead(D, NAMES), graph)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="both features and targets"):
        explain_graph(head, graph, features)
    with pytest.raises(InputError, match="2 label names"):
        explain_graph(head, ["a", "b"])
    with pytest.raises(InputError, match="targets"):
        explain_graph(head, graph, features, targets[:2])
    with pytest.raises(InputError, match="give features"):
        explain_graph(head_of(graph, ConditionedHead), graph)
    with pytest.raises(InputError, match="other edges"):
        explain_graph(head, graph, before=head.without_edges())
    with pytest.raises(InputError, match=r"unknown label 'kife'; did you mean"):
        explain_graph(head, [*NAMES[1:], "knife"]).neighbours("kife")

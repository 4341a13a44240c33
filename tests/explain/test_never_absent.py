"""A label that is never known to be absent has an AP of 1, with an edge and without it."""

import torch

from gatlabel.explain import removal_effect
from gatlabel.nn import GATHead
from tests.nn.head_cases import D, L, features_for, label_graph, perturbed


def test_an_edge_to_a_label_that_is_never_absent_has_no_effect_on_ap() -> None:
    graph = label_graph()
    options = {"node_features": torch.randn(L, 8), "hidden": 8, "heads": 2}
    head = perturbed(GATHead(D, graph=graph, **options)).eval()
    targets = torch.randint(0, 2, (20, L)).float()
    target = int(head.edge_index[1, 0])
    targets[:, target] = torch.where(targets[:, target] == 1, 1.0, -1.0)
    effect = removal_effect(head, features_for(head, 20), targets)
    assert torch.equal(effect.ap_change.isnan(), head.edge_index[1] == target)

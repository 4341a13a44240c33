"""Which neighbours lend a label its classifier, and what a label loses without an edge.

Attention tells where a head looks; it does not tell what comes of it. Here every edge is taken
away in turn, with all learned weights in place, and the difference is measured:

    >>> import torch
    >>> from gatlabel import LabelGraph
    >>> from gatlabel.explain import explain_graph
    >>> from gatlabel.nn import GATHead
    >>> graph = LabelGraph.from_edges([("fork", "knife", 0.8), ("cow", "knife", 0.2)])
    >>> head = GATHead(16, graph, node_features="learned", hidden=8, heads=2)
    >>> explanation = explain_graph(head, graph)
    >>> [(edge.source, edge.target, edge.lent) for edge in explanation.edges]
    [('fork', 'knife', 0.0), ('cow', 'knife', 0.0)]

A head that starts as a linear classifier has been lent nothing before it is trained, unless the
edges are of kin: these share their classifiers from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.explain.edges import EdgeExplanation, GraphExplanation, explain_graph
    from gatlabel.explain.removal import lent_share, removal_effect
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "EdgeExplanation",
    "GraphExplanation",
    "explain_graph",
    "lent_share",
    "removal_effect",
]

"""Explanations: which neighbours in the label graph and image regions a prediction depends on.

Attention weights do not measure an effect. Here every edge is removed in turn, with all learned
weights in place, and the difference is measured:

    >>> import torch
    >>> from gatlabel import LabelGraph
    >>> from gatlabel.explain import explain_graph
    >>> from gatlabel.nn import GATHead
    >>> graph = LabelGraph.from_edges([("fork", "knife", 0.8), ("cow", "knife", 0.2)])
    >>> head = GATHead(16, graph, node_features="learned", hidden=8, heads=2)
    >>> explanation = explain_graph(head, graph)
    >>> [(edge.source, edge.target, edge.contribution) for edge in explanation.edges]
    [('fork', 'knife', 0.0), ('cow', 'knife', 0.0)]

Before training, edges contribute nothing to a head that is initialised as a linear classifier.
Similarity edges are an exception, because they share classifiers from the start.

:func:`explain_image` explains the logits of one image: class activation maps, and the contribution
of each neighbour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.explain.activation import activation_maps
    from gatlabel.explain.edges import EdgeExplanation, GraphExplanation, explain_graph
    from gatlabel.explain.image import ImageExplanation, LabelExplanation, explain_image
    from gatlabel.explain.neighbours import NeighbourContribution, neighbour_contributions
    from gatlabel.explain.removal import contribution_share, removal_effect
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "EdgeExplanation",
    "GraphExplanation",
    "ImageExplanation",
    "LabelExplanation",
    "NeighbourContribution",
    "activation_maps",
    "contribution_share",
    "explain_graph",
    "explain_image",
    "neighbour_contributions",
    "removal_effect",
]

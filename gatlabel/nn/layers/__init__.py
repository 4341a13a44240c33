"""Graph layers that equal PyG's ``GATConv``, ``GATv2Conv`` and ``GCNConv``.

Like PyG's layers, each takes ``(x, edge_index)`` and has the same parameter names and shapes, so
``layer.load_state_dict(pyg_layer.state_dict())`` works. None of them needs PyG.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.nn.layers.gat import GATLayer
    from gatlabel.nn.layers.gatv2 import GATv2Layer
    from gatlabel.nn.layers.gcn import GCNLayer, symmetric_normalisation
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["GATLayer", "GATv2Layer", "GCNLayer", "symmetric_normalisation"]

"""Attention over the edges of one label graph, with scores that differ from picture to picture.

``attention.py`` and ``convolution.py`` hold the same for one graph and one set of node vectors;
here every picture of a batch has its own, and the graph is shared.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Up to this many labels, or from this share of all pairs on, an (L, L) matrix a picture and head is
# cheaper than gathering two vectors an edge (measured with 4 to 64 in-edges a label, L 80 to 800).
DENSE_LABELS = 100
DENSE_SHARE = 1 / 40


class PictureAttention(nn.Module):
    r"""Additive attention over in-neighbours, batched over pictures.

    ``e_h(i,j) = LeakyReLU(a_h·v_j,h + b_h·v_i,h) + λ_h·prior(j→i)``,
    ``α_h = softmax_j e_h``, ``out_i,h = Σ_j α_h(i,j) s_j v_j,h`` (Veličković et al., ICLR 2018,
    arXiv:1710.10903, eq. 1-6; prior and ``s_j``, how much a neighbour has to say, are ours).

    Args:
        edge_index: int64 ``(2, E)``, without self-loops, no edge twice.
        prior: ``(E,)``, the weights of the edges.
        nodes: Number of labels L.
        hidden: Total width C over the heads.
        heads: Number of attention heads H.
        dropout: Probability of dropping an attention weight in training.
        negative_slope: Slope of the LeakyReLU below zero.

    Shapes:
        values ``(B, L, C)``, belief ``(B, L)`` -> ``(B, L, C)``, zero for a label without in-edges.
    """

    edge_index: Tensor
    prior: Tensor
    mask: Tensor
    dense_prior: Tensor
    listens: Tensor

    def __init__(
        self,
        edge_index: Tensor,
        prior: Tensor,
        nodes: int,
        hidden: int,
        heads: int,
        dropout: float = 0.0,
        negative_slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.nodes, self.heads, self.dropout = nodes, heads, dropout
        self.negative_slope = negative_slope
        for name in ("edge_index", "prior", "mask", "dense_prior", "listens"):
            self.register_buffer(name, None, persistent=False)
        self.set_edges(edge_index, prior)
        self.directions = nn.Parameter(torch.empty(heads, hidden // heads, 2))  # a_h, b_h
        nn.init.xavier_uniform_(self.directions.view(heads, -1))
        self.prior_weight = nn.Parameter(torch.ones(heads))

    def set_edges(self, edge_index: Tensor, prior: Tensor) -> None:
        """Puts other edges in the place of the present ones, and chooses the form."""
        nodes, edges = self.nodes, edge_index.shape[1]
        self.dense = nodes <= DENSE_LABELS or edges >= DENSE_SHARE * nodes * nodes
        self.edge_index, self.prior = edge_index, prior
        source, target = edge_index[0], edge_index[1]
        self.listens = prior.new_zeros(nodes).index_fill(0, target, 1.0)[:, None]  # (L, 1)
        if self.dense:
            empty = prior.new_zeros(nodes, nodes)
            self.dense_prior = empty.index_put((target, source), prior)
            mask = empty.index_put((target, source), prior.new_ones(edges)) > 0
            # A row without neighbours must stay finite: it attends to all and is zeroed after.
            self.mask = mask | (self.listens == 0)
        else:
            self.dense_prior, self.mask = prior.new_zeros(0, 0), prior.new_zeros(0, 0).bool()

    def _split(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values by head ``(B, H, L, C/H)`` and the parts of the scores, ``(B, H, L)`` each."""
        by_head = values.unflatten(2, (self.heads, -1)).transpose(1, 2)
        parts = by_head @ self.directions
        return by_head, parts[..., 0], parts[..., 1]

    def _dense_weights(self, of_source: Tensor, of_target: Tensor) -> Tensor:
        scores = of_target[..., :, None] + of_source[..., None, :]  # (B, H, L, L)
        bias = self.dense_prior * self.prior_weight[:, None, None]
        bias = bias.masked_fill(~self.mask, -math.inf)
        return (F.leaky_relu(scores, self.negative_slope) + bias).softmax(-1)

    def _edge_weights(self, of_source: Tensor, of_target: Tensor) -> Tensor:
        source, target = self.edge_index[0], self.edge_index[1]
        scores = of_source[..., source] + of_target[..., target]  # (B, H, E)
        scores = F.leaky_relu(scores, self.negative_slope) + self.prior_weight[:, None] * self.prior
        with torch.no_grad():  # the shift cancels, so it needs no gradient
            highest = scores.new_full(of_source.shape, -math.inf)
            highest = highest.scatter_reduce(2, target.expand_as(scores), scores, "amax")
        exponentials = (scores - highest[..., target]).exp()
        totals = exponentials.new_zeros(of_source.shape).index_add(2, target, exponentials)
        return exponentials / totals[..., target]

    def weights(self, values: Tensor) -> Tensor:
        """Returns the attention of each picture over the edges, ``(B, E, H)``.

        Args:
            values: ``(B, L, C)``.
        """
        _, of_source, of_target = self._split(values)
        if self.dense:
            source, target = self.edge_index[0], self.edge_index[1]
            found = self._dense_weights(of_source, of_target)[..., target, source]
        else:
            found = self._edge_weights(of_source, of_target)
        return found.transpose(1, 2)

    def forward(self, values: Tensor, belief: Tensor) -> Tensor:
        """Returns what each label hears from its neighbours, ``(B, L, C)``."""
        by_head, of_source, of_target = self._split(values)
        sent = by_head * belief[:, None, :, None]
        if self.dense:
            weights = self._dense_weights(of_source, of_target)
            heard = F.dropout(weights, self.dropout, self.training) @ sent
        else:
            source, target = self.edge_index[0], self.edge_index[1]
            weights = self._edge_weights(of_source, of_target)
            weights = F.dropout(weights, self.dropout, self.training)
            messages = sent[:, :, source] * weights[..., None]
            heard = messages.new_zeros(sent.shape).index_add(2, target, messages)
        return heard.transpose(1, 2).flatten(2) * self.listens

"""Attention over the edges of one label graph, with scores that differ between images.

``attention.py`` and ``convolution.py`` do the same for one graph and one set of node vectors. Here
every image of a batch has its own node vectors, and the graph is shared.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.nn.constants import HoldsConstants
from gatlabel.nn.kernels import Adjacency
from gatlabel.nn.kernels.csr import csr_dots


def dense_pays(nodes: int, edges: int) -> bool:
    """Whether one ``(L, L)`` matrix per image and head is cheaper than one number per edge.

    Measured with 60 to 2,000 labels and 4 to 128 in-edges per label: small matrices fit caches,
    large ones are faster from a third of all pairs on.
    """
    return nodes <= 100 or edges >= min(nodes / 1000, 1 / 3) * nodes * nodes


class ImageAttention(HoldsConstants):
    r"""Additive attention over in-neighbours, batched over images.

    ``e_h(i,j) = LeakyReLU(a_h·v_j,h + b_h·v_i,h) + λ_h·prior(j→i)``,
    ``α_h = softmax_j e_h``, ``out_i,h = Σ_j α_h(i,j) s_j v_j,h`` (Veličković et al., ICLR 2018,
    arXiv:1710.10903, eq. 1-6; the prior and the evidence ``s_j`` are additions).

    Args:
        edge_index: int64 ``(2, E)``, without self-loops, without duplicate edges.
        prior: ``(E,)``, the weights of the edges.
        nodes: Number of labels L.
        hidden: Total width C over all heads.
        heads: Number of attention heads H.
        dropout: Probability of dropping an attention weight in training.
        negative_slope: Slope of the LeakyReLU below zero.

    The sums are needed only along one direction per label, ``o_i·out_i``, so they are not formed:
    ``o_i·out_i = Σ_h Σ_j α_h(i,j) s_j (o_i,h·v_j,h)``. The products ``o_i,h·v_j,h`` of all pairs of
    labels are a single product of the values with a matrix (:meth:`columns`), which also contains
    the two directions of the scores.

    Shapes:
        values ``(B, L, C)``, evidence ``(B, L)``, out ``(L, C)`` -> ``(B, L)``, zero for a label
        without in-edges.
    """

    edge_index: Tensor
    prior: Tensor
    mask: Tensor
    dense_prior: Tensor
    has_neighbours: Tensor
    place: Tensor

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
        self.set_edges(edge_index, prior)
        self.directions = nn.Parameter(torch.empty(heads, hidden // heads, 2))  # a_h, b_h
        nn.init.xavier_uniform_(self.directions.view(heads, -1))
        self.prior_weight = nn.Parameter(torch.ones(heads))

    def set_edges(self, edge_index: Tensor, prior: Tensor) -> None:
        """Replaces the edges and chooses the dense or the sparse form."""
        nodes, edges = self.nodes, edge_index.shape[1]
        self.dense = dense_pays(nodes, edges)
        self.constant("edge_index", edge_index)
        self.constant("prior", prior)
        source, target = edge_index[0], edge_index[1]
        self.constant("has_neighbours", prior.new_zeros(nodes).index_fill(0, target, 1.0))
        self.adjacency: Adjacency | None = None
        if self.dense:
            empty = prior.new_zeros(nodes, nodes)
            self.constant("dense_prior", empty.index_put((source, target), prior))
            mask = empty.index_put((source, target), prior.new_ones(edges)) > 0
            # A label without neighbours must stay finite: it attends to all and is zeroed later.
            self.constant("mask", mask | (self.has_neighbours == 0))
            self.constant("place", edge_index.new_zeros(0))
        else:
            self.constant("dense_prior", prior.new_zeros(0, 0))
            self.constant("mask", prior.new_zeros(0, 0).bool())
            self.adjacency = Adjacency(edge_index, nodes)
            # position of each edge among the edges that the kernel sorted by target
            every = torch.arange(edges, device=edge_index.device)
            self.constant("place", self.adjacency.in_order(every).argsort())

    def columns(self, out: Tensor) -> Tensor:
        """Returns the matrix to multiply values with: ``out`` and both score directions, per head.

        Args:
            out: ``o (L, C)``.

        Returns:
            ``(H, C / H, L + 2)``.
        """
        by_head = out.unflatten(1, (self.heads, -1)).permute(1, 2, 0)
        return torch.cat([by_head, self.directions.to(out.dtype)], 2)

    def products(self, values: Tensor, columns: Tensor) -> Tensor:
        """Multiplies values ``(..., C)`` with :meth:`columns`: ``(..., H, L + 2)``."""
        flat = values.reshape(-1, self.heads, columns.shape[1])
        found = torch.bmm(flat.transpose(0, 1), columns).transpose(0, 1)
        return found.unflatten(0, values.shape[:-1])

    def _dense_weights(self, of_source: Tensor, of_target: Tensor) -> Tensor:
        """Computes weights ``(B, L, H, L)`` from parts of the scores ``(B, L, H)``."""
        # contiguous: otherwise later arrays would have the heads as the innermost axis and be slow
        of_target = of_target.transpose(1, 2).contiguous()
        scores = of_target[:, None] + of_source.contiguous()[..., None]
        bias = self.dense_prior[:, None] * self.prior_weight[:, None]
        bias = bias.masked_fill(~self.mask[:, None], -math.inf)
        return F.leaky_relu(scores, self.negative_slope).add_(bias).softmax(1)

    def _edge_weights(self, of_source: Tensor, of_target: Tensor) -> Tensor:
        """Computes weights ``(B, H, E)`` from parts of the scores ``(B, H, L)``."""
        source, target = self.edge_index[0], self.edge_index[1]
        scores = of_source[..., source] + of_target[..., target]
        scores = F.leaky_relu(scores, self.negative_slope) + self.prior_weight[:, None] * self.prior
        with torch.no_grad():  # the shift cancels, so it needs no gradient
            highest = scores.new_full(of_source.shape, -math.inf)
            highest = highest.scatter_reduce(2, target.expand_as(scores), scores, "amax")
        exponentials = (scores - highest[..., target]).exp()
        totals = exponentials.new_zeros(of_source.shape).index_add(2, target, exponentials)
        return exponentials / totals[..., target]

    def weights(self, values: Tensor) -> Tensor:
        """Returns the attention of each image over the edges, ``(B, E, H)``.

        Args:
            values: ``(B, L, C)``.
        """
        of_source, of_target = self.products(values, self.directions).unbind(-1)  # (B, L, H)
        source, target = self.edge_index[0], self.edge_index[1]
        if self.dense:
            return self._dense_weights(of_source, of_target)[:, source, :, target].transpose(0, 1)
        parts = (part.transpose(1, 2) for part in (of_source, of_target))
        return self._edge_weights(*parts).transpose(1, 2)

    def forward(self, values: Tensor, evidence: Tensor, out: Tensor) -> Tensor:
        """Returns ``o_i·out_i``, ``(B, L)``."""
        if self.dense:
            return self.from_products(self.products(values, self.columns(out)), evidence)
        of_source, of_target = self.products(values, self.directions).unbind(-1)
        source, target = self.edge_index[0], self.edge_index[1]
        weights = self._edge_weights(of_source.transpose(1, 2), of_target.transpose(1, 2))
        weights = F.dropout(weights, self.dropout, self.training)
        sent = (weights * self._along(values, out)).sum(1) * evidence[:, source]  # (B, E)
        return sent.new_zeros(evidence.shape).index_add(1, target, sent)

    def _along(self, values: Tensor, out: Tensor) -> Tensor:
        """Computes ``o_i,h·v_j,h`` at the edges, ``(B, H, E)``, without an array ``(E, C)``."""
        by_head = values.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, L, C / H)
        along = out.unflatten(1, (self.heads, -1)).transpose(0, 1)  # (H, L, C / H)
        if self.adjacency is None or torch.compiler.is_exporting():  # ONNX has no such operator
            source, target = self.edge_index[0], self.edge_index[1]
            return (by_head[:, :, source] * along[:, target]).sum(-1)
        dtype = values.dtype if values.dtype == torch.float64 else torch.float32
        with torch.autocast(values.device.type, enabled=False):
            along = along.to(dtype).repeat(len(values), 1, 1)
            dots = csr_dots(along, by_head.flatten(0, 1).to(dtype), self.adjacency.csr())
        return dots.unflatten(0, by_head.shape[:2])[..., self.place]

    def from_products(self, products: Tensor, evidence: Tensor) -> Tensor:
        """Computes the same, in the dense form only, from the products of the values.

        Args:
            products: ``(B, L, H, L + 2)``.
            evidence: ``(B, L)``.
        """
        along, of_source, of_target = products.split([self.nodes, 1, 1], -1)
        weights = self._dense_weights(of_source.squeeze(-1), of_target.squeeze(-1))
        weights = F.dropout(weights, self.dropout, self.training)
        sent = (weights * along).sum(2)  # over heads: (B, L, L)
        return torch.bmm(evidence.to(sent.dtype)[:, None], sent)[:, 0] * self.has_neighbours

"""The image-conditioned head: what this picture shows of a label bears on its neighbours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.nn.heads.base import MapHead, TakesGraph
from gatlabel.nn.heads.picture_attention import PictureAttention

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

# The couplings are kept in units of 5 logits. A classifier's logit sums D weights and moves by
# about D learning rates in a step; a coupling is one number and would otherwise hardly leave zero
# in a short training (Adam moves every parameter by about the rate, whatever it does).
COUPLING_UNIT = 5.0

# Pictures that share one folding of the projection: a number, for a batch cannot be branched on
# where the head is exported.
FOLDED_FOR = 16


class ConditionedHead(TakesGraph, MapHead):
    r"""Graph attention a picture over label-specific features, and evidence along the edges.

    With positions ``u`` of the map, ``f_u`` the features there::

        s_iu  = w_i·f_u                                          position scores
        α_iu  = softmax_u(τ s_iu)                                where label i looks
        z0_i  = b_i + (1 − g) mean_u s_iu + g Σ_u α_iu s_iu      base logit, g = σ(γ)
        v_i   = Σ_u α_iu K f_u                                   label feature (hidden)
        m_i   = ‖_h Σ_j α_h(i,j) (σ(z0_j) − π_j) v_j,h           graph attention over j → i, j ≠ i
        z¹_i  = z0_i + o_i·m_i / √hidden
        zᵗ⁺¹_i = z¹_i + Σ_{j→i} c_ij (σ(zᵗ_j) − π_j)             ``steps`` times

    Nothing in ``z0`` knows an edge. ``o`` (a vector a label) and ``c`` (a number an edge) are zero
    at the start, so the head starts as its own no-edges form, and a label without in-edges has no
    edge term at all. ``α_h`` is GAT's attention on this picture's ``v`` with the edges' weights as
    prior (:class:`~gatlabel.nn.heads.picture_attention.PictureAttention`); a neighbour's evidence
    counts by how far it is believed more than usual.

    The last line is mean-field inference in an Ising model: if labels are drawn from
    ``P(y) ∝ exp(Σ h_i y_i + Σ J_ij y_i y_j)`` over ``y ∈ {0,1}`` and the picture adds independent
    evidence, then ``z_i = local_i + Σ_j J_ij E[y_j]`` is the fixed point that approximates the
    posterior log-odds, and ``c`` estimates ``J``. The base rates ``π`` change the biases only, but
    with them the learning: without, all couplings of a label first learn to lower its logits, as
    its bias should, and end far from ``J``. For the same reason ``b`` starts as the log-odds of
    ``π`` (``benchmarks/conditioned_couplings.py`` measures both).

    Label-specific attended features and a graph over them are from SSGRL (Chen et al., ICCV 2019,
    arXiv:1908.07325) and ADD-GCN (Ye et al., ECCV 2020, arXiv:2012.02994); attention as part of the
    logit from CSRA (arXiv:2108.02456); the zero start, belief and mean-field step are ours.

    Args:
        in_features: Feature width D.
        graph: The label graph.
        hidden: Total width of the label features over the heads; a multiple of ``heads``.
        heads: Number of attention heads H.
        steps: Number of mean-field iterations; 0 leaves the couplings ``c`` out.
        dropout: Probability of dropping an attention weight over edges in training.
        base_rates: π, the share of pictures that hold each label, ``(L,)`` in (0, 1); ``None``
            takes it from the graph's counts, and one half for a graph that has none.

    Raises:
        InputError: If ``hidden`` is no multiple of ``heads``, or an option is out of range.

    Shapes:
        features ``(B, D, h, w)`` -> logits ``(B, L)``.
    """

    kind = "conditioned"
    base_rates: Tensor

    def __init__(
        self,
        in_features: int,
        graph: LabelGraph,
        hidden: int = 256,
        heads: int = 4,
        steps: int = 2,
        dropout: float = 0.0,
        base_rates: Tensor | None = None,
    ) -> None:
        super().__init__(in_features, graph)
        if heads < 1 or hidden < heads or hidden % heads:
            raise InputError(
                f"hidden={hidden} is the total width over heads={heads}: it must be a multiple"
            )
        if steps < 0:
            raise InputError(f"steps={steps}: the number of iterations is at least 0")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout={dropout} is a probability: at least 0, below 1")
        self.hidden, self.heads, self.steps, self.dropout = hidden, heads, steps, dropout
        others = self.edge_index[0] != self.edge_index[1]  # "self" is in z0
        self.edge_index, self.edge_weight = self.edge_index[:, others], self.edge_weight[others]
        labels = self.out_features
        rates = _base_rates(graph) if base_rates is None else base_rates.detach().clone()
        if rates.shape != (labels,) or not ((rates > 0) & (rates < 1)).all():
            raise InputError(f"base_rates: expected {labels} values above 0 and below 1")
        # part of the state: a saved model must not depend on the counts being at hand
        self.register_buffer("base_rates", rates.to(torch.get_default_dtype()))  # π
        self.score = nn.Linear(in_features, labels)  # w, b
        with torch.no_grad():
            self.score.bias.copy_(self.base_rates.logit())
        self.sharpness = nn.Parameter(torch.ones(()))  # τ
        self.gate = nn.Parameter(torch.zeros(()))  # γ
        self.project = nn.Linear(in_features, hidden, bias=False)  # K
        self.attend = PictureAttention(
            self.edge_index, self.edge_weight, labels, hidden, heads, dropout
        )
        self.out_edge = nn.Parameter(torch.zeros(labels, hidden))  # o
        edges = self.edge_index.shape[1] if steps else 0
        self.coupling = nn.Parameter(torch.zeros(edges))  # c, in units of COUPLING_UNIT

    @property
    def config(self) -> dict[str, Any]:
        """The options that make a head of the same shape."""
        names = ("hidden", "heads", "steps", "dropout")
        return {**super().config, **{name: getattr(self, name) for name in names}}

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """``o``: how far the attention may move a logit.

        Not ``c``: a number an edge is soon learned and hardly overfits, and what holds a matrix
        at an optimiser's step would hold it at zero.
        """
        return [self.out_edge]

    def label_bias(self) -> nn.Parameter:
        """The biases ``b (L,)``."""
        return self.score.bias

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges and what was learned for each."""
        super().keep_edges(keep)
        self.attend.set_edges(self.edge_index, self.edge_weight)
        if self.steps:
            self.coupling = nn.Parameter(self.coupling[keep])

    def edge_effects(self) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E)`` and ``c (E,)``: what a label surely present sends.

        In logits, and comparable with the couplings of an Ising model over {0, 1}; zeros with
        ``steps=0``.
        """
        if not self.steps:
            return self.edge_index, self.edge_weight.new_zeros(self.edge_index.shape[1])
        return self.edge_index, (COUPLING_UNIT * self.coupling).detach()

    @torch.no_grad()
    def attention_for(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E)`` and each picture's attention over them.

        Args:
            features: ``(B, D, h, w)``.

        Returns:
            int64 ``(2, E)`` and ``(B, E, H)``, summing to 1 over the in-edges of each label.
        """
        positions = self.positions(features)
        _, look = self._base(positions)
        return self.edge_index, self.attend.weights(self._label_features(positions, look))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(B, D, h, w)`` -> logits ``(B, L)``."""
        positions = self.positions(features)
        base, look = self._base(positions)
        if not self.edge_index.shape[1]:
            return base
        news = base.sigmoid() - self.base_rates
        first = base + self.hears(positions, news, look) / math.sqrt(self.hidden)
        logits = first
        for _ in range(self.steps):
            logits = first + self._evidence(logits.sigmoid() - self.base_rates)
        return logits

    def _base(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Positions ``(B, U, D)`` -> ``z0 (B, L)`` and where labels look, ``(B, L, U)``."""
        scores = self.score(positions).transpose(1, 2)  # the bias rides along: both means keep it
        look = (self.sharpness * scores).softmax(-1)
        mean, attended = scores.mean(-1), (look * scores).sum(-1)
        return mean + self.gate.sigmoid() * (attended - mean), look

    def _label_features(self, positions: Tensor, look: Tensor | None) -> Tensor:
        """``v (B, L, hidden)``: projects first or attends first, whichever is fewer operations."""
        if look is None:
            return self.project(positions)
        places, labels = positions.shape[1], self.out_features
        project_first = places * self.hidden * (self.in_features + labels)
        attend_first = labels * self.in_features * (places + self.hidden)
        if project_first < attend_first:
            return look @ self.project(positions)
        return self.project(look @ positions)

    def hears(self, positions: Tensor, news: Tensor, look: Tensor | None = None) -> Tensor:
        """``o_i·m_i``: label features, graph attention over them, and what a label makes of it.

        Everything from the map to the scores and to ``o_i·v_j`` is linear, so it can be multiplied
        in several orders; the one with the fewest operations is taken.

        Args:
            positions: ``(B, U, D)``.
            news: ``σ(z0) − π``, ``(B, L)``.
            look: ``α (B, L, U)``, where labels look; ``None``: position i is label i's own feature.

        Returns:
            ``(B, L)``.
        """
        if not self.attend.dense:
            values = self._label_features(positions, look)
            return self.attend(values, news, self.out_edge)
        columns = self.attend.columns(self.out_edge)  # (H, hidden / H, L + 2)
        fold, look_first = self._order(positions.shape[1], look is not None)
        x = positions if look is None or not look_first else look @ positions
        if fold:
            by_head = self.project.weight.unflatten(0, (self.heads, -1)).transpose(1, 2)
            folded = torch.bmm(by_head, columns).transpose(0, 1)  # (D, H, L + 2)
            x = x @ folded.flatten(1)
        else:
            x = self.attend.products(self.project(x), columns).flatten(2)
        x = x if look is None or look_first else look @ x
        return self.attend.from_products(x.unflatten(2, (self.heads, -1)), news)

    def _order(self, places: int, looks: bool) -> tuple[bool, bool]:
        """Whether to fold the projection into the columns, and whether to attend first."""
        labels, width, hidden = self.out_features, self.in_features, self.hidden
        many = self.heads * (labels + 2)
        orders: dict[tuple[bool, bool], int] = {}
        for fold in (False, True):
            for look_first in (False, True) if looks else (True,):
                rows = labels if look_first else places
                cost = rows * (width * many if fold else width * hidden + hidden * (labels + 2))
                cost += hidden * width * (labels + 2) // FOLDED_FOR if fold else 0
                cost += labels * places * (width if look_first else many) if looks else 0
                orders[fold, look_first] = cost
        return min(orders, key=lambda order: orders[order])

    def _evidence(self, news: Tensor) -> Tensor:
        """``Σ_{j→i} c_ij news_j``, ``(B, L)`` -> ``(B, L)``."""
        source, target = self.edge_index[0], self.edge_index[1]
        coupling = COUPLING_UNIT * self.coupling
        news = news.to(coupling.dtype)  # sums over neighbours stay in full precision
        if self.attend.dense:
            matrix = coupling.new_zeros(self.out_features, self.out_features)
            return news @ matrix.index_put((source, target), coupling)
        return torch.zeros_like(news).index_add(1, target, news[:, source] * coupling)


def _base_rates(graph: LabelGraph) -> Tensor:
    if graph.counts is None or graph.counts.images is None:
        return torch.full((len(graph.names),), 0.5)
    return torch.from_numpy(graph.counts.base_rates)

"""The image-conditioned head: what this picture shows of a label bears on its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.nn.heads.base import Criterion, MapHead
from gatlabel.nn.heads.company import in_company
from gatlabel.nn.heads.hearing import Hearing
from gatlabel.nn.heads.takes_graph import TakesGraph

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

# The couplings are kept in units of 5 logits. A classifier's logit sums D weights and moves by
# about D learning rates in a step; a coupling is one number and would otherwise hardly leave zero
# in a short training (Adam moves every parameter by about the rate, whatever it does).
COUPLING_UNIT = 5.0
# Float32 does not tell larger chances from 1, at which the odds are infinite.
MOST_UNSEEN = 0.999999


class ConditionedHead(TakesGraph, MapHead):
    r"""Sight a label, graph attention a picture, and company along the edges.

    With positions ``u`` of the map, ``f_u`` the features there::

        s_iu  = w_i·f_u                                          position scores
        α_iu  = softmax_u(τ s_iu)                                where label i looks
        z0_i  = b_i + (1 − g) mean_u s_iu + g Σ_u α_iu s_iu      sight, g = σ(γ)
        v_i   = Σ_u α_iu K f_u                                   label feature (hidden)
        m_i   = ‖_h Σ_j α_h(i,j) (σ(z0_j) − π_j) v_j,h           graph attention over j → i, j ≠ i
        eᵗ_i  = d_i + o_i·m_i / hidden + Σ_{j→i} c_ij (σ(zᵗ_j) − π_j)       company
        zᵗ⁺¹  = in_company(z0, eᵗ, d, ρ)                         ``steps`` times

    Sight knows no edge. ``o`` (a vector a label) and ``c`` (a number an edge) are zero at the
    start, so the head starts as its own no-edges form, and a label without in-edges has no edge
    term at all. ``α_h`` is GAT's attention on this picture's ``v`` with the edges' weights as prior
    (:class:`~gatlabel.nn.heads.picture_attention.PictureAttention`); a neighbour's evidence counts
    by how far it is believed more than usual. Company moves a label that is not seen, and hardly
    one that is (:func:`~gatlabel.nn.heads.company.in_company`).

    **Two losses** (:meth:`training_losses`). Sight learns the labels from the picture as if there
    were no edges: with the same seed its weights are bit for bit those of the no-edges form.
    Company learns to tell every label from the *labels* of its neighbours: the pseudo-likelihood
    of an Ising model ``P(y) ∝ exp(Σ h_i y_i + Σ J_ij y_i y_j)`` over ``y ∈ {0,1}`` (Besag 1975), of
    which ``c`` estimates ``J``. Predictions put beliefs where labels were: mean-field inference.
    One loss on the final logits will not do: on pictures that the encoder knows by heart, sight
    explains all labels, nothing is left to company, and what company does explain is missing in
    sight (``benchmarks/conditioned_couplings.py``).

    The base rates ``π`` and the zero mean of the evidence that they give change the biases only,
    but with them the learning: without, all couplings of a label first learn to lower its logits,
    as its bias should. For the same reason ``b`` and ``d`` start as the log-odds of ``π``.

    Label-specific attended features and a graph over them are from SSGRL (Chen et al., ICCV 2019,
    arXiv:1908.07325) and ADD-GCN (Ye et al., ECCV 2020, arXiv:2012.02994); attention as part of the
    logit from CSRA (arXiv:2108.02456); learning from labels that are known while others are not
    from C-Tran (Lanchantin et al., CVPR 2021, arXiv:2011.14027); the zero start, the two losses and
    company as the second cause of a label are ours. ``o·m`` is a mean over the channels, not a sum
    over their root: end to end the attention, which soon knows the training pictures by heart,
    would outrun ``c``.

    Args:
        in_features: Feature width D.
        graph: The label graph.
        hidden: Total width of the label features over the heads; a multiple of ``heads``.
        heads: Number of attention heads H.
        steps: Number of mean-field iterations; 0 leaves the couplings ``c`` out and takes one.
        dropout: Probability of dropping an attention weight over edges in training.
        base_rates: π, the share of pictures that hold each label, ``(L,)`` in (0, 1); ``None``
            takes it from the graph's counts, and one half for a graph that has none.
        unseen: ρ, above 0 and at most 0.999999: the chance that a label which is there cannot be
            seen. Between 0.35 and 0.95 it hardly matters.

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
        unseen: float = 0.5,
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
        if not 0 < unseen <= MOST_UNSEEN:
            raise InputError(
                f"unseen={unseen} is a probability: above 0, at most {MOST_UNSEEN} (of a label "
                "that is never seen there is nothing to compute in float32)"
            )
        self.hidden, self.heads, self.steps, self.dropout = hidden, heads, steps, dropout
        self.unseen = unseen
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
        self.hearing = Hearing(
            in_features, self.edge_index, self.edge_weight, labels, hidden, heads, dropout
        )
        edges = self.edge_index.shape[1] if steps else 0
        self.coupling = nn.Parameter(torch.zeros(edges))  # c, in units of COUPLING_UNIT
        self.usual = nn.Parameter(self.base_rates.logit().to(self.score.bias.device))  # d
        self._hold_unused()

    @property
    def config(self) -> dict[str, Any]:
        """The options that make a head of the same shape."""
        names = ("hidden", "heads", "steps", "dropout", "unseen")
        return {**super().config, **{name: getattr(self, name) for name in names}}

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """``o``: how far the attention may move a logit.

        Not ``c``: a number an edge is soon learned and hardly overfits, and what holds a matrix
        at an optimiser's step would hold it at zero.
        """
        return [self.hearing.out]

    def linear_parameters(self) -> list[nn.Parameter]:
        """``w`` and ``b``."""
        return list(self.score.parameters())

    def label_bias(self) -> nn.Parameter:
        """The biases ``b (L,)``."""
        return self.score.bias

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges and what was learned for each."""
        super().keep_edges(keep)
        self.hearing.attend.set_edges(self.edge_index, self.edge_weight)
        if self.steps:
            self.coupling = nn.Parameter(self.coupling[keep])
        self._hold_unused()

    def _hold_unused(self) -> None:
        """Without edges no company is computed, and without steps no ``c``: they cannot learn."""
        if not self.edge_index.shape[1]:
            for parameter in self.apart_parameters():
                parameter.requires_grad_(False)
        self.coupling.requires_grad_(self.coupling.requires_grad and self.coupling.numel() > 0)

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
        _, look = self._see(positions)
        values = self.hearing.label_features(positions, look)
        return self.edge_index, self.hearing.attend.weights(values)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(B, D, h, w)`` -> logits ``(B, L)``."""
        positions = self.positions(features)
        sight, look = self._see(positions)
        if not self.edge_index.shape[1]:
            return sight
        heard = self._heard(positions, sight.sigmoid() - self.base_rates, look)
        logits = sight
        for _ in range(max(self.steps, 1)):
            company = self._company(heard, logits.sigmoid() - self.base_rates)
            logits = in_company(sight, company, self.usual, self.unseen)
        return logits

    def sight(self, features: Tensor) -> Tensor:
        """Returns the log-odds by sight, ``z0 (B, L)``."""
        return self._see(self.positions(features))[0]

    def training_losses(
        self, features: Tensor, targets: Tensor, criterion: Criterion
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns the logits by sight and the losses of sight and company; see the class.

        Sight is judged by the criterion. Company is judged by the cross-entropy, whatever the
        criterion, for it must be a probability. Nothing of it reaches sight or the encoder.
        """
        positions = self.positions(features)
        sight, look = self._see(positions)
        losses = (criterion(sight, targets),)
        if not self.edge_index.shape[1]:
            return sight, losses
        known = targets >= 0
        targets = targets if targets.is_floating_point() else targets.to(self.usual.dtype)
        # the labels themselves, and the belief of one that nobody knows
        news = torch.where(known, targets, sight.detach().sigmoid()) - self.base_rates
        heard = self._heard(positions.detach(), news, look.detach())
        each = F.binary_cross_entropy_with_logits(
            self._company(heard, news), targets.clamp(min=0), reduction="none"
        )
        each = torch.where(known, each, 0.0)
        return sight, (*losses, each.sum() / known.sum().clamp(min=1))

    def apart_parameters(self) -> list[nn.Parameter]:
        """What only company learns with."""
        return [*self.hearing.parameters(), self.coupling, self.usual]

    def _heard(self, positions: Tensor, news: Tensor, look: Tensor) -> Tensor:
        """``d_i + o_i·m_i / hidden``, ``(B, L)``."""
        return self.usual + self.hearing(positions, news, look) / self.hidden

    def _company(self, heard: Tensor, news: Tensor) -> Tensor:
        """``e``: what was heard, and the evidence along the edges; ``(B, L)``."""
        return heard + self._evidence(news) if self.steps else heard

    def _see(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Positions ``(B, U, D)`` -> ``z0 (B, L)`` and where labels look, ``(B, L, U)``."""
        scores = self.score(positions).transpose(1, 2)  # the bias rides along: both means keep it
        look = (self.sharpness * scores).softmax(-1)
        mean, attended = scores.mean(-1), (look * scores).sum(-1)
        return mean + self.gate.sigmoid() * (attended - mean), look

    def _evidence(self, news: Tensor) -> Tensor:
        """``Σ_{j→i} c_ij news_j``, ``(B, L)`` -> ``(B, L)``."""
        source, target = self.edge_index[0], self.edge_index[1]
        coupling = COUPLING_UNIT * self.coupling
        news = news.to(coupling.dtype)  # sums over neighbours stay in full precision
        if self.hearing.attend.dense:
            matrix = coupling.new_zeros(self.out_features, self.out_features)
            return news @ matrix.index_put((source, target), coupling)
        return torch.zeros_like(news).index_add(1, target, news[:, source] * coupling)


def _base_rates(graph: LabelGraph) -> Tensor:
    rates = graph.base_rates
    return torch.full((len(graph.names),), 0.5, device="cpu") if rates is None else rates

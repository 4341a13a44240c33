"""The image-conditioned head: what an image shows of a label is evidence for its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.nn.heads.base import MapHead, check_dropout, check_width
from gatlabel.nn.heads.edges import EdgeHead
from gatlabel.nn.heads.messages import Messages
from gatlabel.nn.heads.noisy_or import noisy_or
from gatlabel.nn.heads.protocols import AuxiliaryLosses, Criterion

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

# The couplings are kept in units of 5 logits. A classifier's logit sums D weights and moves by
# about D learning rates in a step; a coupling is one number and would otherwise hardly leave zero
# in a short training (Adam moves every parameter by about the rate, whatever it does).
COUPLING_UNIT = 5.0
# Float32 does not tell larger chances from 1, at which the odds are infinite.
MOST_MISSED = 0.999999


class ConditionedHead(EdgeHead, MapHead, AuxiliaryLosses):
    r"""Unary logits, graph attention per image, and context logits along the edges.

    With positions ``u`` of the map, ``f_u`` the features there::

        s_iu  = w_i·f_u                                          position scores
        α_iu  = softmax_u(τ s_iu)                                attention map of label i
        z0_i  = b_i + (1 − g) mean_u s_iu + g Σ_u α_iu s_iu      unary logits, g = σ(γ)
        v_i   = Σ_u α_iu K f_u                                   label feature (hidden)
        m_i   = ‖_h Σ_j α_h(i,j) (σ(z0_j) − π_j) v_j,h           graph attention over j → i, j ≠ i
        eᵗ_i  = d_i + o_i·m_i / hidden + Σ_{j→i} c_ij (σ(zᵗ_j) − π_j)       context logits
        zᵗ⁺¹  = noisy_or(z0, eᵗ, d, ρ)                           ``steps`` times

    The unary logits use no edge. ``o`` (a vector per label) and ``c`` (a number per edge) are zero
    at the start, so the head starts as its own no-edges form, and a label without in-edges has no
    edge term at all. ``α_h`` is GAT's attention on this image's ``v`` with the edges' weights as
    prior (:class:`~gatlabel.nn.heads.image_attention.ImageAttention`); the evidence of a neighbour
    is its probability less its base rate. The context moves a label that is not seen, and hardly
    one that is (:func:`~gatlabel.nn.heads.noisy_or.noisy_or`).

    **Two losses** (:meth:`forward_losses`). The unary logits learn the labels from the image as if
    there were no edges: with the same seed their weights are bit for bit those of the no-edges
    form. The context logits learn to predict every label from the *labels* of its neighbours: the
    pseudo-likelihood of an Ising model ``P(y) ∝ exp(Σ h_i y_i + Σ J_ij y_i y_j)`` over
    ``y ∈ {0,1}`` (Besag 1975), of which ``c`` estimates ``J``. Prediction puts probabilities in the
    place of labels: mean-field inference. One loss on the final logits fails: on images that the
    encoder has memorised, the unary logits explain all labels and leave nothing to the context,
    and what the context does explain is missing in them
    (``benchmarks/studies/conditioned_couplings.py``).

    The base rates ``π`` and the zero mean of the evidence that they give change the biases only,
    but they help learning: without them, all couplings of a label first learn to lower its logits,
    as its bias should. For the same reason ``b`` and ``d`` start as the log-odds of ``π``.

    Label-specific attended features and a graph over them are from SSGRL (Chen et al., ICCV 2019,
    arXiv:1908.07325) and ADD-GCN (Ye et al., ECCV 2020, arXiv:2012.02994); attention as part of the
    logit from CSRA (arXiv:2108.02456); learning from labels that are known while others are not
    from C-Tran (Lanchantin et al., CVPR 2021, arXiv:2011.14027); the zero start, the two losses and
    the context as the second cause of a label are ours. ``o·m`` is a mean over the channels, not a
    sum over their root: end to end the attention, which soon memorises the training images, would
    outrun ``c``.

    Args:
        in_features: Feature width D.
        graph: The label graph.
        hidden: Total width of the label features over the heads; a multiple of ``heads``.
        heads: Number of attention heads H.
        steps: Number of mean-field iterations; 0 leaves the couplings ``c`` out and takes one.
        dropout: Probability of dropping an attention weight over edges in training.
        base_rates: π, the share of images that hold each label, ``(L,)`` in (0, 1); ``None``
            takes it from the graph's counts, and one half for a graph that has none.
        miss_rate: ρ, above 0 and at most 0.999999: the chance that a label which is there cannot be
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
        miss_rate: float = 0.5,
    ) -> None:
        super().__init__(in_features, graph)
        check_width(hidden, heads)
        check_dropout(dropout)
        if steps < 0:
            raise InputError(f"steps={steps}: the number of iterations is at least 0")
        if not 0 < miss_rate <= MOST_MISSED:
            raise InputError(
                f"miss_rate={miss_rate} is a probability: above 0, at most {MOST_MISSED} (of a "
                "label that is never seen there is nothing to compute in float32)"
            )
        self.hidden, self.heads, self.steps, self.dropout = hidden, heads, steps, dropout
        self.miss_rate = miss_rate
        self.drop_self_loops()  # "self" is in z0
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
        self.messages = Messages(
            in_features, self.edge_index, self.edge_weight, labels, hidden, heads, dropout
        )
        edges = self.edge_index.shape[1] if steps else 0
        self.coupling = nn.Parameter(torch.zeros(edges))  # c, in units of COUPLING_UNIT
        self.prior_logit = nn.Parameter(self.base_rates.logit().to(self.score.bias.device))  # d
        self._freeze_unused()

    @property
    def config(self) -> dict[str, Any]:
        """The options that make a head of the same shape."""
        names = ("hidden", "heads", "steps", "dropout", "miss_rate")
        return {**super().config, **{name: getattr(self, name) for name in names}}

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """``w`` and ``b`` are ``linear``, ``o`` is ``residual``.

        Not ``c``: a number per edge is soon learned and hardly overfits, and a decay that suits a
        matrix would keep it at zero.
        """
        own = {"linear": list(self.score.parameters()), "residual": [self.messages.out]}
        return {**super().param_groups(), **own}

    def label_bias(self) -> nn.Parameter:
        """The biases ``b (L,)``."""
        return self.score.bias

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges and what was learned for each."""
        super().keep_edges(keep)
        self.messages.attend.set_edges(self.edge_index, self.edge_weight)
        if self.steps:
            self.coupling = nn.Parameter(self.coupling[keep])
        self._freeze_unused()

    def _freeze_unused(self) -> None:
        """Without edges no context is computed, and without steps no ``c``: they cannot learn."""
        if not self.edge_index.shape[1]:
            for parameter in self.auxiliary_parameters():
                parameter.requires_grad_(False)
        self.coupling.requires_grad_(self.coupling.requires_grad and self.coupling.numel() > 0)

    def edge_effects(self) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E)`` and ``c (E,)``: the message of a label surely present.

        In logits, and comparable with the couplings of an Ising model over {0, 1}; zeros with
        ``steps=0``.
        """
        if not self.steps:
            return self.edge_index, self.edge_weight.new_zeros(self.edge_index.shape[1])
        return self.edge_index, (COUPLING_UNIT * self.coupling).detach()

    @torch.no_grad()
    def attention_for(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E)`` and each image's attention over them.

        Args:
            features: ``(B, D, h, w)``.

        Returns:
            int64 ``(2, E)`` and ``(B, E, H)``, summing to 1 over the in-edges of each label.
        """
        positions = self.positions(features)
        _, attention_map = self._unary(positions)
        values = self.messages.label_features(positions, attention_map)
        return self.edge_index, self.messages.attend.weights(values)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(B, D, h, w)`` -> logits ``(B, L)``."""
        positions = self.positions(features)
        unary, attention_map = self._unary(positions)
        if not self.edge_index.shape[1]:
            return unary
        received = self._received(positions, unary.sigmoid() - self.base_rates, attention_map)
        logits = unary
        for _ in range(max(self.steps, 1)):
            context = self._context(received, logits.sigmoid() - self.base_rates)
            logits = noisy_or(unary, context, self.prior_logit, self.miss_rate)
        return logits

    def unary_logits(self, features: Tensor) -> Tensor:
        """Returns the logits from the image alone, ``z0 (B, L)``."""
        return self._unary(self.positions(features))[0]

    def forward_losses(
        self, features: Tensor, targets: Tensor, criterion: Criterion
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns the unary logits, their loss and that of the context logits; see the class.

        The criterion judges the unary logits. The cross-entropy judges the context logits, whatever
        the criterion, for they must be a probability. No gradient of theirs reaches the unary
        logits or the encoder.
        """
        positions = self.positions(features)
        unary, attention_map = self._unary(positions)
        losses = (criterion(unary, targets),)
        if not self.edge_index.shape[1]:
            return unary, losses
        known = targets >= 0
        targets = targets if targets.is_floating_point() else targets.to(self.prior_logit.dtype)
        # the labels themselves, and the prediction of an unknown one
        evidence = torch.where(known, targets, unary.detach().sigmoid()) - self.base_rates
        received = self._received(positions.detach(), evidence, attention_map.detach())
        each = F.binary_cross_entropy_with_logits(
            self._context(received, evidence), targets.clamp(min=0), reduction="none"
        )
        each = torch.where(known, each, 0.0)
        return unary, (*losses, each.sum() / known.sum().clamp(min=1))

    def auxiliary_parameters(self) -> list[nn.Parameter]:
        """The parameters of the context logits."""
        return [*self.messages.parameters(), self.coupling, self.prior_logit]

    def _received(self, positions: Tensor, evidence: Tensor, attention_map: Tensor) -> Tensor:
        """``d_i + o_i·m_i / hidden``, ``(B, L)``."""
        return self.prior_logit + self.messages(positions, evidence, attention_map) / self.hidden

    def _context(self, received: Tensor, evidence: Tensor) -> Tensor:
        """``e``: the messages received, and the evidence along the edges; ``(B, L)``."""
        return received + self._coupled(evidence) if self.steps else received

    def _unary(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Positions ``(B, U, D)`` -> ``z0 (B, L)`` and the attention map ``(B, L, U)``."""
        scores = self.score(positions).transpose(1, 2)  # bias included: both means keep it
        attention_map = (self.sharpness * scores).softmax(-1)
        mean, attended = scores.mean(-1), (attention_map * scores).sum(-1)
        return mean + self.gate.sigmoid() * (attended - mean), attention_map

    def _coupled(self, evidence: Tensor) -> Tensor:
        """``Σ_{j→i} c_ij n_j``, ``(B, L)`` -> ``(B, L)``."""
        source, target = self.edge_index[0], self.edge_index[1]
        coupling = COUPLING_UNIT * self.coupling
        evidence = evidence.to(coupling.dtype)  # sums over neighbours stay in full precision
        if self.messages.attend.dense:
            matrix = coupling.new_zeros(self.out_features, self.out_features)
            return evidence @ matrix.index_put((source, target), coupling)
        return torch.zeros_like(evidence).index_add(1, target, evidence[:, source] * coupling)


def _base_rates(graph: LabelGraph) -> Tensor:
    rates = graph.base_rates
    return torch.full((len(graph.names),), 0.5, device="cpu") if rates is None else rates

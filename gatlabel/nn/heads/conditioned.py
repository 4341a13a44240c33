"""The image-conditioned head: labels pass the evidence found in each image to their neighbours."""

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

# The couplings are stored in units of 5 logits. A classifier's logit sums D weights and moves by
# about D learning rates per step. A coupling is a single number and would barely leave zero in a
# short training, as Adam moves every parameter by about the learning rate per step.
COUPLING_UNIT = 5.0
# In float32, larger probabilities round to 1, whose odds are infinite.
MOST_MISSED = 0.999999


class ConditionedHead(EdgeHead, MapHead, AuxiliaryLosses):
    r"""Unary logits, per-image graph attention and context logits along the edges.

    With positions ``u`` of the map, ``f_u`` the features there::

        s_iu  = w_i·f_u                                          position scores
        α_iu  = softmax_u(τ s_iu)                                attention map of label i
        z0_i  = b_i + (1 − g) mean_u s_iu + g Σ_u α_iu s_iu      unary logits, g = σ(γ)
        v_i   = Σ_u α_iu K f_u                                   label feature (hidden)
        m_i   = ‖_h Σ_j α_h(i,j) (σ(z0_j) − π_j) v_j,h           graph attention over j → i, j ≠ i
        eᵗ_i  = d_i + o_i·m_i / hidden + Σ_{j→i} c_ij (σ(zᵗ_j) − π_j)       context logits
        zᵗ⁺¹  = noisy_or(z0, eᵗ, d, ρ)                           ``steps`` times

    The unary logits use no edges. ``o`` (one vector per label) and ``c`` (one number per edge) are
    initialised with zeros, so the untrained head equals its no-edges form, and a label without
    in-edges has no edge term. ``α_h`` is GAT's attention on this image's ``v``, with the edge
    weights as prior (:class:`~gatlabel.nn.heads.image_attention.ImageAttention`). The evidence of
    a neighbour is its probability minus its base rate. Context strongly affects labels with weak
    unary logits and barely changes clear ones (:func:`~gatlabel.nn.heads.noisy_or.noisy_or`).

    **Two losses** (:meth:`forward_losses`). The unary logits learn the labels from the image as if
    there were no edges: with the same seed, their weights equal those of the no-edges form bit for
    bit. The context logits learn to predict every label from the *labels* of its neighbours. This
    is the pseudo-likelihood of an Ising model ``P(y) ∝ exp(Σ h_i y_i + Σ J_ij y_i y_j)`` over
    ``y ∈ {0,1}`` (Besag 1975), in which ``c`` estimates ``J``. Prediction replaces labels by
    probabilities: mean-field inference. A single loss on the final logits fails. On memorised
    images the unary logits explain all labels and leave nothing to the context; what the context
    explains, the unary logits do not learn (``benchmarks/studies/conditioned_couplings.py``).

    The base rates ``π`` centre the evidence. That changes only the biases, but it helps training:
    without it, all couplings of a label first learn to lower its logit, which is the task of its
    bias. For the same reason ``b`` and ``d`` are initialised with the log-odds of ``π``.

    Label-specific attended features and a graph over them are from SSGRL (Chen et al., ICCV 2019,
    arXiv:1908.07325) and ADD-GCN (Ye et al., ECCV 2020, arXiv:2012.02994). Attention within the
    logit is from CSRA (arXiv:2108.02456). Learning from known labels while others are unknown is
    from C-Tran (Lanchantin et al., CVPR 2021, arXiv:2011.14027). The zero initialisation, the two
    losses and the context as a second cause of a label are additions of this package. ``o·m`` is a
    mean over channels, not a sum divided by their root: in end-to-end training, attention soon
    memorises the training images and would otherwise grow faster than ``c``.

    Args:
        in_features: Feature width D.
        graph: The label graph.
        hidden: Total width of the label features over all heads; a multiple of ``heads``.
        heads: Number of attention heads H.
        steps: Number of mean-field iterations; 0 omits the couplings ``c`` and iterates once.
        dropout: Probability of dropping an attention weight over edges in training.
        base_rates: π, the share of images with each label, ``(L,)`` in (0, 1). ``None`` takes it
            from the graph's counts, or 0.5 for a graph without counts.
        miss_rate: ρ, above 0 and at most 0.999999: the probability that a present label cannot be
            seen. Values between 0.35 and 0.95 give nearly the same results.

    Raises:
        InputError: If ``hidden`` is not a multiple of ``heads``, or an option is out of range.

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
            raise InputError(f"steps={steps}: the number of iterations must be at least 0")
        if not 0 < miss_rate <= MOST_MISSED:
            raise InputError(
                f"miss_rate={miss_rate} is a probability: above 0, at most {MOST_MISSED} (float32 "
                "cannot represent the odds beyond that)"
            )
        self.hidden, self.heads, self.steps, self.dropout = hidden, heads, steps, dropout
        self.miss_rate = miss_rate
        self.drop_self_loops()  # z0 covers the label itself
        labels = self.out_features
        rates = _base_rates(graph) if base_rates is None else base_rates.detach().clone()
        if rates.shape != (labels,) or not ((rates > 0) & (rates < 1)).all():
            raise InputError(f"base_rates: expected {labels} values above 0 and below 1")
        # part of the state: a saved model must not depend on the counts
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
        """The options that create a head of the same shape."""
        names = ("hidden", "heads", "steps", "dropout", "miss_rate")
        return {**super().config, **{name: getattr(self, name) for name in names}}

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """``w`` and ``b`` are ``linear``, ``o`` is ``residual``.

        ``c`` is neither: one number per edge is learned quickly and hardly overfits, and a decay
        suited to a matrix would keep it at zero.
        """
        own = {"linear": list(self.score.parameters()), "residual": [self.messages.out]}
        return {**super().param_groups(), **own}

    def label_bias(self) -> nn.Parameter:
        """The biases ``b (L,)``."""
        return self.score.bias

    def keep_edges(self, keep: Tensor) -> None:
        """Removes the other edges together with their learned values."""
        super().keep_edges(keep)
        self.messages.attend.set_edges(self.edge_index, self.edge_weight)
        if self.steps:
            self.coupling = nn.Parameter(self.coupling[keep])
        self._freeze_unused()

    def _freeze_unused(self) -> None:
        """Freezes unused parameters: all of the context without edges, ``c`` without steps."""
        if not self.edge_index.shape[1]:
            for parameter in self.auxiliary_parameters():
                parameter.requires_grad_(False)
        self.coupling.requires_grad_(self.coupling.requires_grad and self.coupling.numel() > 0)

    def edge_effects(self) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E)`` and ``c (E,)``: the message of a certainly present label.

        In logits, and comparable with the couplings of an Ising model over {0, 1}; zeros if
        ``steps=0``.
        """
        if not self.steps:
            return self.edge_index, self.edge_weight.new_zeros(self.edge_index.shape[1])
        return self.edge_index, (COUPLING_UNIT * self.coupling).detach()

    @torch.no_grad()
    def attention_for(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the edges ``(2, E)`` and the attention over them per image.

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
        """Maps ``(B, D, h, w)`` to logits ``(B, L)``."""
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
        """Returns the logits computed from the image alone, ``z0 (B, L)``."""
        return self._unary(self.positions(features))[0]

    def forward_losses(
        self, features: Tensor, targets: Tensor, criterion: Criterion
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Returns the unary logits, their loss and the loss of the context logits; see the class.

        The criterion is applied to the unary logits. The context logits always use cross-entropy,
        as they must be log-odds of a probability. Its gradient does not reach the unary logits or
        the encoder.
        """
        positions = self.positions(features)
        unary, attention_map = self._unary(positions)
        losses = (criterion(unary, targets),)
        if not self.edge_index.shape[1]:
            return unary, losses
        known = targets >= 0
        targets = targets if targets.is_floating_point() else targets.to(self.prior_logit.dtype)
        # known labels as they are, the prediction in place of unknown ones
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
        """Computes ``d_i + o_i·m_i / hidden``, ``(B, L)``."""
        return self.prior_logit + self.messages(positions, evidence, attention_map) / self.hidden

    def _context(self, received: Tensor, evidence: Tensor) -> Tensor:
        """Computes ``e``: the messages received plus the evidence along the edges; ``(B, L)``."""
        return received + self._coupled(evidence) if self.steps else received

    def _unary(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Maps positions ``(B, U, D)`` to ``z0 (B, L)`` and the attention map ``(B, L, U)``."""
        scores = self.score(positions).transpose(1, 2)  # with the bias, which both means preserve
        attention_map = (self.sharpness * scores).softmax(-1)
        mean, attended = scores.mean(-1), (attention_map * scores).sum(-1)
        return mean + self.gate.sigmoid() * (attended - mean), attention_map

    def _coupled(self, evidence: Tensor) -> Tensor:
        """Computes ``Σ_{j→i} c_ij n_j``, ``(B, L)`` -> ``(B, L)``."""
        source, target = self.edge_index[0], self.edge_index[1]
        coupling = COUPLING_UNIT * self.coupling
        evidence = evidence.to(coupling.dtype)  # sums over neighbours need full precision
        if self.messages.attend.dense:
            matrix = coupling.new_zeros(self.out_features, self.out_features)
            return evidence @ matrix.index_put((source, target), coupling)
        return torch.zeros_like(evidence).index_add(1, target, evidence[:, source] * coupling)


def _base_rates(graph: LabelGraph) -> Tensor:
    rates = graph.base_rates
    return torch.full((len(graph.names),), 0.5, device="cpu") if rates is None else rates

"""Class-specific residual attention: labels attend to the positions where their score is high."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.nn.heads.base import MapHead, given_labels

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph

# Temperatures by number of heads as in the paper; the last of each takes the maximum.
TEMPERATURES: dict[int, tuple[float, ...]] = {
    1: (1.0,),
    2: (1.0, math.inf),
    4: (1.0, 2.0, 4.0, math.inf),
    6: (1.0, 2.0, 3.0, 4.0, 5.0, math.inf),
    8: (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, math.inf),
}


class CSRAHead(MapHead):
    r"""``logit_i = Σ_h [mean_u s_iu + λ Σ_u softmax_u(T_h s_iu) s_iu] + b_i``, ``s_iu = w_ih·f_u``.

    Zhu & Wu, *Residual Attention: A Simple but Effective Method for Multi-Label Recognition*,
    ICCV 2021, arXiv:2108.02456, eq. 2-6 and section 3.4. Each head has its own classifiers and
    temperature; ``T = ∞`` takes the largest score. The bias is an addition. The paper's code
    divides ``s`` by ``‖w_ih‖``, as ``normalize`` does. ``λ = 0`` gives a linear head on averages.

    Args:
        in_features: Feature width D.
        labels: Number of labels L, or their names.
        graph: A label graph that provides the labels instead; its edges are not used.
        heads: Number of heads H; with 1, 2, 4, 6 or 8 the paper's temperatures are the default.
        temperatures: One per head, above 0, ``math.inf`` (or the text ``"inf"``) for the maximum.
        lam: λ, the weight of the attended score (0.1 to 0.4 in the paper); 0 is average pooling.
        normalize: Divide each score by the length of its classifier.
        bias: Whether labels have a learned bias.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given, a temperature is not
            above 0, or their number differs from ``heads``.

    Shapes:
        features ``(B, D, h, w)`` -> logits ``(B, L)``.
    """

    kind = "csra"

    def __init__(
        self,
        in_features: int,
        labels: int | Sequence[str] | None = None,
        *,
        graph: LabelGraph | None = None,
        heads: int = 1,
        temperatures: Sequence[float | str] | None = None,
        lam: float = 0.1,
        normalize: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__(in_features, given_labels("CSRAHead", labels, graph))
        if temperatures is None:
            if heads not in TEMPERATURES:
                known = ", ".join(map(str, TEMPERATURES))
                raise InputError(f"heads={heads}: give temperatures=…, or one of heads={known}")
            temperatures = TEMPERATURES[heads]
        self.temperatures = tuple(float(t) for t in temperatures)
        if len(self.temperatures) != heads or not all(t > 0 for t in self.temperatures):
            raise InputError(
                f"temperatures={list(temperatures)}: expected {heads} values above 0, one per head"
            )
        if lam < 0:
            raise InputError(f"lam={lam}: the weight of the attended score must be at least 0")
        self.heads, self.lam, self.normalize = heads, lam, normalize
        own = [nn.Linear(in_features, self.out_features, bias=bias) for _ in range(heads)]
        self.weight = nn.Parameter(torch.stack([linear.weight.detach() for linear in own]))
        self.bias = own[0].bias

    @property
    def config(self) -> dict[str, Any]:
        """The options that create a head of the same shape."""
        # JSON has no infinity
        temperatures = ["inf" if math.isinf(t) else t for t in self.temperatures]
        return {
            **super().config,
            "heads": self.heads,
            "temperatures": temperatures,
            "lam": self.lam,
            "normalize": self.normalize,
            "bias": self.bias is not None,
        }

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters are ``linear``: classifiers whose scores are averaged in two ways."""
        return {**super().param_groups(), "linear": list(self.parameters())}

    def forward(self, features: Tensor) -> Tensor:
        """Maps ``(B, D, h, w)`` to logits ``(B, L)``."""
        weight: Tensor = self.weight
        if self.normalize:
            weight = nn.functional.normalize(weight, dim=2)
        scores = nn.functional.linear(self.positions(features), weight.flatten(0, 1))
        by_head = scores.transpose(1, 2).unflatten(1, (self.heads, -1))  # (B, H, L, h·w)
        logits = self.lam * self._attended(by_head) + by_head.mean(3).sum(1)
        return logits if self.bias is None else logits + self.bias

    def _attended(self, scores: Tensor) -> Tensor:
        parts = []
        for head, temperature in enumerate(self.temperatures):
            own = scores[:, head]
            if math.isinf(temperature):
                parts.append(own.amax(2))
            else:
                parts.append(((temperature * own).softmax(2) * own).sum(2))
        return torch.stack(parts).sum(0)

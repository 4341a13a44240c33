"""What each label of an image receives from its neighbours, by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatlabel.nn.heads.image_attention import ImageAttention

# Images that share one folding of the projection: a number, for a batch cannot be branched on
# where the head is exported.
FOLDED_FOR = 16


class Messages(nn.Module):
    r"""``o_i·m_i`` with ``m_i = ‖_h Σ_j α_h(i,j) n_j v_j,h`` and ``v_i = Σ_u α_iu K f_u``.

    Everything from the map to the scores and to ``o_i·v_j`` is linear, so it can be multiplied in
    several orders; the one with the fewest operations is taken.

    Args:
        in_features: Width D of the positions.
        edge_index: int64 ``(2, E)``, sources above targets.
        prior: Weights of the edges, ``(E,)``.
        labels: L.
        hidden: Total width of the label features over the heads.
        heads: Number of attention heads H.
        dropout: Probability of dropping an attention weight in training.

    Shapes:
        positions ``(B, U, D)``, evidence ``n (B, L)``, attention map ``(B, L, U)`` -> ``(B, L)``.
    """

    def __init__(
        self, in_features: int, edge_index: Tensor, prior: Tensor, labels: int, hidden: int,
        heads: int, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_features, self.labels, self.hidden, self.heads = in_features, labels, hidden, heads
        self.project = nn.Linear(in_features, hidden, bias=False)  # K
        self.attend = ImageAttention(edge_index, prior, labels, hidden, heads, dropout)
        self.out = nn.Parameter(torch.zeros(labels, hidden))  # o

    def label_features(self, positions: Tensor, attention_map: Tensor | None) -> Tensor:
        """Returns ``v (B, L, hidden)``, by the order with fewer operations."""
        if attention_map is None:
            return self.project(positions)
        places, labels = positions.shape[1], self.labels
        project_first = places * self.hidden * (self.in_features + labels)
        attend_first = labels * self.in_features * (places + self.hidden)
        if project_first < attend_first:
            return attention_map @ self.project(positions)
        return self.project(attention_map @ positions)

    def forward(
        self, positions: Tensor, evidence: Tensor, attention_map: Tensor | None = None
    ) -> Tensor:
        """Returns ``o_i·m_i``, ``(B, L)``.

        Args:
            positions: ``(B, U, D)``.
            evidence: What is known of each label beyond its base rate, ``(B, L)``.
            attention_map: ``α (B, L, U)``; ``None``: position i is label i's own feature.
        """
        if not self.attend.dense:
            values = self.label_features(positions, attention_map)
            return self.attend(values, evidence, self.out)
        columns = self.attend.columns(self.out)  # (H, hidden / H, L + 2)
        fold, attend_first = self._order(positions.shape[1], attention_map is not None)
        x = positions if attention_map is None or not attend_first else attention_map @ positions
        if fold:
            by_head = self.project.weight.unflatten(0, (self.heads, -1)).transpose(1, 2)
            folded = torch.bmm(by_head, columns).transpose(0, 1)  # (D, H, L + 2)
            x = x @ folded.flatten(1)
        else:
            x = self.attend.products(self.project(x), columns).flatten(2)
        x = x if attention_map is None or attend_first else attention_map @ x
        return self.attend.from_products(x.unflatten(2, (self.heads, -1)), evidence)

    def _order(self, places: int, mapped: bool) -> tuple[bool, bool]:
        """Whether to fold the projection into the columns, and whether to attend first."""
        labels, width, hidden = self.labels, self.in_features, self.hidden
        many = self.heads * (labels + 2)
        orders: dict[tuple[bool, bool], int] = {}
        for fold in (False, True):
            for attend_first in (False, True) if mapped else (True,):
                rows = labels if attend_first else places
                cost = rows * (width * many if fold else width * hidden + hidden * (labels + 2))
                cost += hidden * width * (labels + 2) // FOLDED_FOR if fold else 0
                cost += labels * places * (width if attend_first else many) if mapped else 0
                orders[fold, attend_first] = cost
        return min(orders, key=lambda order: orders[order])

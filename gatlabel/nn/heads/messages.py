"""Messages that each label receives from its neighbours in one image, weighted by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatlabel.nn.heads.image_attention import ImageAttention

# Number of images that share one folding of the projection. It is a constant because exported code
# cannot branch on the batch size.
FOLDED_FOR = 16


class Messages(nn.Module):
    r"""``o_i·m_i`` with ``m_i = ‖_h Σ_j α_h(i,j) n_j v_j,h`` and ``v_i = Σ_u α_iu K f_u``.

    All steps from the map to the scores and to ``o_i·v_j`` are linear and can be multiplied in
    several orders. The order with the fewest operations is used.

    Args:
        in_features: Width D of the positions.
        edge_index: int64 ``(2, E)``, row 0 sources, row 1 targets.
        prior: Weights of the edges, ``(E,)``.
        labels: Number of labels L.
        hidden: Total width of the label features over all heads.
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
        """Returns ``v (B, L, hidden)``, in the order with fewer operations."""
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
            evidence: Probability minus base rate of each label, ``(B, L)``.
            attention_map: ``α (B, L, U)``. With ``None``, position i is label i's own feature.
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

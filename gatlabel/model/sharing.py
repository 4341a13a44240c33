"""Soft sharing between tasks: modules between the shared features and the heads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

WIDTH = 64  # bottleneck width of adapters


class NoAdapters(nn.Module):
    """Hard sharing: all heads take the same features.

    Args:
        tasks: Number of tasks K.
        features: Feature width D; not used.
    """

    def __init__(self, tasks: int, features: int) -> None:
        super().__init__()
        self.tasks = tasks

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Features ``(B, D)`` -> the same features K times."""
        return (features,) * self.tasks


class TaskAdapters(nn.Module):
    r"""A residual bottleneck for each task (Houlsby et al., ICML 2019, arXiv:1902.00751, fig. 2).

    .. math:: x_k = f + W_k^{up} \operatorname{GELU}(W_k^{down} \operatorname{LayerNorm}(f))

    The last layer is initialised with 0, so all tasks start with the shared features.

    Args:
        tasks: Number of tasks K.
        features: Feature width D.
    """

    def __init__(self, tasks: int, features: int) -> None:
        super().__init__()
        width = min(WIDTH, features)
        self.adapters = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(features),
                nn.Linear(features, width),
                nn.GELU(),
                nn.Linear(width, features),
            )
            for _ in range(tasks)
        )
        for adapter in self.adapters:
            nn.init.zeros_(adapter[-1].weight)  # type: ignore[index]
            nn.init.zeros_(adapter[-1].bias)  # type: ignore[index]

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Features ``(B, D)`` -> K features ``(B, D)``."""
        return tuple(features + adapter(features) for adapter in self.adapters)


class CrossStitch(nn.Module):
    r"""Adapters of tasks whose outputs are mixed (Misra et al., CVPR 2016, eq. 1).

    .. math:: \tilde x_k = \sum_j \alpha_{kj} x_j

    with the features :math:`x_j` of :class:`TaskAdapters` and a learned matrix, initialised with
    0.9 on its diagonal and rows that sum to 1.

    Args:
        tasks: Number of tasks K.
        features: Feature width D.
    """

    def __init__(self, tasks: int, features: int) -> None:
        super().__init__()
        self.adapters = TaskAdapters(tasks, features)
        others = 0.1 / max(tasks - 1, 1)
        start = torch.full((tasks, tasks), others)
        start.fill_diagonal_(0.9 if tasks > 1 else 1.0)
        self.mixing = nn.Parameter(start)

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Features ``(B, D)`` -> K features ``(B, D)``."""
        own = torch.stack(self.adapters(features))  # (K, B, D)
        return tuple(torch.einsum("kj,jbd->kbd", self.mixing.to(own.dtype), own))


#: Modules between shared features and heads, by name; called with the number of tasks K and D.
ADAPTERS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": NoAdapters,
    "adapter": TaskAdapters,
    "cross_stitch": CrossStitch,
}

"""Pooling of feature maps to one vector per image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError


def with_positions(features: Tensor) -> Tensor:
    """Returns a feature map ``(B, D, h, w)`` unchanged after a check.

    Raises:
        InputError: If it has no positions: mean, maximum and attention would be undefined.
    """
    if not features.shape[2] or not features.shape[3]:
        raise InputError(
            f"the feature map {tuple(features.shape)} has no positions: the images are too small "
            "for the encoder; use larger ones"
        )
    return features


class AveragePool(nn.Module):
    """The mean over positions: an object counts in proportion to its area.

    Shapes:
        - map: ``(B, D, h, w)``
        - output: ``(B, D)``
    """

    def forward(self, features: Tensor) -> Tensor:
        """Pools a map ``(B, D, h, w)`` to ``(B, D)``."""
        return with_positions(features).mean((2, 3))


class MaxPool(nn.Module):
    """The maximum over positions: a small object counts as much as a large one (ML-GCN).

    Shapes:
        - map: ``(B, D, h, w)``
        - output: ``(B, D)``
    """

    def forward(self, features: Tensor) -> Tensor:
        """Pools a map ``(B, D, h, w)`` to ``(B, D)``."""
        return with_positions(features).amax((2, 3))


class GeMPool(nn.Module):
    r"""The generalised mean over positions (Radenović et al., TPAMI 2019, arXiv 1711.02512).

    .. math:: \left(\frac{1}{hw} \sum_u \max(x_u, \epsilon)^p\right)^{1/p}

    ``p = 1`` is the average of the positive values, ``p → ∞`` the maximum. It is computed relative
    to the maximum of each channel, so that powers do not overflow, not even in half precision.

    Args:
        p: Initial exponent, above 0.
        learnable: Whether p is a parameter.
        eps: Lower bound of the values, as the power needs a positive base.

    Shapes:
        - map: ``(B, D, h, w)``
        - output: ``(B, D)``

    Raises:
        InputError: If p or eps is not above 0.
    """

    p: Tensor

    def __init__(self, p: float = 3.0, learnable: bool = True, eps: float = 1e-6) -> None:
        super().__init__()
        if not (p > 0 and eps > 0):
            raise InputError(f"GeM pooling needs p and eps above 0, got p={p} and eps={eps}")
        self.eps = eps
        if learnable:
            self.p = nn.Parameter(torch.tensor(float(p)))
        else:
            self.register_buffer("p", torch.tensor(float(p)))

    def forward(self, features: Tensor) -> Tensor:
        """Pools a map ``(B, D, h, w)`` to ``(B, D)``."""
        x = with_positions(features).clamp(min=self.eps)
        largest = x.amax((2, 3), keepdim=True).detach()
        mean = (x / largest).pow(self.p).mean((2, 3))
        return largest.flatten(1) * mean.pow(1 / self.p)

    def extra_repr(self) -> str:
        """Shows the current exponent."""
        return f"p={float(self.p):.3g}, learnable={isinstance(self.p, nn.Parameter)}"


class StagePool(nn.Module):
    r"""Pools the feature maps of several stages, normalises their scale and concatenates them.

    Each pooled vector is divided by its root mean square over channels. Stages differ in scale,
    while the weight penalty and the learning rate are the same for all of them.

    Args:
        pooling: Name of a pooling; each stage has its own module.
        stages: Number of stages S.

    Shapes:
        - maps: S of ``(B, D_s, h_s, w_s)``
        - output: ``(B, D_1 + … + D_S)``
    """

    def __init__(self, pooling: str, stages: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(POOLINGS[pooling]() for _ in range(stages))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Pools maps ``(B, D_s, h_s, w_s)`` to ``(B, sum of D_s)``."""
        return torch.cat([scaled_stage(each) for each in self.unscaled(maps)], dim=1)

    def unscaled(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Pools maps ``(B, D_s, h_s, w_s)`` to one ``(B, D_s)`` each, without scaling."""
        return [pool(each) for pool, each in zip(self.pools, maps, strict=True)]


def scaled_stage(pooled: Tensor) -> Tensor:
    """Divides the vectors ``(B, D)`` of a stage by their root mean squares."""
    return (pooled.float() * stage_scale(pooled)).to(pooled.dtype)


def stage_scale(pooled: Tensor) -> Tensor:
    """Returns one over the root mean square ``(B, 1)`` of the vectors ``(B, D)`` of a stage."""
    values = pooled.float()  # squares overflow half precision
    return (values.square().mean(1, keepdim=True) + 1e-6).rsqrt()


POOLINGS: dict[str, Callable[[], nn.Module]] = {
    "average": AveragePool,
    "max": MaxPool,
    "gem": GeMPool,
}

"""How unsure classifiers are: the variance of a label's logit for an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from gatlabel.baselines.moments import Moments

#: λ of the prior covariance, in units of the features' mean square.
PENALTY = 30.0


@dataclass(frozen=True, eq=False)
class LogitVariance:
    r"""Laplace's approximation of the classifiers' uncertainty, ``v_nj = h_n u_j``.

    With the inverse covariance ``k p (1 − p) (S + λ I)`` of a classifier that was learned from k
    images of rate p, ``u_j = 1 / (k_j p_j (1 − p_j))``, and ``h_n = (x_n − μ)ᵀ (S + λ I)⁻¹
    (x_n − μ) + 1`` is large for images unlike those of training. To first order, an answer is worth
    ``½ v p (1 − p)`` nats about the classifier (MacKay, *Neural Computation* 4, 1992).

    Attributes:
        images: h ``(N,)``, float32.
        labels: u ``(L,)``, float32.
        inputs: ``(N, D)`` and
        shrunk: ``(N, r)``, float32, so that ``inputs inputsᵀ − shrunk shrunkᵀ + 1`` has the
            diagonal h; none where only the variance is known.
    """

    images: Tensor
    labels: Tensor
    inputs: Tensor | None = None
    shrunk: Tensor | None = None

    @classmethod
    @torch.no_grad()
    def of(cls, features: Tensor, moments: Moments, known: Tensor, rates: Tensor) -> Self:
        """Takes the variance of what the classifiers have learned from.

        Args:
            features: ``(N, D)`` of the images.
            moments: Mean and covariance of the training images' features.
            known: k ``(L,)``, images in which each label was known, those with answers too.
            rates: p ``(L,)``, in (0, 1).
        """
        penalty = PENALTY * moments.mean_square
        inputs = (features.float() - moments.mean.float()) / penalty**0.5
        share = (moments.variance / (moments.variance + penalty)).sqrt()
        shrunk = inputs @ (moments.basis * share[:, None]).float().T
        leverage = inputs.square().sum(1) - shrunk.square().sum(1) + 1.0
        labels = (1 / strength(known, rates)).float()
        return cls(leverage.clamp(min=0), labels, inputs, shrunk)

    def between(self, rows: Tensor) -> Tensor:
        """Returns the covariance of the logits of images ``(m, m)``, for ``u = 1``.

        Args:
            rows: Positions of m images.
        """
        assert self.inputs is not None
        assert self.shrunk is not None
        x, part = self.inputs[rows], self.shrunk[rows]
        return x @ x.T - part @ part.T + 1.0


def strength(known: Tensor, rates: Tensor) -> Tensor:
    """Returns ``k p (1 − p)``, at least 1: how much a classifier has learned from, ``(L,)``."""
    return (known.double() * rates.double() * (1 - rates.double())).clamp(min=1.0)

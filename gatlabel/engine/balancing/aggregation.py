"""Balancers that combine the gradients of the tasks at the shared features, with torchjd."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from gatlabel.engine.balancing.base import Balancer
from gatlabel.engine.balancing.solvers import SOLVERS, surgery_weights
from gatlabel.errors import InputError, require_extra

#: By method: the class of torchjd that computes weights ``(K,)`` from a Gramian ``(K, K)``.
CLASSES = {
    "upgrad": "UPGradWeighting",
    "mgda": "MGDAWeighting",
    "pcgrad": "PCGradWeighting",
    "cagrad": "CAGradWeighting",
    "gradvac": "GradVacWeighting",
    "aligned": "AlignedMTLWeighting",
    "imtlg": "IMTLGWeighting",
    "dualproj": "DualProjWeighting",
    "fairgrad": "FairGradWeighting",
}
#: Required arguments of torchjd's classes.
ARGUMENTS: dict[str, dict[str, Any]] = {"cagrad": {"c": 0.5}, "fairgrad": {"alpha": 1.0}}
#: Rate at which the target similarities of pairs of tasks follow their gradients; PCGrad's are 0.
DECAYS = {"pcgrad": 0.0, "gradvac": 0.5}
#: Loss scale for gradients in half precision, so that small ones do not underflow.
SCALE = 4096.0


def feature_gradients(values: Tensor, features: Tensor) -> Tensor:
    """Returns the gradients of P losses ``(P,)`` at shared features: float32 ``(P, features)``."""
    scale = SCALE if features.dtype == torch.float16 else 1.0
    rows = []
    for value in values:
        (row,) = torch.autograd.grad(
            value * scale, features, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(row.flatten().float() / scale)
    return torch.stack(rows)


class _Split(torch.autograd.Function):
    """Returns K views of the features; the backward pass combines their gradients to one."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, combine: Callable[..., Tensor], tasks: int
    ) -> tuple[Tensor, ...]:
        """Returns K views."""
        ctx.combine = combine
        return tuple(features.view_as(features) for _ in range(tasks))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Combines the gradients of all tasks."""
        return ctx.combine(gradients), None, None


class _Scaled(torch.autograd.Function):
    """The identity; in the backward pass, it passes the factor of the loss to a function."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, receive: Callable[[Tensor], None]) -> Tensor:
        """Returns the loss."""
        ctx.receive = receive
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Passes on the factor, which comes from gradient scaling and accumulation."""
        ctx.receive(gradient)
        return gradient, None


class Aggregation(Balancer):
    """Jacobian descent on the shared features (Quinton and Rey 2024; Sener and Koltun 2018).

    Heads are trained on the plain sum of the losses. The gradient for the encoder is ``w @ J``,
    with the Jacobian J of the losses at the features, ``(P, features)``, and weights w computed
    from its Gramian. The Gramian is summed over several processes, so that all use equal weights.

    If the heads use the features returned by :meth:`share`, a single backward pass suffices: the
    gradients of the tasks are combined at the shared features. Otherwise they are computed before,
    with one backward pass per head.

    Args:
        tasks: Names of the K tasks.
        method: A key of :data:`CLASSES`.

    Raises:
        InputError: If there is no such method, or the extra ``balancing`` is missing.
    """

    needs_features = True
    similarity: Tensor
    weighting: Any

    def __init__(self, tasks: Sequence[str], method: str = "upgrad") -> None:
        super().__init__(tasks)
        self.method = method
        require_extra("torchjd", "balancing")
        from torchjd import aggregation

        try:
            weighting = getattr(aggregation, CLASSES[method])(**ARGUMENTS.get(method, {}))
        except ImportError as error:
            raise InputError(
                f"balancer {method} needs a solver ({error}): pip install 'gatlabel[balancing]'"
            ) from error
        self.weighting = weighting
        size = len(self.tasks) if method in DECAYS else 0
        self.register_buffer("similarity", torch.zeros(size, size))
        self._split: Tensor | None = None  # the features last passed to `share`
        self._which = torch.arange(len(self.tasks))
        self._scale = torch.ones(())

    def share(self, features: Tensor, own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Returns the features for each task, whose gradients are combined in the backward pass.

        With adapters in between, the gradients of the tasks cannot be separated; the features are
        then returned unchanged.
        """
        if not features.requires_grad or any(each is not features for each in own.values()):
            return own
        self._split = features
        each = _Split.apply(features, self._combined, len(self.tasks))
        return dict(zip(self.tasks, each, strict=True))

    def _combined(self, gradients: Sequence[Tensor]) -> Tensor:
        """Returns the gradient at the features from those of all K tasks."""
        present = [gradients[row] for row in self._which.tolist()]
        jacobian = torch.stack(present).flatten(1).float()
        weights = self._weights(jacobian @ jacobian.T / self._scale.float() ** 2, self._which)
        self.weights[self._which] = weights
        return (weights @ jacobian).reshape(gradients[0].shape).to(gradients[0].dtype)

    def _scaled_by(self, scale: Tensor) -> None:
        self._scale = scale

    def balance(self, values: Tensor, which: Tensor, features: Tensor | None) -> Tensor:
        """Returns the sum of the losses, with the combined gradient at the features.

        The gradient of the sum is ``sum_k g_k``; a term that is linear in the features adds
        ``sum_k (w_k - 1) g_k``. The value is the plain sum.
        """
        assert features is not None
        if features is self._split:
            self._split, self._which = None, which
            scaled: Tensor = _Scaled.apply(values.sum(), self._scaled_by)
            return scaled
        gradients = feature_gradients(values, features)
        with torch.no_grad():
            weights = self._weights(self.total(gradients @ gradients.T), which)
            self.weights[which] = weights
            correction = ((weights - 1) @ gradients).reshape(features.shape)
        term = (features.float() * correction).sum()
        return values.sum() + term - term.detach()

    def _weights(self, gramian: Tensor, which: Tensor) -> Tensor:
        """Returns weights ``(P,)`` for a Gramian ``(P, P)``; all 1 if it is 0 or not finite."""
        # one copy from the device; a few tasks are fastest in Python numbers
        rows: list[list[float]] = gramian.tolist()
        sound = all(isfinite(value) for row in rows for value in row)
        if len(rows) == 1 or not sound or min(row[k] for k, row in enumerate(rows)) <= 0:
            # a loss is at its minimum, or not finite; the guard handles the latter
            return torch.ones_like(gramian[0])
        solver = SOLVERS.get(self.method)
        found = self._surgery(gramian, rows, which) if solver is None else solver(rows)
        if found is None:
            found = self.weighting(gramian.cpu()).tolist()
        return torch.tensor(found, dtype=gramian.dtype, device=gramian.device)

    def _surgery(self, gramian: Tensor, rows: list[list[float]], which: Tensor) -> list[float]:
        """Computes weights of PCGrad or GradVac, and updates the targets of the present tasks."""
        # a sum over the processes, so that the random order is the same in all
        orders = self.total(torch.rand_like(gramian)).argsort(1).tolist()
        stored, present = self.similarity.tolist(), which.tolist()
        targets = [[stored[i][j] for j in present] for i in present]
        weights = surgery_weights(rows, orders, targets, DECAYS[self.method])
        for i, row in zip(present, targets, strict=True):
            for j, target in zip(present, row, strict=True):
                stored[i][j] = target
        self.similarity.copy_(torch.tensor(stored))
        return weights


#: The balancers by aggregation method.
AGGREGATIONS: dict[str, Callable[..., Balancer]] = {
    name: partial(Aggregation, method=name) for name in CLASSES
}

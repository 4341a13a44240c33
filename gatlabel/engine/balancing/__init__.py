"""Balancing of the losses of several tasks that share an encoder.

Tasks differ in the size of their losses, and their gradients at the shared features may conflict. A
balancer combines the losses of one batch to the loss for backpropagation:

- ``equal`` and ``fixed`` use constant weights. Tuned weights are hard to beat (Kurin et al., "In
    Defense of the Unitary Scalarization", NeurIPS 2022) and are the baseline for the others.
- ``uncertainty``, ``dwa``, ``famo`` and ``gradnorm`` learn or compute one weight per task.
- the rest (``upgrad``, ``mgda``, ``pcgrad``, …) combine the tasks' gradients at the shared features
  (the upper bound of Sener and Koltun, NeurIPS 2018): one backward pass through the encoder.

A task without a target in the batch is omitted before anything is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.engine.balancing.aggregation import Aggregation
    from gatlabel.engine.balancing.base import Balancer
    from gatlabel.engine.balancing.famo import Famo
    from gatlabel.engine.balancing.gradnorm import GradNorm
    from gatlabel.engine.balancing.table import BALANCERS, create_balancer
    from gatlabel.engine.balancing.weights import AveragedRates, FixedWeights, Uncertainty
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "BALANCERS",
    "Aggregation",
    "AveragedRates",
    "Balancer",
    "Famo",
    "FixedWeights",
    "GradNorm",
    "Uncertainty",
    "create_balancer",
]

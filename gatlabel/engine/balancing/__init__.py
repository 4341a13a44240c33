"""Balancing of the losses of several tasks that share an encoder.

Tasks differ in the size of their losses and may pull the shared features in different directions.
A balancer turns the losses of one batch into the one loss that is sent back:

- ``equal`` and ``fixed`` weigh by constants. With tuned weights this is hard to beat (Kurin et al.,
  "In Defense of the Unitary Scalarization", NeurIPS 2022); compare everything else with it.
- ``uncertainty``, ``dwa``, ``famo`` and ``gradnorm`` learn or compute one weight per task.
- the rest (``upgrad``, ``mgda``, ``pcgrad``, …) combine the tasks' gradients at the shared features
  (the upper bound of Sener and Koltun, NeurIPS 2018): one backward pass through the encoder.

A task without a target in the batch is left out before anything is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gatlabel.engine.balancing.aggregation import AGGREGATIONS, Aggregation
from gatlabel.engine.balancing.base import Balancer
from gatlabel.engine.balancing.famo import Famo
from gatlabel.engine.balancing.gradnorm import GradNorm
from gatlabel.engine.balancing.weights import AveragedRates, FixedWeights, Uncertainty
from gatlabel.errors import unknown_choice

#: Every balancer by its name; called with the names of the tasks and the options.
BALANCERS: dict[str, Callable[..., Balancer]] = {
    "equal": FixedWeights,
    "fixed": FixedWeights,
    "uncertainty": Uncertainty,
    "dwa": AveragedRates,
    "famo": Famo,
    "gradnorm": GradNorm,
    **AGGREGATIONS,
}


def create_balancer(name: str, tasks: Sequence[str], **options: Any) -> Balancer:
    """Returns a balancer by its name.

    Args:
        name: A key of :data:`BALANCERS`.
        tasks: Names of the K tasks.
        options: Those of the balancer's class.

    Raises:
        InputError: If there is no such balancer, or an extra is missing.
    """
    if name not in BALANCERS:
        raise unknown_choice("balancer", name, BALANCERS)
    return BALANCERS[name](tasks, **options)


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

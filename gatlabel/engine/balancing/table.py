"""The balancers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gatlabel.engine.balancing.aggregation import AGGREGATIONS
from gatlabel.engine.balancing.base import Balancer
from gatlabel.engine.balancing.famo import Famo
from gatlabel.engine.balancing.gradnorm import GradNorm
from gatlabel.engine.balancing.weights import AveragedRates, FixedWeights, Uncertainty
from gatlabel.errors import unknown_choice

#: The balancers by name; arguments are the names of the tasks and the options.
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
    """Creates a balancer by name.

    Args:
        name: A key of :data:`BALANCERS`.
        tasks: Names of the K tasks.
        options: Options of the balancer's class.

    Raises:
        InputError: If there is no such balancer, or an extra is missing.
    """
    if name not in BALANCERS:
        raise unknown_choice("balancer", name, BALANCERS)
    return BALANCERS[name](tasks, **options)

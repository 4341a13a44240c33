"""The specification of a fit, except for the optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class FitSpec:
    """Duration, device, safeguards and output of a fit.

    Attributes:
        epochs: Passes over the training batches.
        seed: Seed of dropout and stochastic depth.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        amp: Mixed precision: ``auto`` (on CUDA), ``on`` or ``off``.
        compile: Whether encoders are compiled (``torch.compile``).
        on_nan: ``stop`` or ``skip`` for a batch whose loss or gradient is not finite.
        patience: Epochs without a better validation score after which training stops; 0 for never.
        keep: Whether the final weights are those of the last or of the best epoch.
        residual_decay: Weight decay of the group ``residual`` in ``Head.param_groups``.
        progress: Whether a progress bar is shown.
    """

    epochs: int
    seed: int = 0
    device: str = "auto"
    amp: Literal["auto", "on", "off"] = "auto"
    compile: bool = False
    on_nan: Literal["stop", "skip"] = "stop"
    patience: int = 0
    keep: Literal["last", "best"] = "last"
    residual_decay: float = 0.1
    progress: bool = False

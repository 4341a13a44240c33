"""Which parts of an encoder are trained, and at which learning rates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from gatlabel.encoders.encoder import Encoder

QUARTERS = 4  # parts of an encoder with separate learning rates


def freeze(module: nn.Module) -> None:
    """Freezes an encoder or a part of one.

    Its parameters get no gradients. Its batch norms use their running statistics without updating
    them, also after ``train()``, if the module is an :class:`Encoder` or inside one.
    """
    module.requires_grad_(False)
    module.frozen = True  # type: ignore[assignment]
    module.eval()


def unfreeze(module: nn.Module) -> None:
    """Unfreezes an encoder, or a part of one, with all its submodules."""
    module.requires_grad_(True)
    for part in module.modules():
        if getattr(part, "frozen", False):
            part.frozen = False  # type: ignore[assignment]


def parameter_groups(
    model: nn.Module,
    lr: float,
    *,
    encoder_lr_scale: float = 0.1,
    depth_decay: float = 1.0,
    weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Sorts trainable parameters into groups for an optimiser.

    Args:
        model: A network with at most one :class:`Encoder` inside.
        lr: The learning rate outside the encoder.
        encoder_lr_scale: The encoder's learning rate as a share of ``lr`` (ML-GCN has 0.1).
        depth_decay: Learning rate of each quarter of the encoder's layers relative to the next
            quarter (Howard & Ruder, ACL 2018, arXiv:1801.06146, "discriminative fine-tuning"),
            above 0; 1 gives one rate. The last quarter has ``lr * encoder_lr_scale``.
        weight_decay: Applied to weights of two or more axes; biases and norms have none.

    Returns:
        Groups with ``name``, ``params``, ``lr`` and ``weight_decay``; empty ones are omitted.
    """
    encoders = [part for part in model.modules() if isinstance(part, Encoder)]
    quarters = {
        id(p): quarter for encoder in encoders for p, quarter in _quarters(encoder, depth_decay)
    }
    groups: dict[str, dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        quarter = quarters.get(id(parameter))
        part = {None: "head", QUARTERS: "encoder"}.get(quarter, f"encoder, quarter {quarter}")
        decays = parameter.ndim > 1
        name = part if decays else f"{part}, no decay"
        group = groups.setdefault(
            name,
            {
                "name": name,
                "params": [],
                "lr": lr
                if quarter is None
                else lr * encoder_lr_scale * depth_decay ** (QUARTERS - quarter),
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def _quarters(encoder: Encoder, decay: float) -> Iterator[tuple[nn.Parameter, int]]:
    """Yields each parameter with its quarter of the layers, 1 to 4; always 4 with a single rate.

    A layer begins with a weight of two or more axes; networks register layers in order.
    """
    parameters = list(encoder.parameters())
    layers = max(1, sum(p.ndim > 1 for p in parameters))
    layer = 0
    for parameter in parameters:
        layer += parameter.ndim > 1
        quarter = min(QUARTERS, 1 + QUARTERS * max(0, layer - 1) // layers)
        yield parameter, QUARTERS if decay == 1 else quarter

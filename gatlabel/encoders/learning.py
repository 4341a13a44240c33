"""What of an encoder learns, and how fast."""

from __future__ import annotations

from typing import Any

from torch import nn

from gatlabel.encoders.encoder import Encoder


def freeze(module: nn.Module) -> None:
    """Stops a whole encoder, or a part of one, from learning.

    Its parameters get no gradients, and its batch norms keep using, and no longer update, their
    running statistics, also after ``train()``, provided the module is an :class:`Encoder` or
    inside one.
    """
    module.requires_grad_(False)
    module.frozen = True  # type: ignore[assignment]
    module.eval()


def unfreeze(module: nn.Module) -> None:
    """Lets an encoder, or a part of one, learn again, with every part inside it."""
    module.requires_grad_(True)
    for part in module.modules():
        if getattr(part, "frozen", False):
            part.frozen = False  # type: ignore[assignment]


def parameter_groups(
    model: nn.Module, lr: float, *, encoder_lr_scale: float = 0.1, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Sorts trainable parameters into groups for an optimiser.

    Args:
        model: A network with at most one :class:`Encoder` inside.
        lr: The learning rate of all that is no encoder.
        encoder_lr_scale: The encoder's learning rate as a share of ``lr`` (ML-GCN has 0.1).
        weight_decay: For weights of two or more axes; biases and norms get none.

    Returns:
        Groups with ``name``, ``params``, ``lr`` and ``weight_decay``; empty ones are left out.
    """
    encoders = [part for part in model.modules() if isinstance(part, Encoder)]
    inside = {id(p) for encoder in encoders for p in encoder.parameters()}
    groups: dict[str, dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        part = "encoder" if id(parameter) in inside else "head"
        decays = parameter.ndim > 1
        name = part if decays else f"{part}, no decay"
        group = groups.setdefault(
            name,
            {
                "name": name,
                "params": [],
                "lr": lr * encoder_lr_scale if part == "encoder" else lr,
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())

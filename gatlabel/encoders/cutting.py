"""Truncated encoders, which end at an earlier, finer feature map."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.nn.modes import evaluating

PROBE = 256  # pixels: large enough for distinct map sizes at all stages


class Stage(nn.Module):
    """A timm network up to one of its stages.

    Args:
        network: A network with ``forward_intermediates``; its later layers are removed.
        index: Number of the stage.
    """

    def __init__(self, network: nn.Module, index: int) -> None:
        super().__init__()
        prune: Any = network.prune_intermediate_layers
        prune([index], prune_norm=True, prune_head=True)
        self.network, self.index = network, index

    def forward(self, images: Tensor) -> Tensor:
        """Maps images ``(B, 3, H, W)`` to the stage's map ``(B, D, h, w)``."""
        run: Any = self.network.forward_intermediates
        found: Tensor = run(images, indices=[self.index], intermediates_only=True)[-1]
        return found


@torch.no_grad()
def cut(trunk: nn.Module, stride: int, what: str) -> nn.Module:
    """Returns a network up to the last layer whose map has the given stride.

    The layers after it are removed; the weights of the others stay. Small objects and small images
    need a finer map than the usual stride of 32, and late layers are more specific to the data a
    network was pretrained on.

    Args:
        trunk: A chain of layers (``nn.Sequential``, as torchvision's encoders are here) or a timm
            network.
        stride: Stride in pixels, in both directions: 4, 8, 16 or 32 with most networks.
        what: Name of the network in error messages.

    Raises:
        InputError: If no map of the network has this stride; the message lists those that exist.
    """
    pixels = torch.zeros(1, 3, PROBE, PROBE)
    found: nn.Module | None = None
    with evaluating(trunk):
        known, stages = _strides(trunk, pixels)
        if stride in known:
            if known[-1] == stride:
                found = trunk
            elif isinstance(trunk, nn.Sequential):
                found = _start_of(trunk, pixels, stride)[0]
            else:
                found = Stage(trunk, max(k for k, each in enumerate(stages) if each == stride))
    if found is None:
        listed = ", ".join(str(s) for s in sorted(set(known)) if s > 1) or "none that is known"
        raise InputError(f"{what} cannot end at a map of stride {stride}: it has {listed}")
    return found


def _strides(trunk: nn.Module, pixels: Tensor) -> tuple[list[int], list[int]]:
    """Returns the strides at which a network can end, its own last, and those of timm's stages.

    Maps inside a block are ignored: some are pooled to one cell, some have channels last.
    """
    if isinstance(trunk, nn.Sequential):
        return _strides_of_chain(trunk, pixels)[0], []
    stages: list[int] = []
    if hasattr(trunk, "prune_intermediate_layers"):
        entries: Any = trunk.feature_info
        stages = [entry["reduction"] for entry in getattr(entries, "info", entries)]
    result: Tensor = trunk(pixels)
    return [*stages, *([stride_of(result)] if result.ndim == 4 else [])], stages


def _strides_of_chain(chain: nn.Sequential, features: Tensor) -> tuple[list[int], Tensor]:
    found: list[int] = []
    for part in chain:
        if type(part) is nn.Sequential:
            inner, features = _strides_of_chain(part, features)
            found += inner
        else:
            features = part(features)
            found.append(stride_of(features))
    return found, features


def stride_of(features: Tensor) -> int:
    """Returns the stride of a map ``(1, D, h, w)`` of an image of :data:`PROBE` pixels."""
    # some networks do not pad, so the quotient need not be an integer
    return int(2 ** round(math.log2(PROBE / features.shape[-1])))


def _start_of(chain: nn.Sequential, features: Tensor, stride: int) -> tuple[nn.Sequential, Tensor]:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for name, part in chain.named_children():
        result = part(features)
        if stride_of(result) > stride:
            if type(part) is nn.Sequential:  # blocks of other classes stay whole
                start, features = _start_of(part, features, stride)
                if len(start):
                    parts[name] = start
            break
        parts[name], features = part, result
    return nn.Sequential(parts), features

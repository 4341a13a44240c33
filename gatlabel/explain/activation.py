"""Class activation maps: the location of the evidence for a label in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatlabel.nn.modes import evaluating
from gatlabel.nn.pooling import StagePool, stage_scale

if TYPE_CHECKING:
    from gatlabel.model import MultiLabelClassifier


def activation_maps(
    model: MultiLabelClassifier, image: Tensor, labels: Sequence[int]
) -> tuple[Tensor, Tensor]:
    r"""Computes the class activation maps of one image.

    With :math:`x_u` the encoder's features at position u of :math:`h \cdot w`, and :math:`z_i` the
    logit of label i, the map is

    .. math:: M_i(u) = h w \sum_c \frac{\partial z_i}{\partial x_{uc}} x_{uc}

    For a linear or folded head on average pooling the gradient is :math:`w_{ic} / hw`, and the map
    is the class activation map :math:`w_i \cdot x_u` (Zhou et al., CVPR 2016, arXiv 1512.04150):
    its mean and the bias add up to the logit exactly. For other heads and poolings it is HiResCAM
    (Draelos & Carin 2020, arXiv 2011.08891), the first-order share of each position.

    Args:
        model: The model; its head is folded if possible. For an encoder with several stages, the
            maps of all of them are added up in the cells of the last one. Their scales, which
            depend on the image, count as constants: otherwise all shares would add up to zero.
        image: uint8 ``(3, S, S)``, resized as in evaluation.
        labels: Positions of K labels.

    Returns:
        Maps float32 ``(K, h, w)`` and logits float32 ``(L,)``, on the CPU.
    """
    model = model.fold()
    with evaluating(model):
        device = next(model.parameters()).device
        images = image[None].to(device)
        with torch.no_grad():
            pixels = model.encoder.normalize(images)
            found = model.encoder(pixels.contiguous(memory_format=torch.channels_last))
        stages = [found] if isinstance(found, Tensor) else list(found)
        cells = stages[0].shape[2], stages[0].shape[3]
        with torch.enable_grad():
            stages = [each.detach().requires_grad_() for each in stages]
            logits = model.head(_pooled(model.pool, stages))[0]
            maps = []
            for label in labels:
                gradients = torch.autograd.grad(logits[label], stages, retain_graph=True)
                shares = [
                    _share(gradient, each.detach(), cells)
                    for gradient, each in zip(gradients, stages, strict=True)
                ]
                maps.append(torch.stack(shares).sum(0))
    stacked = torch.stack(maps) if maps else logits.new_zeros((0, *cells))
    return stacked.float().cpu(), logits.detach().float().cpu()


def _pooled(pool: nn.Module, stages: Sequence[Tensor]) -> Tensor:
    """Returns the head's input, in which the scales of stages are constants."""
    if not isinstance(pool, StagePool):
        only: Tensor = pool(stages[0])
        return only
    parts = pool.unscaled(stages)
    return torch.cat([part * stage_scale(part).detach() for part in parts], 1)


def _share(gradient: Tensor, values: Tensor, cells: tuple[int, int]) -> Tensor:
    """Returns gradient times values of a map ``(1, D, H, W)``, in cells ``(h, w)``."""
    share = (gradient * values).sum(1) * (values.shape[2] * values.shape[3])
    return functional.adaptive_avg_pool2d(share, cells)[0]

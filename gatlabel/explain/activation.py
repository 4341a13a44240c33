"""Class activation maps: the location of the evidence for a label in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gatlabel.nn.modes import evaluating

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
            map of the last one is used.
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
        with torch.enable_grad():
            last = stages[0].detach().requires_grad_()
            pooled = model.pool(last if isinstance(found, Tensor) else (last, *stages[1:]))
            logits = model.head(pooled)[0]
            maps = []
            for label in labels:
                (gradient,) = torch.autograd.grad(logits[label], last, retain_graph=True)
                area = last.shape[2] * last.shape[3]
                maps.append((gradient * last.detach()).sum(1)[0] * area)
    cells = last.shape[2:]
    stacked = torch.stack(maps) if maps else last.new_zeros((0, *cells))
    return stacked.float().cpu(), logits.detach().float().cpu()

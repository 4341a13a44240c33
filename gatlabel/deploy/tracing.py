"""Tracing of a model to a program of tensor operators, the first step of every export."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gatlabel.deploy.description import INPUT
from gatlabel.errors import InputError, first_line
from gatlabel.model import MultiLabelClassifier

if TYPE_CHECKING:
    from torch.export import ExportedProgram


class ImagesToLogits(nn.Module):
    """Wraps a model so that the exported file has the intended names of input and output.

    Shapes:
        images uint8 ``(B, 3, S, S)`` -> logits float32 ``(B, L)``.
    """

    def __init__(self, model: MultiLabelClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits; the argument's name becomes the input's name."""
        logits: Tensor = self.model(images)
        # float32 for half precision too; a no-op conversion would remain in the program
        return logits if logits.dtype == torch.float32 else logits.float()


def cpu_copy(model: MultiLabelClassifier) -> MultiLabelClassifier:
    """Returns a copy in evaluation mode, float32, on the CPU; the model is not modified."""
    return copy.deepcopy(model).cpu().float().eval()


@torch.no_grad()
def trace(model: MultiLabelClassifier, batch: int | None = None) -> ExportedProgram:
    """Traces a model in evaluation mode on uint8 images.

    Args:
        model: The model.
        batch: Number of images in a batch; ``None``: any number.

    Raises:
        InputError: If the model cannot be traced, for example if its encoder branches on pixels.
    """
    from torch.export import Dim, export  # takes a second to import, and is needed here only

    size = model.image_size
    example = torch.zeros(batch or 2, 3, size, size, dtype=torch.uint8)
    shapes = {INPUT: {0: Dim("batch", min=1)}} if batch is None else None
    try:
        program = export(ImagesToLogits(model), (example,), dynamic_shapes=shapes)
    except Exception as error:  # networks raise various errors in tracing
        raise InputError(
            f"torch.export cannot trace the model with encoder {model.encoder.name!r} "
            f"({first_line(error)}); an encoder may not branch on pixels or on the batch size"
        ) from error
    for node in program.graph.nodes:
        # removes source locations, which contain local file paths
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn"):
            node.meta.pop(key, None)
    return program

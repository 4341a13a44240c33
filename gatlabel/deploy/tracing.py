"""From a model to a program of tensor operators, the start of every export format."""

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
    """A model under the names that its input and output have in an exported file.

    Shapes:
        images uint8 ``(B, 3, S, S)`` -> logits float32 ``(B, L)``.
    """

    def __init__(self, model: MultiLabelClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits; the name of the argument becomes that of the input."""
        logits: Tensor = self.model(images)
        # half precision gives float32 too; a conversion to itself would be left in the program
        return logits if logits.dtype == torch.float32 else logits.float()


def cpu_copy(model: MultiLabelClassifier) -> MultiLabelClassifier:
    """Returns a copy in evaluation mode, float32, on the CPU; the model itself stays as it is."""
    return copy.deepcopy(model).cpu().float().eval()


@torch.no_grad()
def trace(model: MultiLabelClassifier, batch: int | None = None) -> ExportedProgram:
    """Traces what a model in evaluation mode does to uint8 images.

    Args:
        model: The model.
        batch: Images in a batch; ``None``: any number.

    Raises:
        InputError: If the model cannot be traced: if its encoder branches on pixels, for example.
    """
    from torch.export import Dim, export  # takes a second, and nobody else needs it

    size = model.image_size
    example = torch.zeros(batch or 2, 3, size, size, dtype=torch.uint8)
    shapes = {INPUT: {0: Dim("batch", min=1)}} if batch is None else None
    try:
        program = export(ImagesToLogits(model), (example,), dynamic_shapes=shapes)
    except Exception as error:  # whatever a network does that the exporter cannot follow
        raise InputError(
            f"torch.export cannot follow the model with encoder {model.encoder.name!r} "
            f"({first_line(error)}); an encoder may not branch on pixels or on the batch size"
        ) from error
    for node in program.graph.nodes:
        # where in which file each step was written: of no use elsewhere, and paths of this machine
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn"):
            node.meta.pop(key, None)
    return program

"""Tracing of a model to a program of tensor operators, the first step of every export."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gatlabel.batch import IMAGE
from gatlabel.deploy.description import INPUT
from gatlabel.encoders import Encoder
from gatlabel.errors import InputError, first_line
from gatlabel.model import Model, MultiLabelClassifier

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


class ImagesToOutputs(nn.Module):
    """A model with several tasks under the names that its input has in an exported file.

    Shapes:
        images uint8 ``(B, 3, S, S)`` -> for each task float32 ``(B, ...)``.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs of the tasks in order."""
        return tuple(value.float() for value in self.model.outputs(images).values())


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
    return _traced(ImagesToLogits(model), model.image_size, model.encoder.name, batch)


@torch.no_grad()
def trace_tasks(model: Model, batch: int | None = None) -> ExportedProgram:
    """Traces what a model with several tasks does; arguments and errors as :func:`trace`."""
    encoder = model.encoders[IMAGE]
    name = encoder.name if isinstance(encoder, Encoder) else type(encoder).__name__
    assert model.image_size is not None
    return _traced(ImagesToOutputs(model), model.image_size, name, batch)


def _traced(module: nn.Module, size: int, encoder: str, batch: int | None) -> ExportedProgram:
    from torch.export import Dim, export  # takes a second to import, and is needed here only

    example = torch.zeros(batch or 2, 3, size, size, dtype=torch.uint8)
    shapes = {INPUT: {0: Dim("batch", min=1)}} if batch is None else None
    try:
        program = export(module, (example,), dynamic_shapes=shapes)
    except Exception as error:  # networks raise various errors in tracing
        raise InputError(
            f"torch.export cannot trace the model with encoder {encoder!r} "
            f"({first_line(error)}); an encoder may not branch on pixels or on the batch size"
        ) from error
    for node in program.graph.nodes:
        # removes source locations, which contain local file paths
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn"):
            node.meta.pop(key, None)
    return program

"""The formats of exported models by name."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gatlabel.deploy.description import Description
from gatlabel.deploy.onnx_file import load_onnx, write_onnx
from gatlabel.deploy.pt2_file import load_pt2, write_pt2
from gatlabel.errors import unknown_choice

if TYPE_CHECKING:
    from torch.export import ExportedProgram


@dataclass(frozen=True)
class Format:
    """How a model is written to a file and run from it.

    Attributes:
        file: Name of the model file in a bundle.
        write: Takes program, description and path.
        load: Takes path and device; returns what turns uint8 ``(B, 3, S, S)`` into ``(B, L)``.
        libraries: The distributions whose versions a bundle notes.
        on_gpu: Whether ``load`` takes GPUs.
    """

    file: str
    write: Callable[[ExportedProgram, Description, Path], None]
    load: Callable[[Path, torch.device], Callable[[Tensor], Tensor]]
    libraries: tuple[str, ...]
    on_gpu: bool

    def versions(self) -> dict[str, str]:
        """Returns the versions of gatlabel and of the libraries that write the file."""
        from gatlabel import __version__

        found = {name: importlib.metadata.version(name) for name in self.libraries}
        return {"gatlabel": __version__, **found}


FORMATS: dict[str, Format] = {
    "onnx": Format(
        "model.onnx",
        write_onnx,
        load_onnx,
        ("torch", "onnx", "onnxscript", "onnxruntime"),
        on_gpu=False,
    ),
    "pt2": Format("model.pt2", write_pt2, load_pt2, ("torch",), on_gpu=True),
}


def find_format(name: str) -> Format:
    """Returns a format by name.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in FORMATS:
        raise unknown_choice("export format", name, FORMATS)
    return FORMATS[name]

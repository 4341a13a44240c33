"""The formats of exported models by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatlabel.deploy.description import Described, Loaded, Opened
from gatlabel.deploy.onnx_file import EXTRA, load_onnx, open_onnx, write_onnx
from gatlabel.deploy.pt2_file import load_pt2, open_pt2, write_pt2
from gatlabel.errors import require_extra, unknown_choice

if TYPE_CHECKING:
    from torch.export import ExportedProgram


@dataclass(frozen=True)
class Format:
    """How a model is written to a file and loaded from it.

    Attributes:
        file: Name of the model file in a bundle.
        write: Takes program, description and path.
        load: Takes path and device; returns a function from uint8 ``(B, 3, S, S)`` to ``(B, L)``
            and the description in the file.
        open: The same for a model with several tasks: it takes path, device and names of outputs,
            and returns a function to an array per output and the texts in the file.
        uses_torch: Whether torch runs it, on any of its devices; otherwise it runs on the CPU only,
            and torch is not imported.
        libraries: The modules besides torch that write and check a file.
        extra: The extra of gatlabel that installs them.
    """

    file: str
    write: Callable[[ExportedProgram, Described, Path], None]
    load: Callable[[Path, str], Loaded]
    open: Callable[[Path, str, Sequence[str]], Opened]
    uses_torch: bool
    libraries: tuple[str, ...] = ()
    extra: str = ""

    def versions(self) -> dict[str, str]:
        """Imports gatlabel, torch and the libraries and returns their versions.

        Raises:
            MissingExtraError: If one is not installed.
        """
        import torch

        from gatlabel import __version__

        # versions of modules, since onnxruntime has distributions of several names
        found = {name: require_extra(name, self.extra).__version__ for name in self.libraries}
        return {"gatlabel": __version__, "torch": str(torch.__version__), **found}


FORMATS: dict[str, Format] = {
    "onnx": Format(
        "model.onnx",
        write_onnx,
        load_onnx,
        open_onnx,
        uses_torch=False,
        libraries=("onnx", "onnxscript", "onnxruntime"),
        extra=EXTRA,
    ),
    "pt2": Format("model.pt2", write_pt2, load_pt2, open_pt2, uses_torch=True),
}


def find_format(name: str) -> Format:
    """Returns a format by name.

    Raises:
        InputError: If there is no such format.
    """
    if name not in FORMATS:
        raise unknown_choice("export format", name, FORMATS)
    return FORMATS[name]

"""Format ``pt2``: a program of torch's operators, run by torch without gatlabel."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.deploy.description import FILE, Described, Loaded, Opened, description_inside
from gatlabel.deploy.pt2_vetting import vet
from gatlabel.errors import InputError, first_line

if TYPE_CHECKING:
    from torch.export import ExportedProgram


def write_pt2(program: ExportedProgram, description: Described, path: Path) -> None:
    """Writes one archive with program, weights, labels and preprocessing.

    Args:
        program: From uint8 images to logits.
        description: Written to the archive as the extra file ``bundle.json``.
        path: The file.
    """
    from torch.export import save

    program.example_inputs = None  # torch would pickle them
    content = json.dumps(description.to_dict())
    buffer = io.BytesIO()  # torch's own writer aborts the process on a full disk
    with warnings.catch_warnings():
        # torch warns about channels-last weights, but saves them correctly
        warnings.filterwarnings("ignore", "No complete tensor found", UserWarning)
        save(program, buffer, extra_files={FILE: content})
    path.write_bytes(buffer.getbuffer())


def load_pt2(path: Path, device: str) -> Loaded:
    """Reads an archive after checking it with :func:`vet`.

    Args:
        path: The file.
        device: The device to run the program on.

    Returns:
        The function that runs it, and the content of its own ``bundle.json``.

    Raises:
        InputError: If torch cannot read the file, or :func:`vet` refuses it.
    """
    outputs_of, texts = open_pt2(path, device, ())
    return Loaded(lambda images: outputs_of(images)[0], description_inside(texts, path))


def open_pt2(path: Path, device: str, outputs: Sequence[str]) -> Opened:
    """Opens an archive; arguments and errors as :func:`load_pt2`.

    Args:
        path: The file.
        device: The device to run the program on.
        outputs: Unused: programs have outputs in order, without names.

    Returns:
        The function that runs it, with an array per output, and the values of its own
        ``bundle.json``, each as JSON.
    """
    import torch
    from torch.export import load

    vet(path)
    inside: dict[str, Any] = {FILE: ""}  # torch fills it
    try:
        with warnings.catch_warnings():
            # torch 2.11 maps weights read-only and never writes them
            warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
            program = load(path, extra_files=inside)
        if device != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        module = program.module()
    except Exception as error:  # programs of other versions raise various errors
        raise InputError(f"torch cannot read {path}: {first_line(error)}") from error

    @torch.inference_mode()
    def run(images: NDArray[np.uint8]) -> list[NDArray[np.floating]]:
        found = module(torch.from_numpy(images).to(device))
        several = (found,) if isinstance(found, torch.Tensor) else found
        return [value.cpu().numpy() for value in several]

    return run, _values(inside[FILE], path)


def _values(text: str, path: Path) -> dict[str, str]:
    """Returns the values of a JSON object, each as JSON, as in an ONNX file."""
    try:
        return {key: json.dumps(value) for key, value in json.loads(text).items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} contains no valid description: export it again") from error

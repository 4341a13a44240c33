"""Weights to and from safetensors files; nothing is ever unpickled."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.files import atomic_path


def _own_state(model: nn.Module) -> list[tuple[str, Tensor]]:
    """The state without tensors that are the same storage twice, which safetensors refuses."""
    seen: set[int] = set()
    unique = []
    for name, value in model.state_dict().items():
        if value.numel() and value.data_ptr() in seen:
            continue
        seen.add(value.data_ptr())
        unique.append((name, value))
    return unique


def write_state(model: nn.Module, path: Path) -> None:
    """Writes the tensors of a model to a safetensors file, atomically."""
    from safetensors.torch import save_file

    state = {name: value.detach().cpu().contiguous() for name, value in _own_state(model)}
    with atomic_path(path) as temporary:
        save_file(state, temporary)


def read_state(model: nn.Module, path: Path) -> None:
    """Loads the tensors of a safetensors file into a model.

    Raises:
        InputError: If the file cannot be read, or names or shapes are not the model's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read the weights {path}: {error}") from error
    expected = {name: value.shape for name, value in _own_state(model)}
    wrong = [name for name, shape in expected.items() if name not in state]
    wrong += [n for n, shape in expected.items() if n in state and state[n].shape != shape]
    wrong += [name for name in state if name not in expected]
    if wrong:
        raise InputError(f"{path} does not fit its model.json; first at {wrong[0]!r}")
    model.load_state_dict(state, strict=False)

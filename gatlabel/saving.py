"""Reading and writing of weights as safetensors files; nothing is ever unpickled."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError, first_line
from gatlabel.files import atomic_path
from gatlabel.nn.identity import KEY, StateMismatchError
from gatlabel.nn.old_names import current_tensors

Shapes = Mapping[str, tuple[int, ...]]


def _own_state(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Returns the state without duplicate tensors in one storage, which safetensors refuses."""
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


def read_shapes(path: Path) -> Shapes:
    """Reads names and shapes of the tensors of a safetensors file, without their values.

    Raises:
        InputError: If the file is missing or damaged.
    """
    from safetensors import safe_open

    if not _is_utf8(path):
        return {name: tuple(value.shape) for name, value in read_tensors(path).items()}
    require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except Exception as error:  # damaged files raise various errors
        raise InputError(f"cannot read the weights {path}: {first_line(error)}") from error


def read_tensors(path: Path, what: str = "weights") -> dict[str, Tensor]:
    """Reads all tensors of a safetensors file.

    Args:
        path: The file.
        what: Description of the file for the error message.

    Raises:
        InputError: If the file is missing or damaged.
    """
    from safetensors.torch import load, load_file

    require_file(path, what)
    try:
        return load_file(path) if _is_utf8(path) else load(path.read_bytes())
    except Exception as error:  # damaged files raise various errors
        raise InputError(f"cannot read the {what} {path}: {first_line(error)}") from error


def _is_utf8(path: Path) -> bool:
    """Whether safetensors can open a file by its name."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def require_file(path: Path, what: str = "weights") -> None:
    """Refuses paths that are not regular files.

    Raises:
        InputError: If it is a folder, a pipe, or missing.
    """
    # a folder, or a pipe, which would block; Path.is_file raises for names that are too long
    if not os.path.isfile(path):  # noqa: PTH113
        reason = "it is not a file" if os.path.lexists(path) else "there is no such file"
        raise InputError(f"cannot read the {what} {path}: {reason}")


def read_state(model: nn.Module, path: Path) -> None:
    """Loads the tensors of a safetensors file into a model.

    Raises:
        InputError: If the file cannot be read, names, shapes or types differ from the model's, or a
            value is NaN or infinite; the model is then unchanged.
    """
    state = current_tensors(read_tensors(path))
    expected = dict(_own_state(model))
    needed = [name for name in expected if name.rpartition(".")[2] != KEY]  # missing in old files
    missing = [name for name in needed if name not in state]
    extra = [name for name in state if name not in expected]
    if missing or extra:
        parts = [f"{len(missing)} tensors missing, first {missing[0]!r}"] if missing else []
        parts += [f"{len(extra)} not of this model, first {extra[0]!r}"] if extra else []
        raise InputError(f"{path} does not match its model.json: {'; '.join(parts)}")
    for name in needed:
        check_tensor(state[name], expected[name], name, path)
    try:
        model.load_state_dict(state, strict=False)
    except StateMismatchError as error:
        raise InputError(f"{path} does not match its model.json: {error}") from error


def check_tensor(value: Tensor, expected: Tensor, name: str, path: Path) -> None:
    """Checks that a tensor from a file can replace one of a model.

    Raises:
        InputError: If shape or kind of dtype differ, or a value is NaN or infinite.
    """
    if value.shape != expected.shape:
        have, want = tuple(value.shape), tuple(expected.shape)
        raise InputError(f"{path}: {name!r} has the shape {have}, not {want}")
    floating = expected.is_floating_point()
    if value.is_floating_point() != floating or not (floating or value.dtype == expected.dtype):
        kind, kinds = (str(t.dtype).removeprefix("torch.") for t in (value, expected))
        raise InputError(f"{path}: {name!r} contains {kind}, not {kinds}")
    if floating and not bool(torch.isfinite(value).all()):
        raise InputError(
            f"{path}: {name!r} contains NaN or infinity: its training diverged, or it is damaged"
        )

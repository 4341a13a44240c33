"""The choice of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.errors import InputError

if TYPE_CHECKING:
    import torch


def choose_device(device: str | torch.device = "auto", *, gpu: bool = True) -> torch.device:
    """Returns an available device with its index; for ``"cuda"``, the current one.

    Args:
        device: ``"auto"`` (CUDA if available, otherwise the CPU), ``"cpu"``, ``"cuda"``,
            ``"cuda:1"``, ``"mps"`` or another torch device.
        gpu: Whether ``"auto"`` may be a GPU.

    Raises:
        InputError: If there is no such device; the message names the available ones.
    """
    import torch

    if device == "auto":
        device = "cuda" if gpu and torch.cuda.is_available() else "cpu"
    try:
        # device names are valid even if there is no such device
        found = torch.empty(0, device=torch.device(device)).device
    except Exception as error:  # torch raises various errors for names, numbers and types
        raise InputError(_refusal(device)) from error
    if found.type == "meta":  # does not compute
        raise InputError(_refusal(device))
    return found


def _refusal(device: object) -> str:
    return f"cannot use the device {str(device)!r}: give auto or one of {', '.join(_available())}"


def _available() -> list[str]:
    import torch

    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]

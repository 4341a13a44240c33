"""Where a model runs."""

from __future__ import annotations

import torch

from gatlabel.errors import InputError


def choose_device(device: str | torch.device, *, gpu: bool = True) -> torch.device:
    """Returns a device that is there, with its index: the current one for ``"cuda"``.

    Args:
        device: ``"auto"`` (a GPU if there is one), or a torch device.
        gpu: Whether ``"auto"`` may be a GPU.

    Raises:
        InputError: If there is no such device.
    """
    if device == "auto":
        device = "cuda" if gpu and torch.cuda.is_available() else "cpu"
    try:
        # names of devices parse whether there is one or not
        return torch.empty(0, device=torch.device(device)).device
    except Exception as error:  # of torch, in many ways: no such name, number or type
        raise InputError(f"cannot use the device {str(device)!r}; say auto or cpu") from error

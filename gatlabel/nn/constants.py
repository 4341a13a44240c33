"""Tensors that follow from a module's arguments: not learned, not saved, and never lost.

The edges of a graph or the weights of a loss are buffers, so that they move with their module,
and no part of the state, so that a checkpoint need not repeat them. But torch gives buffers new
memory without their values where it allocates a module late (``to_empty``, after construction on
the device ``meta``), and nothing in a checkpoint would fill them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn


class HoldsConstants(nn.Module):
    """A module whose constant tensors survive every way in which torch moves a module.

    The values are kept in the memory of the host as well (the same memory while the module is
    there), in the precision in which they were set. They are put back after every move, so that
    ``half()`` and ``float()`` round nothing for good either.
    """

    def constant(self, name: str, value: Tensor | None) -> None:
        """Registers a constant; an assignment to the attribute replaces it.

        Args:
            name: Of the attribute.
            value: On a real device, even where the module is made on ``meta``; or none.
        """
        self.register_buffer(name, None, persistent=False)
        self.__dict__.setdefault("_kept", {})[name] = None
        setattr(self, name, value)

    def kept(self, name: str) -> Tensor | None:
        """Returns the value of a constant in host memory; ``None`` if it was never there."""
        value: Tensor | None = self.__dict__["_kept"][name]
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Keeps the value of a constant that is replaced."""
        super().__setattr__(name, value)
        kept = self.__dict__.get("_kept", {})
        if name in kept:
            kept[name] = _on_host(value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        for name, buffer in self._real_constants():
            self._put_back(name, buffer)
        return self

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        *others: Any,
    ) -> None:
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, *others
        )
        if not local_metadata.get("assign_to_params_buffers"):
            return
        # the module takes the tensors of the state as they are: constants go where those are
        for key, like in state_dict.items():
            if key.startswith(prefix) and like.is_floating_point() and not like.is_meta:
                for module in self.modules():
                    if isinstance(module, HoldsConstants):
                        module._follow(like)
                return

    def _follow(self, like: Tensor) -> None:
        """Brings the constants to the device of a tensor, and floating ones to its dtype."""
        for name, value in self.__dict__.get("_kept", {}).items():
            if value is not None:
                dtype = like.dtype if value.is_floating_point() else value.dtype
                self._buffers[name] = value.to(like.device, dtype)

    def _real_constants(self) -> list[tuple[str, Tensor]]:
        """Constants with memory of their own (not on ``meta``, and not traced)."""
        named = ((name, self._buffers[name]) for name in self.__dict__.get("_kept", {}))
        return [(name, b) for name, b in named if type(b) is Tensor and not b.is_meta]

    def _put_back(self, name: str, buffer: Tensor) -> None:
        value = self.__dict__["_kept"][name]
        if value is None or value.shape != buffer.shape:
            return
        with torch.inference_mode(False), torch.no_grad():
            if buffer.is_inference():  # moved in inference mode: training could not use it
                self._buffers[name] = value.to(buffer.device, buffer.dtype, copy=True)
            else:
                buffer.copy_(value)


def _on_host(value: Any) -> Tensor | None:
    if type(value) is not Tensor or value.is_meta:
        return None
    with torch.inference_mode(False):
        value = value.detach().cpu()
        return value.clone() if value.is_inference() else value

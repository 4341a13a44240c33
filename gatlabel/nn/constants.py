"""Constant buffers of modules: computed from their arguments, neither learned nor saved.

The edges of a graph or the weights of a loss are buffers, so that they move with their module.
They are not in the state dict, as a checkpoint need not repeat them. However, torch allocates
buffers without values when it materialises a module late (``to_empty`` after construction on the
device ``meta``), and no checkpoint would fill them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn


class HoldsConstants(nn.Module):
    """A module whose constant tensors survive all ways in which torch moves a module.

    A copy of each value is kept in host memory (shared if the module is on the CPU), in the
    precision in which it was set. Values are restored from it after every move, so that ``half()``
    followed by ``float()`` does not round them either.
    """

    def constant(self, name: str, value: Tensor | None) -> None:
        """Registers a constant; an assignment to the attribute replaces it.

        Args:
            name: Name of the attribute.
            value: The value on a real device, even if the module is on ``meta``; or ``None``.
        """
        self.register_buffer(name, None, persistent=False)
        self.__dict__.setdefault("_kept", {})[name] = None
        setattr(self, name, value)

    def host_value(self, name: str) -> Tensor | None:
        """Returns the value of a constant in host memory, or ``None`` if it was never set."""
        value: Tensor | None = self.__dict__["_kept"][name]
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Stores the host copy of a constant that is assigned."""
        super().__setattr__(name, value)
        kept = self.__dict__.get("_kept", {})
        if name in kept:
            kept[name] = _on_host(value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        for name, buffer in self._real_constants():
            self._restore(name, buffer)
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
        # with assign=True the module adopts the tensors of the state: move constants likewise
        for key, like in state_dict.items():
            if key.startswith(prefix) and like.is_floating_point() and not like.is_meta:
                for module in self.modules():
                    if isinstance(module, HoldsConstants):
                        module._follow(like)
                return

    def _follow(self, like: Tensor) -> None:
        """Moves the constants to the device of a tensor, floating ones also to its dtype."""
        for name, value in self.__dict__.get("_kept", {}).items():
            if value is not None:
                dtype = like.dtype if value.is_floating_point() else value.dtype
                self._buffers[name] = value.to(like.device, dtype)

    def _real_constants(self) -> list[tuple[str, Tensor]]:
        """Returns constants with real memory (not on ``meta``, and not traced)."""
        named = ((name, self._buffers[name]) for name in self.__dict__.get("_kept", {}))
        return [(name, b) for name, b in named if type(b) is Tensor and not b.is_meta]

    def _restore(self, name: str, buffer: Tensor) -> None:
        value = self.__dict__["_kept"][name]
        if value is None or value.shape != buffer.shape:
            return
        with torch.inference_mode(False), torch.no_grad():
            if buffer.is_inference():  # moved in inference mode: not usable in training
                self._buffers[name] = value.to(buffer.device, buffer.dtype, copy=True)
            else:
                buffer.copy_(value)


def _on_host(value: Any) -> Tensor | None:
    if type(value) is not Tensor or value.is_meta:
        return None
    with torch.inference_mode(False):
        value = value.detach().cpu()
        return value.clone() if value.is_inference() else value

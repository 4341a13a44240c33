"""Names in model files of earlier versions (commit e039254) and their current names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

#: Options of heads in ``model.json``.
OPTIONS = {"kinship": "similarity_weight", "unseen": "miss_rate"}
#: Prefixes of the names of tensors in ``model.safetensors``.
TENSORS = {
    "head.kin.kinship": "head.mixing.strength",
    "head.hearing.": "head.messages.",
    "head.usual": "head.prior_logit",
}


def current_options(options: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the options of a head under their current names."""
    return {OPTIONS.get(name, name): value for name, value in options.items()}


def current_tensors(state: Mapping[str, Value]) -> dict[str, Value]:
    """Returns a mapping by tensor name under the current names."""
    return {_current(name): value for name, value in state.items()}


def _current(name: str) -> str:
    for old, new in TENSORS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name

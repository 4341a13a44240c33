"""Identity of a module's state: labels, edges and options, which tensor shapes do not show.

A state dict contains tensors by name and shape. The weights of a head for other labels, for the
same labels in another order, for another graph or with another option can have the same shapes but
give other logits. The state therefore stores the module's identity under torch's own key
``_extra_state``: JSON in a uint8 tensor, which safetensors and ``torch.load(weights_only=True)``
both support. States without it, from earlier versions or made by hand, load unchecked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError
from gatlabel.labels import first_difference
from gatlabel.values import shown

KEY = "_extra_state"  # torch's key, supported by all code that handles state dicts

Identity = dict[str, Any]


class StateMismatchError(InputError, RuntimeError):
    """A state belongs to another module; a RuntimeError, as torch raises when loading fails."""


class HasIdentity(nn.Module):
    """A module whose state stores its identity; a state of another module is refused.

    The check precedes any change. To load a state on purpose where it does not belong, remove the
    key from it.
    """

    def identity(self) -> Identity:
        """Returns the properties that a state must share with this module, as JSON values.

        ``None`` stands for an unknown value and matches any value.
        """
        raise NotImplementedError

    def get_extra_state(self) -> Tensor:
        """Returns the identity, uint8 ``(n,)``."""
        text = json.dumps(self.identity())
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Any) -> None:
        """Does nothing: the identity is compared before the tensors are loaded."""

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        *others: Any,
    ) -> None:
        key = prefix + KEY
        if key in state_dict:
            ours = read_identity(self.get_extra_state(), key)  # after a round trip through JSON
            refuse_other(read_identity(state_dict[key], key), ours, key)
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            *others,
        )
        if key in missing_keys:
            missing_keys.remove(key)


def read_identity(value: Any, key: str) -> Identity:
    """Decodes the result of :meth:`HasIdentity.get_extra_state`.

    Raises:
        StateMismatchError: If the value is not such a result.
    """
    damaged = f"the state's {key} is not a valid description of a module"
    if not isinstance(value, Tensor) or value.ndim != 1:
        raise StateMismatchError(damaged)
    try:
        # the whole state may have been cast; byte values are exact in every precision
        found = json.loads(bytes(value.detach().cpu().double().to(torch.uint8).tolist()))
    except (ValueError, RecursionError, RuntimeError) as error:
        raise StateMismatchError(damaged) from error
    if not isinstance(found, dict):
        raise StateMismatchError(damaged)
    return found


def refuse_other(theirs: Identity, ours: Identity, key: str) -> None:
    """Refuses a state whose identity differs from the module's.

    Args:
        theirs: Identity of the state.
        ours: Identity of the module.
        key: Key of the identity in the state, for the message.

    Raises:
        StateMismatchError: The message names the first difference.
    """
    hint = f"; to load it anyway, remove {key!r} from the state"
    for name, mine in ours.items():
        other = theirs.get(name)
        if mine is None or other is None or other == mine:
            continue
        if name == "labels" and isinstance(other, list):
            reason = first_difference(other, mine)
            raise StateMismatchError(f"the weights are for other labels: {reason}{hint}")
        if name == "edges":
            raise StateMismatchError(f"the weights belong to a label graph with other edges{hint}")
        raise StateMismatchError(
            f"the weights belong to a module with {name}={shown(other)}, not {shown(mine)}{hint}"
        )

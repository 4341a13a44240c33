"""What a module's tensors mean, kept with them: labels, edges and options that shapes do not show.

A state dict holds tensors by name and shape. The weights of a head for other labels, or the same in
another order, over another graph, or with another option fit it just as well, and give other
logits. So the state says what it is of, under torch's own key ``_extra_state``: JSON in a uint8
tensor, which safetensors and ``torch.load(weights_only=True)`` both hold. States without it, of
earlier versions or made by hand, load as they always did.
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

KEY = "_extra_state"  # torch's, known to whatever handles state dicts

Identity = dict[str, Any]


class StateMismatchError(InputError, RuntimeError):
    """A state is not of the module that it is loaded into; torch raises RuntimeErrors there."""


class HasIdentity(nn.Module):
    """A module whose state says what it is of, and is refused elsewhere before anything is loaded.

    To load a state on purpose where it does not belong, take the key out of it.
    """

    def identity(self) -> Identity:
        """Returns, as JSON values, what a state must be of to be this module's.

        A value of ``None`` is not known and fits any.
        """
        raise NotImplementedError

    def get_extra_state(self) -> Tensor:
        """Returns the identity, uint8 ``(n,)``."""
        text = json.dumps(self.identity())
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Any) -> None:
        """Does nothing: the identity was compared before the tensors were loaded."""

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
            ours = read_identity(self.get_extra_state(), key)  # as JSON has it
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
    """Reads what :meth:`HasIdentity.get_extra_state` made.

    Raises:
        StateMismatchError: If it is something else.
    """
    damaged = f"the state's {key} does not say what the weights are of"
    if not isinstance(value, Tensor) or value.ndim != 1:
        raise StateMismatchError(damaged)
    try:
        # a state may have been cast as a whole; bytes are whole numbers in every precision
        found = json.loads(bytes(value.detach().cpu().double().to(torch.uint8).tolist()))
    except (ValueError, RecursionError, RuntimeError) as error:
        raise StateMismatchError(damaged) from error
    if not isinstance(found, dict):
        raise StateMismatchError(damaged)
    return found


def refuse_other(theirs: Identity, ours: Identity, key: str) -> None:
    """Refuses a state that is of something else.

    Args:
        theirs: What the state is of.
        ours: What the module is.
        key: Where the state says so, for the message.

    Raises:
        StateMismatchError: The message names the first difference.
    """
    hint = f"; to load it all the same, remove {key!r} from the state"
    for name, mine in ours.items():
        other = theirs.get(name)
        if mine is None or other is None or other == mine:
            continue
        if name == "labels" and isinstance(other, list):
            reason = first_difference(other, mine)
            raise StateMismatchError(f"the weights are for other labels: {reason}{hint}")
        if name == "edges":
            raise StateMismatchError(f"the weights are of a label graph with other edges{hint}")
        raise StateMismatchError(
            f"the weights are of a module with {name}={shown(other)}, not {shown(mine)}{hint}"
        )

"""The loss of a run: its options, with what they need of the training set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gatlabel.errors import InputError
from gatlabel.losses import LabelSmoothing, LabelWeighted, balanced_weights, read_label_weights
from gatlabel.losses.entries import needs_whole_batch
from gatlabel.losses.options import BCE, EntryLossOptions
from gatlabel.losses.table import LOSSES
from gatlabel.missing import Completion
from gatlabel.targets import Targets
from gatlabel.training.config import TrainConfig

BALANCED = "balanced"


def make_loss(
    config: TrainConfig, targets: Targets | None = None, labels: Sequence[str] = ()
) -> nn.Module:
    """Builds the loss that the options name.

    Args:
        config: The options.
        targets: Of the training images, where a loss counts labels.
        labels: Their names, where a file has weights for them.

    Raises:
        InputError: If a file of weights is wrong, or there are no targets to count.
    """
    options = config.loss
    arguments: dict[str, Any] = options.arguments()
    if options.name == "db":
        present, absent = _sums(targets, "loss=db")
        arguments["rates"] = present / (present + absent).clamp(min=1)
    if isinstance(options, BCE) and options.pos_weight is not None:
        arguments["pos_weight"] = _pos_weight(options.pos_weight, targets, labels)
    loss: nn.Module = LOSSES[options.name](**arguments)
    if isinstance(options, EntryLossOptions) and options.label_weights is not None:
        loss = LabelWeighted(loss, read_label_weights(options.label_weights, labels))
    return LabelSmoothing(loss, options.label_smoothing) if options.label_smoothing else loss


def loss_for(
    config: TrainConfig,
    loader: DataLoader[Any],
    completion: Completion | None,
    labels: Sequence[str],
) -> nn.Module:
    """Builds the loss of a run on the images of a loader; errors are those of :func:`make_loss`.

    Args:
        config: The options.
        loader: Of the training images.
        completion: Gives the targets of unknown labels, and the first ones are counted.
        labels: The names of the labels.
    """
    found = getattr(loader.dataset, "targets", None) if completion is None else completion.targets
    return make_loss(config, None if found is None else Targets.of(found), labels)


def refuse_shared_batches(config: TrainConfig, processes: int) -> None:
    """Refuses a loss that looks at the whole batch where several processes share it.

    Raises:
        InputError: The message names the losses that can.
    """
    if processes < 2 or not needs_whole_batch(LOSSES[config.loss.name]):
        return
    others = ", ".join(name for name, kind in LOSSES.items() if not needs_whole_batch(kind))
    raise InputError(
        f"loss={config.loss.name}: it judges a batch as a whole, so it is not for "
        f"devices={processes}, only for 1; several take {others}"
    )


def _pos_weight(given: float | str, targets: Targets | None, labels: Sequence[str]) -> Any:
    if given == BALANCED:
        return balanced_weights(*_sums(targets, "pos_weight=balanced"))
    try:
        number = float(given)
    except ValueError:
        return read_label_weights(Path(str(given)), labels, zero=False)
    if not (number > 0 and math.isfinite(number)):
        raise InputError(f"pos_weight={given}: must be above 0, balanced, or a file")
    return number


def _sums(targets: Targets | None, option: str) -> tuple[Tensor, Tensor]:
    """Sums presence and absence of each label over known entries, soft ones as they are: (L,)."""
    if targets is None:
        raise InputError(f"{option}: needs the targets of the training images")
    values = targets.values
    present = values.clip(0) if isinstance(values, np.ndarray) else values.maximum(0)
    total = torch.from_numpy(np.asarray(present.sum(0), dtype=np.float64))
    return total, torch.from_numpy(targets.counts().known.astype(np.float64)) - total

"""The loss of a run, from its options and the training set."""

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
        targets: Targets of the training images, for losses that count labels.
        labels: Label names, for files with label weights.

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
    """Builds the loss of a run for the images of a loader; errors as :func:`make_loss`.

    Args:
        config: The options.
        loader: Loader of the training images.
        completion: Provides targets of unknown labels; its initial targets are counted.
        labels: The label names.
    """
    found = getattr(loader.dataset, "targets", None) if completion is None else completion.targets
    return make_loss(config, None if found is None else Targets.of(found), labels)


def refuse_shared_batches(config: TrainConfig, processes: int) -> None:
    """Refuses a loss over the whole batch if several processes share the batch.

    Raises:
        InputError: The message names the losses that support several processes.
    """
    if processes < 2 or not needs_whole_batch(LOSSES[config.loss.name]):
        return
    others = ", ".join(name for name, kind in LOSSES.items() if not needs_whole_batch(kind))
    raise InputError(
        f"loss={config.loss.name}: depends on the whole batch, so it is not for "
        f"devices={processes}, only for 1; losses for several are {others}"
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
    """Sums presence and absence over known entries, soft ones included: ``(L,)`` each."""
    if targets is None:
        raise InputError(f"{option}: needs the targets of the training images")
    values = targets.values
    present = values.clip(0) if isinstance(values, np.ndarray) else values.maximum(0)
    total = torch.from_numpy(np.asarray(present.sum(0), dtype=np.float64))
    return total, torch.from_numpy(targets.counts().known.astype(np.float64)) - total

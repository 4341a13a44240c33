"""Choice between the last stage and the last three stages of the encoder, by leave-one-out."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gatlabel.data import DataSplits
from gatlabel.errors import InputError
from gatlabel.features import TOGETHER, shares_stages
from gatlabel.logs import Log
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.heads.protocols import starts_linear
from gatlabel.training.budget import Budget
from gatlabel.training.config import TrainConfig
from gatlabel.training.starting import Start, fitted_start


def with_stages(
    model: MultiLabelClassifier,
    start: Start,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
    build: Callable[[TrainConfig], MultiLabelClassifier],
    budget: Budget,
    log: Log,
) -> tuple[MultiLabelClassifier, Start]:
    """Uses features of several stages if their leave-one-out error on training images is lower.

    They are extracted in the same pass as those of the last stage, so that this is one more ridge
    regression. It is not done where the encoder will be trained, as initial features do not matter
    much then (docs/studies/stages.md), nor with a learned pooling, which would need another pass.

    Args:
        model: The model, with one stage and an encoder given by name.
        start: Its closed-form initialisation.
        config: The options; ``encoder.stages`` is not set.
        splits: The data.
        completion: Provides targets of unknown training labels; without it they are left out.
        build: Builds a model from options.
        budget: Decides whether the encoder will be trained.
        log: Called with the result.

    Returns:
        The model, another one if it uses several stages, and its initialisation.
    """
    if not shares_stages(model):
        return model, start
    if config.encoder.freeze != "encoder":
        epochs = config.run.epochs
        if budget.epochs(model, start) if epochs is None else epochs:
            return model, start
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.run.seed)  # the same head as if the number had been given
            wide = build(config.with_options({"encoder.stages": TOGETHER}))
    except InputError:  # the encoder has fewer, or they cannot be determined
        return model, start
    wide.encoder.load_state_dict(model.encoder.state_dict())
    wide.image_size = model.image_size
    found = fitted_start(wide, config, splits, completion)
    log(
        f"with the last {TOGETHER} stages of the encoder: val mAP {found.val_map:.4f}, "
        f"leave-one-out error {found.linear.error:.4f}"
    )
    if not found.linear.error < start.linear.error:
        return model, start
    assert starts_linear(wide.head)
    wide.head.init_linear(found.linear.weight, found.linear.bias)
    return wide, found

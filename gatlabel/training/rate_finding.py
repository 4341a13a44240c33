"""Learning-rate search for a run (``--lr find``)."""

from __future__ import annotations

import copy
from functools import partial

from torch.utils.data import DataLoader

from gatlabel.batch import LABELS, Item
from gatlabel.engine import rate_finding
from gatlabel.engine.rate_finding import STEPS
from gatlabel.logs import Log
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.config import TrainConfig
from gatlabel.training.fitting import objective_of, optimizer_of, set_loss, spec_of

DEFAULT_RATE = 3e-3  # for a run without training steps


def with_found_rate(
    config: TrainConfig,
    model: MultiLabelClassifier,
    loader: DataLoader[Item],
    completion: Completion | None = None,
    log: Log = lambda line: None,
) -> TrainConfig:
    """Returns a config with a numeric learning rate, which is searched if ``lr`` is ``find``."""
    if config.optimizer.lr != "find":
        return config
    if not config.run.epochs:  # there are no training steps
        return config.with_options({"optimizer.lr": DEFAULT_RATE})
    rate = find_rate(model, config, loader, completion=completion, log=log)
    return config.with_options({"optimizer.lr": rate})


def find_rate(
    model: MultiLabelClassifier,
    config: TrainConfig,
    loader: DataLoader[Item],
    *,
    completion: Completion | None = None,
    steps: int = STEPS,
    log: Log = lambda line: None,
) -> float:
    """Returns :func:`gatlabel.engine.rate_finding.find_rate` for the options of a run.

    Args:
        model: The initialised model; it is not changed.
        config: The resolved options of the run; their ``lr`` is not used.
        loader: Loader of training images.
        completion: Provides the current targets of unknown labels; it is not updated.
        steps: Steps of a ramp.
        log: Called with one line.

    Raises:
        InputError: See :func:`gatlabel.engine.rate_finding.find_rate`.
    """
    model = copy.deepcopy(model)
    set_loss(model, config, loader, completion)
    return rate_finding.find_rate(
        model,
        partial(objective_of, config, tuple(model.tasks[LABELS].outputs), completion),
        optimizer_of(config),
        spec_of(config),
        loader,
        steps=steps,
        log=log,
    )

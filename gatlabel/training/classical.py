"""Classical methods on the features of a frozen encoder, as the head of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from gatlabel.baselines.classical import CLASSICAL, ClassicalClassifier, ClassicalOptions
from gatlabel.baselines.classical.mlknn import refuse_many
from gatlabel.data import DataSplits
from gatlabel.errors import InputError, require_extra
from gatlabel.logs import Log
from gatlabel.metrics import harden, mean_average_precision
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import HEADS
from gatlabel.options import find, flat
from gatlabel.training.config import TrainConfig
from gatlabel.training.starting import features

#: Treatments of unknown labels after which known targets are present or absent, not soft.
HARD = ("ignore", "negative")
#: Options of a run that need epochs.
_OF_EPOCHS = (
    "run.patience",
    "run.keep",
    "run.refit",
    "run.folds",
    "run.tensorboard",
    "run.devices",
)
#: Options that :func:`require_fittable` checks.
_CHECKED = ("encoder.freeze", "run.epochs")
#: Methods that scikit-learn fits.
_FROM_SKLEARN = ("svm", "logistic", "forest", "chain")


def is_classical(config: TrainConfig) -> bool:
    """Whether the head of a run is a classical method."""
    return isinstance(config.head, ClassicalOptions)


def without_effect(config: TrainConfig) -> Iterator[tuple[str, str]]:
    """Yields the options that do not apply to a classical method, with the reason."""
    only = f"not for head={config.head.name}, which is fitted once; only for {', '.join(HEADS)}"
    for name in options_of_epochs(config):
        yield name, only


def options_of_epochs(config: TrainConfig) -> Iterator[str]:
    """Yields the options that have an effect on epochs of training only."""
    for name in flat(config):
        group = find(config, name.partition(".")[0])
        trains = group.metadata.get("training") or find(config, name).metadata.get("training")
        if name in _OF_EPOCHS or (trains and name not in _CHECKED):
            yield name


def require_fittable(config: TrainConfig) -> None:
    """Refuses options with which a classical method cannot be fitted, before data are read.

    Raises:
        InputError: If the encoder is not frozen, or unknown labels become soft targets.
        MissingExtraError: If scikit-learn is needed and not installed.
    """
    name = config.head.name
    if config.encoder.freeze != "encoder":
        raise InputError(f"head={name}: only with encoder.freeze=encoder (--freeze encoder)")
    if config.run.epochs not in (None, 0):
        raise InputError(
            f"run.epochs={config.run.epochs}: not for head={name}, which is fitted once"
        )
    if config.missing.unknown not in HARD:
        raise InputError(
            f"missing.unknown={config.missing.unknown}: not for head={name}, only for "
            f"{', '.join(HARD)}"
        )
    if getattr(config.head, "decode", "marginals") == "joint":
        decision = config.decision
        if decision.aim != "fixed=0.5" or decision.calibrate != "none":
            raise InputError(
                "head.decode=joint: only with decision.aim=fixed=0.5 and decision.calibrate=none: "
                "other thresholds would change the label sets that it finds"
            )
    if name in _FROM_SKLEARN:
        require_extra("sklearn", "classical")


def fit_classical(
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
    log: Log,
) -> MultiLabelClassifier:
    """Fits a classical method on the features of the training images.

    Args:
        model: Encoder and pooling; its head is not used.
        config: The options of the run.
        splits: The data.
        completion: Provides targets of unknown labels; without it they are left out.
        log: Called with a line about the result.

    Returns:
        A model with the same encoder. The head of a linear method is a linear head.

    Raises:
        InputError: If the fitted method would be too large for a model file. It is not fitted then.
    """
    assert isinstance(config.head, ClassicalOptions)
    if config.head.name == "mlknn":
        refuse_many(len(splits.train))
    found = features(model, splits.train, config)
    targets = splits.train.targets.to_dense() if completion is None else completion.targets
    began = time.perf_counter()
    classifier = ClassicalClassifier(config.head, config.run.seed)
    classifier.fit(found, targets, splits.train.groups)
    seconds = time.perf_counter() - began
    head = classifier.as_head()
    head.labels = model.labels
    fitted = MultiLabelClassifier(
        model.encoder,
        head,
        model.labels,
        pooling=model.pooling_name,
        resize=model.resize,
        image_size=model.image_size,
    )
    fitted.pool = model.pool
    logits = classifier.scores(features(model, splits.val, config))
    targets = harden(splits.val.targets.to_dense())
    figure = float(mean_average_precision(logits, targets).value)
    log(f"{config.head.name} on frozen features: val mAP {figure:.4f}, fitted in {seconds:.1f} s")
    return fitted.eval()


def description_of(options: Any) -> str:
    """Returns a description of a fitted method for the protocol."""
    lines = (CLASSICAL[options.name].__doc__ or "").splitlines()
    return f"fitted on frozen features: {lines[0].rstrip('.')}"

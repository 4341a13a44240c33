"""Closed-form initialisation of a run: ridge regression on features of the untrained encoder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gatlabel.baselines.ridge import LinearStart
from gatlabel.baselines.similarity import SimilarityChoice
from gatlabel.baselines.similarity.start import Sharing, shared_start
from gatlabel.data import DataSplits, ImageSource
from gatlabel.devices import choose_device
from gatlabel.features import extract
from gatlabel.inference import on_device
from gatlabel.logs import Log
from gatlabel.metrics import harden, mean_average_precision
from gatlabel.missing import Completion
from gatlabel.missing.starting import completed_start
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import Head
from gatlabel.nn.heads.protocols import starts_linear
from gatlabel.nn.heads.shared_classifier import SharedClassifierHead
from gatlabel.training.config import TrainConfig

#: A larger image size must reduce the leave-one-out error by at least this share.
LEAST_REDUCTION = 0.002
#: Least error of frequent labels of features that say little: photographs have 0.4 to 0.83, drawn
#: scenes 0.98 to 1.04, with 60 to 600 images (docs/studies/auto.md).
UNINFORMATIVE = 0.9


@dataclass(frozen=True)
class Start:
    """Closed-form classifiers on the features of the untrained encoder.

    Attributes:
        size: Side of the images in pixels.
        linear: The classifiers, and their leave-one-out error.
        val_map: Their mAP on the validation images, 0 to 1, or NaN.
        seconds: Duration of feature extraction and regression.
        fit_seconds: Duration of the regression.
        choice: The similarity with which the head was initialised afterwards, if any was chosen.
    """

    size: int
    linear: LinearStart
    val_map: float
    seconds: float
    fit_seconds: float = 0.0
    choice: SimilarityChoice | None = None

    @property
    def informative(self) -> bool:
        """Whether the features explain a tenth of the frequent labels' variance, or none is known.

        Frequent labels have at least ten presences and ten absences.
        """
        return not self.linear.frequent_error > UNINFORMATIVE


def start_in_closed_form(
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
    log: Log,
    *,
    sizes: Sequence[int] = (),
    allows: Callable[[MultiLabelClassifier, Start], bool] | None = None,
) -> Start | None:
    """Initialises the head by ridge regression and logs its metrics on validation images.

    The encoder is applied to training and validation images, resized but not cropped, once for
    every size. Features are cached, so that another head or graph does not need to extract them.

    Args:
        model: The new model; its head and image size are changed in place, its modes are kept.
        config: The options of the run.
        splits: The data.
        completion: Provides targets of unknown training labels; without it they are left out.
        log: Called with one line per size.
        sizes: Image sizes to try, ascending, until a larger one no longer reduces the leave-one-out
            error on the training images or the time is over; by default the model's.
        allows: Whether there is time for another size, which the model has, after the given
            initialisation; by default there is.

    Returns:
        The initialisation, or ``None`` for a head that cannot be initialised as a linear
        classifier.

    Raises:
        InputError: If an image cannot be decoded, or the features cannot be written.
    """
    if not starts_linear(model.head):
        return None
    best: Start | None = None
    for size in sizes or (model.image_size,):
        model.image_size = size
        if best is not None and allows is not None and not allows(model, best):
            log(f"images of {size} px would take longer than the remaining time")
            break
        found = fitted_start(model, config, splits, completion)
        error = found.linear.error
        log(
            f"{'first model' if best is None else 'also tried'}: ridge regression on frozen "
            f"features at {size} px, val mAP {found.val_map:.4f}, leave-one-out error "
            f"{error:.4f}, {found.seconds:.1f} s"
        )
        if best is not None and not error < best.linear.error * (1 - LEAST_REDUCTION):
            break
        best = found
    assert best is not None
    model.image_size = best.size
    model.head.init_linear(best.linear.weight, best.linear.bias)
    return best


def fitted_start(
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
) -> Start:
    """Fits classifiers on the features of a model, which is not changed."""
    began = time.perf_counter()
    targets = splits.train.targets.to_dense()
    found, groups = features(model, splits.train, config), splits.train.groups
    extracted = time.perf_counter()
    linear = regression(found, targets, completion, model.head, groups)
    fitted = time.perf_counter() - extracted
    figure = validation_map(linear, features(model, splits.val, config), splits.val)
    return Start(model.image_size, linear, figure, time.perf_counter() - began, fitted)


def regression(
    found: Tensor,
    targets: Tensor,
    completion: Completion | None,
    head: Head,
    groups: Sequence[str] | None = None,
    choice: SimilarityChoice | None = None,
) -> LinearStart:
    """Fits the classifiers of a head on features of training images.

    If unknown targets are completed, the fit is
    :func:`~gatlabel.missing.starting.completed_start`. Labels share classifiers as chosen, without
    a choice as in the head. If the head cannot share, they do as in the graph of the completion.

    Args:
        found: Features, ``(N, D)``.
        targets: ``(N, L)``, -1 for unknown.
        completion: Provides targets of unknown labels; without it they are left out.
        head: The head.
        groups: The group of each image; images of one group are left out together.
        choice: The chosen similarity, if the head was built for it. A head has only its mixing
            matrix, which lacks the map to classifiers of labels without evidence of their own.
    """
    start = partial(shared_start, found, groups=groups)
    sharing: Sharing = choice
    if completion is None or bool(completion.known.all()):
        if sharing is None and starts_linear(head):
            sharing = head.mixing_matrix()
        return start(targets, sharing)
    if sharing is None:
        shared = head if isinstance(head, SharedClassifierHead) else completion
        sharing = shared.mixing_matrix()
    return completed_start(start, completion, found, sharing, groups)


def validation_map(linear: LinearStart, found: Tensor, val: ImageSource) -> float:
    """Returns the mAP, 0 to 1 or NaN, of classifiers on the features of validation images."""
    logits = found @ linear.weight.T + linear.bias
    return float(mean_average_precision(logits, harden(val.targets.to_dense())).value)


def features(model: MultiLabelClassifier, source: ImageSource, config: TrainConfig) -> Tensor:
    """Returns pooled features ``(N, D)`` of uncropped images, from the cache if available.

    As long as the number of stages is not chosen, those of several are extracted in one pass.
    """
    cache, together = config.images.cache_folder, config.encoder.stages is None
    with on_device(model, choose_device(config.run.device)):
        return torch.tensor(extract(model, source, "pooled", cache, together=together).open())

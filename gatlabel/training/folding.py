"""Out-of-fold predictions for training images: ``--folds``."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatlabel.baselines.similarity import SimilarityChoice
from gatlabel.data import DataSplits, ImageSource, folds
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.interruptions import Signals
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.heads.protocols import starts_linear
from gatlabel.training.building import build_completion
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import training_loader
from gatlabel.training.evidence import Evidence, without_residual
from gatlabel.training.fitting import fit
from gatlabel.training.out_of_fold import out_of_fold
from gatlabel.training.refitting import refit
from gatlabel.training.starting import features, regression


def folds_of(config: TrainConfig, source: ImageSource) -> NDArray[np.int64]:
    """Returns the fold of each training image: stratified by label, with groups kept together.

    Raises:
        InputError: If there are too few images or groups, or a group is too large for a fold.
    """
    assert config.run.folds is not None
    return folds(source.targets, config.run.folds, groups=source.groups, seed=config.run.seed)


def require_folds(config: TrainConfig, source: ImageSource, graph: LabelGraph) -> None:
    """Checks that training without each of the folds is possible, before anything is trained.

    Args:
        config: The options; nothing is checked without ``folds``.
        source: The training images.
        graph: The label graph, with which unknown targets are completed.

    Raises:
        InputError: As :func:`folds_of`, or if the images outside a fold do not suffice.
    """
    if not config.run.folds:
        return
    option = f"folds={config.run.folds}"
    try:
        fold_of = folds_of(config, source)
        for fold in range(config.run.folds):
            rest = np.flatnonzero(fold_of != fold)
            if len(rest) < 2:
                raise InputError("only one image would be left for training")
            targets = source.targets.take(rest)
            build_completion(config, config.missing.unknown, targets, graph)
    except InputError as error:
        message = str(error)
        raise InputError(message if option in message else f"{option}: {message}") from error


def fold_evidence(
    untrained: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    signals: Signals | None,
    log: Log,
    *,
    graph: LabelGraph,
    choice: SimilarityChoice | None = None,
) -> tuple[Evidence, NDArray[np.int64]]:
    """Repeats initialisation and training without each fold of the training images in turn.

    The folds are those of :func:`folds_of`. Each model is initialised by regression
    on the images of the other folds. Choices that were made on all training images (resolution,
    similarity) are kept.

    Args:
        untrained: The model before its training; it is not changed.
        config: The resolved options, with ``folds``.
        splits: The data.
        signals: Checked before every step for a signal that ends the process.
        log: Called with one line per fold.
        graph: The graph by which unknown labels are completed, also for a head without one.
        choice: The similarity with which the head was initialised.

    Returns:
        The logits of all training images, and the fold of each.
    """
    source = splits.train
    fold_of = folds_of(config, source)
    starts = getattr(config.head, "start", None) == "ridge"
    targets = source.targets.to_dense()
    kept = features(untrained, source, config) if starts else None
    found = {name: torch.zeros_like(targets) for name in ("start", "linear")}

    def fit_predict(
        rows: NDArray[np.int64], held: NDArray[np.int64], fold: int
    ) -> NDArray[np.float32]:
        log(f"fold {fold + 1} of {config.run.folds}: training on {len(rows)} images")
        model = copy.deepcopy(untrained)
        part = dataclasses.replace(splits, train=source.subset(rows.tolist()))
        completion = build_completion(config, config.missing.unknown, part.train.targets, graph)
        if kept is not None:
            known = part.train.targets.to_dense()
            groups = part.train.groups
            start = regression(kept[rows], known, completion, model.head, groups, choice)
            assert starts_linear(model.head)
            model.head.init_linear(start.weight, start.bias)
            found["start"][held] = kept[held] @ start.weight.T + start.bias
        if not config.run.epochs:
            return found["start"][held].numpy()
        quiet = config.with_options({"run.keep": "last", "run.patience": 0})
        batches = training_loader(part.train, model, quiet)
        fit(model, quiet, (batches, None), None, completion=completion, signals=signals)
        if config.run.refit:
            refit(model, config, part.train, completion, choice)
        logits, linear = without_residual(model, source.subset(held.tolist()), config)
        found["linear"][held] = linear
        return logits.numpy()

    trained = torch.from_numpy(out_of_fold(targets.numpy(), fold_of, fit_predict))
    evidence = Evidence(
        "out-of-fold",
        targets,
        found["start"] if starts else None,
        trained if config.run.epochs else None,
        found["linear"] if config.run.epochs else None,
        source.groups,
    )
    return evidence, fold_of


def scores_of(evidence: Evidence, kept: bool, factor: float) -> Tensor:
    """Returns the out-of-fold logits ``(N, L)`` of the weights that were kept."""
    if not kept or evidence.trained is None or evidence.linear is None:
        assert evidence.start is not None
        return evidence.start
    return evidence.linear + factor * (evidence.trained - evidence.linear)

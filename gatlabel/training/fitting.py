"""Conversion of the options of a run to those of the engine: objective, optimiser, fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.data import DataLoader

from gatlabel.batch import IMAGE, LABELS
from gatlabel.engine import fitting
from gatlabel.engine.callbacks import WriteRows
from gatlabel.engine.checkpoints import Checkpoint
from gatlabel.engine.fitting import Loaders
from gatlabel.engine.module import TrainingModule
from gatlabel.engine.options import OptimizerOptions
from gatlabel.engine.ranks import Ranks
from gatlabel.engine.specs import FitSpec
from gatlabel.engine.supervised import Supervised
from gatlabel.engine.supervised import Teacher as Taught
from gatlabel.errors import require_extra
from gatlabel.interruptions import Signals
from gatlabel.logs import Log
from gatlabel.losses.options import DistillationOptions
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.config import TrainConfig
from gatlabel.training.losses import loss_for
from gatlabel.training.options import RunOptions
from gatlabel.training.teacher import Teacher

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger


def optimizer_of(config: TrainConfig) -> OptimizerOptions:
    """Returns the optimiser of a run; only the learning rate of heads may be unset."""
    return config.resolved().optimizer


def spec_of(config: TrainConfig) -> FitSpec:
    """Returns the fit specification of a run."""
    decay = getattr(config.head, "residual_decay", FitSpec.residual_decay)
    return replace(spec_of_run(config.resolved().run), residual_decay=decay)


def spec_of_run(run: RunOptions) -> FitSpec:
    """Returns the fit specification for the resolved options of a run."""
    assert run.epochs is not None  # resolved options have them
    return FitSpec(
        epochs=run.epochs,
        seed=run.seed,
        device=run.device,
        amp=run.amp,
        compile=run.compile,
        on_nan=run.on_nan,
        patience=run.patience,
        keep="best" if run.keep == "best" else "last",
        progress=run.progress,
    )


def objective_of(
    config: TrainConfig, labels: Sequence[str], completion: Completion | None
) -> Supervised:
    """Returns the objective of a multi-label classifier.

    Args:
        config: The options, which may name a teacher.
        labels: The labels.
        completion: Provides targets of unknown labels.
    """
    completions = {} if completion is None else {LABELS: completion}
    taught = taught_by(config.distillation, labels)
    return Supervised(completions=completions, teachers={} if taught is None else {LABELS: taught})


def taught_by(options: DistillationOptions, labels: Sequence[str]) -> Taught | None:
    """Returns the function from inputs and targets to targets that a teacher has changed.

    Args:
        options: They may name a teacher; ``None`` is returned where they name none.
        labels: Those of the targets.

    Raises:
        InputError: As :meth:`Teacher.load`.
    """
    teacher = Teacher.load(options, labels)
    if teacher is None:
        return None

    def taught(inputs: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        return teacher.mixed(inputs[IMAGE], targets)

    return taught


def set_loss(
    model: MultiLabelClassifier,
    config: TrainConfig,
    loader: DataLoader[Any],
    completion: Completion | None,
) -> None:
    """Sets the loss of a model to the one the options name, unless a loss was given from Python."""
    if not model.has_loss:
        model.set_loss(loss_for(config, loader, completion, model.labels))


def module_of(
    model: MultiLabelClassifier,
    config: TrainConfig,
    steps_per_epoch: int,
    completion: Completion | None = None,
) -> TrainingModule:
    """Returns the training module of a run, for training steps outside of a run."""
    objective = objective_of(config, tuple(model.tasks[LABELS].outputs), completion)
    return TrainingModule(model, objective, optimizer_of(config), spec_of(config), steps_per_epoch)


def fit(
    model: MultiLabelClassifier,
    config: TrainConfig,
    loaders: Loaders,
    checkpoints: Path | None,
    *,
    record: Mapping[str, Any] | None = None,
    resume: Checkpoint | None = None,
    logs: Path | None = None,
    write_curves: WriteRows = lambda rows: None,
    completion: Completion | None = None,
    signals: Signals | None = None,
    ranks: Ranks | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    log: Log = lambda line: None,
) -> list[dict[str, float]]:
    """Trains a model in place according to the options of a run.

    Args:
        model: The model, with its loss.
        config: The options.
        loaders: Loaders of training and of validation images, or ``None`` for no validation.
        checkpoints: Folder for checkpoints; ``None`` writes none.
        record: See :func:`gatlabel.engine.fitting.fit`; so are arguments that are not listed here.
        resume: Checkpoint to resume from.
        logs: Folder for TensorBoard logs; ``None`` writes none.
        write_curves: Called with all rows of the learning curves after every epoch.
        completion: Provides unknown training targets; ``None`` leaves them unknown.
        signals: Checked before every step for a signal that ends the process.
        ranks: The connected processes that train together.
        callbacks: Further Lightning callbacks.
        loggers: Further Lightning loggers.
        log: Called with warnings, one line each.

    Returns:
        The learning curves, one row per epoch.

    Raises:
        InputError: As the engine's.
    """
    set_loss(model, config, loaders[0], completion)
    return fitting.fit(
        model,
        loaders,
        objective_of(config, model.labels, completion),
        optimizer_of(config),
        spec_of(config),
        checkpoints=checkpoints,
        record=record,
        resume=resume,
        callbacks=callbacks,
        loggers=[*tensorboard_loggers(logs), *loggers],
        write_curves=write_curves,
        signals=signals,
        ranks=ranks,
        log=log,
    )


def tensorboard_loggers(folder: Path | None) -> list[Logger]:
    """Returns a logger that writes to ``tensorboard`` in a folder; none without a folder.

    Raises:
        MissingExtraError: If the extra ``tensorboard`` is not installed.
    """
    if folder is None:
        return []
    require_extra("tensorboard", "tensorboard")
    from lightning.pytorch.loggers import TensorBoardLogger

    return [TensorBoardLogger(folder, name="", version="tensorboard")]

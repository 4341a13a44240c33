"""Fits one model with Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import nn
from torch.utils.data import DataLoader

from gatlabel.batch import Item
from gatlabel.data.loading import share_of
from gatlabel.devices import choose_device
from gatlabel.errors import InputError, first_line, require_extra
from gatlabel.interruptions import Signals
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.targets import Targets
from gatlabel.training.averaging import MovingAverage
from gatlabel.training.callbacks import Curves, Interruptible, WriteRows
from gatlabel.training.checkpoints import BEST, Checkpoint, Log, read_checkpoint
from gatlabel.training.config import TrainConfig
from gatlabel.training.epoch_checkpoints import EpochCheckpoints, resume_from
from gatlabel.training.losses import loss_for
from gatlabel.training.module import TrainingModule
from gatlabel.training.nonfinite import NonFiniteGuard
from gatlabel.training.ranks import Ranks, RanksEnvironment


def precision_of(config: TrainConfig) -> Any:
    """Returns Lightning's name of the precision: bf16 or fp16 mixed precision, or float32."""
    kind = choose_device(config.run.device).type
    if config.run.amp == "off" or (config.run.amp == "auto" and kind != "cuda"):
        return "32-true"
    if kind != "cuda" or torch.cuda.is_bf16_supported():
        return "bf16-mixed"
    return "16-mixed"


def fit(
    model: MultiLabelClassifier,
    config: TrainConfig,
    loaders: tuple[DataLoader[Item], DataLoader[Item]],
    checkpoints: Path | None,
    *,
    record: Mapping[str, Any] | None = None,
    resume: Checkpoint | None = None,
    logs: Path | None = None,
    write_curves: WriteRows = lambda rows: None,
    completion: Completion | None = None,
    signals: Signals | None = None,
    ranks: Ranks | None = None,
    log: Log = lambda line: None,
) -> list[dict[str, float]]:
    """Trains a model in place.

    Args:
        model: The model; afterwards it holds the weights that ``config.run.keep`` names, averaged
            where ``config.optimizer.ema`` is on, in evaluation mode on the CPU.
        config: The options.
        loaders: Of training and of validation images.
        checkpoints: Folder for checkpoints; none writes none.
        record: Primitives that checkpoints keep beside the state, under ``run``.
        resume: Checkpoint to go on from.
        logs: Folder for TensorBoard logs; none writes none.
        write_curves: Called with all rows of the learning curves after every epoch.
        completion: Fills in unknown training targets; none leaves them as they are.
        signals: Asked before every step whether the process should end.
        ranks: The connected processes that train together, each of which calls this; none where
            there is only this one. Only the first is given folders and functions to call.
        log: Called with warnings, a line each.

    Returns:
        The learning curves, one row per epoch.

    Raises:
        InputError: If the checkpoint does not fit the model, a value is not finite, an extra is
            missing, or there is no compiler for ``config.run.compile``.
    """
    if ranks is not None:
        loaders = tuple(share_of(each, ranks.rank, ranks.size) for each in loaders)  # type: ignore[assignment]
    train_loader, val_loader = loaders
    device = choose_device(config.run.device)
    measured = _is_measurable(val_loader, config, log)
    curves = Curves(write_curves)
    callbacks: list[Callback] = [curves]
    if signals is not None:
        callbacks.append(Interruptible(signals))
    if config.optimizer.ema:
        callbacks.append(MovingAverage(config.optimizer.ema))
    if config.run.patience and measured:
        callbacks.append(EarlyStopping("val_mAP", mode="max", patience=config.run.patience))
    if checkpoints is not None:
        callbacks.append(EpochCheckpoints(checkpoints, record or {}))
    if config.run.progress and (ranks is None or not ranks.rank):
        from lightning.pytorch.callbacks import RichProgressBar

        callbacks.append(RichProgressBar(leave=False))
    source = getattr(train_loader.dataset, "source", None)
    guard = NonFiniteGuard(
        config.run.on_nan, getattr(source, "ids", ()), checkpoints and checkpoints.parent, log
    )
    if ranks is not None:
        guard.gather = ranks.gather_batch
    loss = loss_for(config, train_loader, completion, model.labels)
    module = TrainingModule(model, config, len(train_loader), completion, guard, ranks, loss)
    if resume is not None and resume.complete:
        curves.rows = _finished_rows(resume)
        _load_weights(module, resume)
    else:
        with _quiet():
            trainer = pl.Trainer(
                accelerator=device.type,
                **_processes(ranks, device),
                precision=precision_of(config),
                max_epochs=config.run.epochs,
                gradient_clip_val=config.optimizer.clip_gradient or None,
                callbacks=callbacks,
                logger=_logger(logs),
                enable_checkpointing=checkpoints is not None,
                enable_model_summary=False,
                enable_progress_bar=config.run.progress,
                num_sanity_val_steps=0,
                log_every_n_steps=1,
            )
            if resume is not None:
                resume_from(trainer, resume)
            _run(trainer, module, loaders, config, resume)
    if config.run.keep == "best" and measured and checkpoints is not None:
        _keep_best(module, checkpoints, log)
    model.cpu().eval()
    return curves.rows


def _processes(ranks: Ranks | None, device: torch.device) -> dict[str, Any]:
    """Returns the arguments of the trainer that say on how many devices it runs, and how."""
    if ranks is None:
        # one process, whatever the environment says of tasks
        devices = 1 if device.index is None else [device.index]
        return {"devices": devices, "plugins": [LightningEnvironment()]}
    from lightning.pytorch.strategies import DDPStrategy

    strategy = DDPStrategy(
        cluster_environment=RanksEnvironment(ranks),
        static_graph=True,  # what a head leaves out, it leaves out in every step
        broadcast_buffers=False,  # equal: statistics are those of the whole batch
    )
    return {
        "devices": ranks.local_size,
        "num_nodes": ranks.size // ranks.local_size,
        "strategy": strategy,
        "use_distributed_sampler": False,
    }


def _run(
    trainer: pl.Trainer,
    module: TrainingModule,
    loaders: tuple[DataLoader[Item], DataLoader[Item]],
    config: TrainConfig,
    resume: Checkpoint | None,
) -> None:
    path = None if resume is None else resume.path
    try:
        with compiled(module.model.encoder, config.run.compile):
            trainer.fit(module, *loaders, ckpt_path=path, weights_only=True)
    except RuntimeError as error:
        reason = first_line(error)
        if config.run.compile and "compiler" in str(error):
            raise InputError(f"compile: torch.compile failed ({reason}); leave it out") from error
        if path is not None and ("loading state_dict" in str(error) or "size of tensor" in reason):
            raise InputError(f"the checkpoint {path} does not fit the run's model") from error
        if "DataLoader worker" in str(error):
            raise InputError(
                f"a process that loads images ended: {reason} Fewer --workers need less memory"
            ) from error
        raise


def _is_measurable(loader: DataLoader[Item], config: TrainConfig, log: Log) -> bool:
    """Whether validation mAP exists; if not, what goes by it is left out, and that is said."""
    targets = getattr(loader.dataset, "targets", None)
    if targets is None:
        return True
    counts = Targets.of(targets).counts()
    if ((counts.present > 0) & (counts.absent > 0)).any():
        return True
    unused = [f"patience={config.run.patience}"] if config.run.patience else []
    unused += ["keep=best"] if config.run.keep == "best" else []
    if unused:
        log(
            "note: no label has both presences and absences among the validation images, so there "
            f"is no validation mAP to go by: {' and '.join(unused)} without effect, all epochs are "
            "trained and the last is kept"
        )
    return False


def _keep_best(module: TrainingModule, checkpoints: Path, log: Log) -> None:
    """Loads the weights of the best epoch; where their file is damaged, the last ones stay."""
    try:
        _load_weights(module, read_checkpoint(checkpoints / BEST))
    except InputError as error:
        log(f"warning: {error}; the weights of the last epoch are kept")


def _finished_rows(checkpoint: Checkpoint) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = checkpoint.state["callbacks"][Curves.__qualname__]["rows"]
    return list(rows)


@contextmanager
def compiled(module: nn.Module, wanted: bool) -> Iterator[None]:
    """Lets a module run compiled; its parameters keep their names, and afterwards it is itself."""
    if wanted:
        module.compile()
    try:
        yield
    finally:
        if wanted:
            module._compiled_call_impl = None


def _load_weights(module: TrainingModule, checkpoint: Checkpoint) -> None:
    """Loads the weights that evaluation uses: the averaged ones, where they are averaged."""
    try:
        module.load_state_dict(checkpoint.state["state_dict"])
    except (RuntimeError, KeyError) as error:
        raise InputError(
            f"the checkpoint {checkpoint.path} does not fit the run's model"
        ) from error


def _logger(folder: Path | None) -> Any:
    if folder is None:
        return False
    require_extra("tensorboard", "tensorboard")
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard")


class _quiet(warnings.catch_warnings):  # noqa: N801 - a context manager, used as a function
    """Keeps Lightning's advice and banners out of the terminal."""

    def __enter__(self) -> None:
        super().__enter__()
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        # a data set of hundreds of images on two cores is what we mean: no advice on workers
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*in eval mode at the start.*")  # frozen parts
        # metrics are computed on the whole split, by each process alike
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning.*")

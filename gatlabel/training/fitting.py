"""Fits one model with Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from gatlabel.data.dataset import Item
from gatlabel.errors import InputError, require_extra
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.averaging import MovingAverage
from gatlabel.training.completion import Completion
from gatlabel.training.config import TrainConfig
from gatlabel.training.module import TrainingModule

WriteRows = Callable[[list[dict[str, float]]], None]


class Curves(Callback):
    """Collects one row of numbers an epoch, and keeps them over interruptions.

    Args:
        write: Called with all rows after every epoch.

    Attributes:
        rows: ``{"epoch": 0, "train_loss": …, "val_loss": …, "val_mAP": …, "lr": …}``.
        epochs_seen: Epochs trained by this process.
    """

    def __init__(self, write: WriteRows) -> None:
        self.rows: list[dict[str, float]] = []
        self.epochs_seen = 0
        self.write = write

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the numbers that the module logged, and the head's learning rate."""
        values = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        values["lr"] = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        self.rows.append({"epoch": trainer.current_epoch, **values})
        self.epochs_seen += 1
        self.write(self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Returns the rows for the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])


def device_of(config: TrainConfig) -> torch.device:
    """Returns the device that ``device`` asks for.

    Raises:
        InputError: If CUDA is asked for and there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device=cuda, but torch sees no CUDA device; use auto or cpu")
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def precision_of(config: TrainConfig) -> Any:
    """Returns Lightning's name of the precision: bf16 or fp16 mixed precision, or float32."""
    device = device_of(config)
    if config.amp == "off" or (config.amp == "auto" and device.type == "cpu"):
        return "32-true"
    if device.type == "cpu" or torch.cuda.is_bf16_supported():
        return "bf16-mixed"
    return "16-mixed"


def fit(
    model: MultiLabelClassifier,
    config: TrainConfig,
    loaders: tuple[DataLoader[Item], DataLoader[Item]],
    checkpoints: Path | None,
    *,
    resume: Path | None = None,
    logs: Path | None = None,
    write_curves: WriteRows = lambda rows: None,
    completion: Completion | None = None,
) -> list[dict[str, float]]:
    """Trains a model in place.

    Args:
        model: The model; afterwards it holds the weights that ``config.keep`` names, averaged
            where ``config.ema`` is on, in evaluation mode on the CPU.
        config: The options.
        loaders: Of training and of validation pictures.
        checkpoints: Folder for ``last.ckpt`` and ``best.ckpt``; none writes none.
        resume: Checkpoint to go on from.
        logs: Folder for TensorBoard logs; none writes none.
        write_curves: Called with all rows of the learning curves after every epoch.
        completion: What becomes of unknown training targets; none leaves them as they are.

    Returns:
        The learning curves, a row an epoch.

    Raises:
        InputError: If the checkpoint does not fit the model, an extra is missing, or there is no
            compiler for ``config.compile``.
    """
    train_loader, val_loader = loaders
    curves = Curves(write_curves)
    callbacks: list[Callback] = [curves]
    if config.ema:
        callbacks.append(MovingAverage(config.ema))
    if config.patience:
        callbacks.append(EarlyStopping("val_mAP", mode="max", patience=config.patience))
    best: ModelCheckpoint | None = None
    if checkpoints is not None:
        best = ModelCheckpoint(
            checkpoints,
            filename="best",
            monitor="val_mAP",
            mode="max",
            save_last=True,
            enable_version_counter=False,
        )
        callbacks.append(best)
    if config.progress:
        from lightning.pytorch.callbacks import RichProgressBar

        callbacks.append(RichProgressBar(leave=False))
    device = device_of(config)
    module = TrainingModule(model, config, len(train_loader), completion)
    with _quiet():
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            precision=precision_of(config),
            max_epochs=config.epochs,
            gradient_clip_val=config.clip_gradient or None,
            callbacks=callbacks,
            logger=_logger(logs),
            enable_checkpointing=checkpoints is not None,
            enable_model_summary=False,
            enable_progress_bar=config.progress,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        try:
            with compiled(model.encoder, config.compile):
                trainer.fit(module, train_loader, val_loader, ckpt_path=resume, weights_only=True)
        except RuntimeError as error:
            if config.compile and "compiler" in str(error):
                reason = str(error).splitlines()[0]
                raise InputError(
                    f"compile: torch.compile failed ({reason}); leave it out"
                ) from error
            if resume is not None and "Error(s) in loading state_dict" in str(error):
                raise InputError(f"the checkpoint {resume} does not fit the run's model") from error
            raise
    if resume is not None and not curves.epochs_seen:
        _load_averaged(module, resume)  # nothing was left to train, and Lightning loads raw weights
    if config.keep == "best" and best is not None and best.best_model_path:
        _load_averaged(module, Path(best.best_model_path))
    model.cpu().eval()
    return curves.rows


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


def _load_averaged(module: TrainingModule, path: Path) -> None:
    state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(state["state_dict"])


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
        # a data set of hundreds of pictures on two cores is what we mean: no advice on workers
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*in eval mode at the start.*")  # frozen parts
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning.*")

"""Training of a model with Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.utils.data import DataLoader

from gatlabel.data.loading import share_of
from gatlabel.devices import choose_device
from gatlabel.engine.averaging import MovingAverage
from gatlabel.engine.callbacks import Curves, Interruptible, WriteRows
from gatlabel.engine.checkpoints import BEST, Checkpoint, read_checkpoint
from gatlabel.engine.epoch_checkpoints import EpochCheckpoints, resume_from
from gatlabel.engine.epoch_lines import EpochLines
from gatlabel.engine.module import TrainingModule
from gatlabel.engine.nonfinite import NonFiniteGuard
from gatlabel.engine.objectives import Objective
from gatlabel.engine.options import OptimizerOptions
from gatlabel.engine.ranks import Ranks, RanksEnvironment
from gatlabel.engine.specs import FitSpec
from gatlabel.errors import InputError, first_line
from gatlabel.interruptions import Signals
from gatlabel.logs import Log
from gatlabel.model import Network
from gatlabel.printing import on_terminal
from gatlabel.targets import Targets

Loaders = tuple[DataLoader[Any], DataLoader[Any] | None]


def precision_of(spec: FitSpec) -> Any:
    """Returns Lightning's name of the precision: bf16 or fp16 mixed precision, or float32."""
    kind = choose_device(spec.device).type
    if spec.amp == "off" or (spec.amp == "auto" and kind != "cuda"):
        return "32-true"
    if kind != "cuda" or torch.cuda.is_bf16_supported():
        return "bf16-mixed"
    return "16-mixed"


def fit(
    model: Network,
    loaders: Loaders,
    objective: Objective,
    optimizer: OptimizerOptions,
    spec: FitSpec,
    *,
    checkpoints: Path | None = None,
    record: Mapping[str, Any] | None = None,
    resume: Checkpoint | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    write_curves: WriteRows = lambda rows: None,
    signals: Signals | None = None,
    ranks: Ranks | None = None,
    log: Log = lambda line: None,
) -> list[dict[str, float]]:
    """Trains a model in place.

    Args:
        model: The model. At the end it has the weights that ``spec.keep`` names, averaged if
            ``optimizer.ema`` is above 0, and is in evaluation mode on the CPU.
        loaders: Loaders of training and validation batches (:class:`~gatlabel.batch.Batch`).
            Without validation batches (``None``) the weights are those of the last epoch.
        objective: Computes the losses.
        optimizer: The optimiser and its schedule; rates are numbers.
        spec: Duration, device and further settings of training.
        checkpoints: Folder for checkpoints; ``None`` writes none.
        record: Primitives that checkpoints store under ``run``.
        resume: Checkpoint to resume from.
        callbacks: Further Lightning callbacks; their states are restored too.
        loggers: Lightning loggers.
        write_curves: Called with all rows of the learning curves after every epoch.
        signals: Checked before every step for a signal that ends the process.
        ranks: The connected processes that train together, each of which calls this function;
            ``None`` for a single process. Only the first one has folders and functions to call.
        log: Called with warnings, one line each.

    Returns:
        The learning curves, one row per epoch.

    Raises:
        InputError: If the checkpoint does not fit the model, a value is not finite, an extra is
            missing, there is no compiler for ``spec.compile``, or ``patience`` or ``keep=best``
            has no validation batches.
    """
    train, val = loaders
    if val is None and (spec.patience or spec.keep == "best"):
        raise InputError("patience and keep=best need a loader of validation images")
    if ranks is not None:
        train = share_of(train, ranks.rank, ranks.size)
        val = None if val is None else share_of(val, ranks.rank, ranks.size)
    device = choose_device(spec.device)
    source = getattr(train.dataset, "source", None)
    ids, folder = getattr(source, "ids", ()), checkpoints and checkpoints.parent
    guard = NonFiniteGuard(spec.on_nan, ids, folder, log)
    if ranks is not None:
        guard.gather = ranks.gather_batch
    module = TrainingModule(model, objective, optimizer, spec, len(train), guard, ranks)
    objective.prepare(model, val)
    measured = val is not None and objective.monitor is not None and _is_measurable(val, spec, log)
    curves = Curves(write_curves)
    every: list[Callback] = [curves]
    if signals is not None:
        every.append(Interruptible(signals))
    if optimizer.ema:
        every.append(MovingAverage(optimizer.ema))
    if spec.patience and measured:
        every.append(EarlyStopping(objective.monitor or "", mode="max", patience=spec.patience))
    if checkpoints is not None:
        every.append(EpochCheckpoints(checkpoints, record or {}, objective.monitor))
    bar = spec.progress and on_terminal("stderr")
    if ranks is None or not ranks.rank:
        if bar:
            from lightning.pytorch.callbacks import RichProgressBar

            every.append(RichProgressBar(leave=False, console_kwargs={"stderr": True}))
        else:
            every.append(EpochLines(log))
    every += callbacks
    if resume is not None and resume.complete:
        curves.rows = _finished_rows(resume)
        _load_weights(module, resume)
    else:
        with _quiet():
            trainer = pl.Trainer(
                accelerator=device.type,
                **_processes(ranks, device),
                precision=precision_of(spec),
                max_epochs=spec.epochs,
                gradient_clip_val=optimizer.clip_gradient or None,
                callbacks=every,
                logger=list(loggers) or False,
                enable_checkpointing=checkpoints is not None,
                enable_model_summary=False,
                enable_progress_bar=bar,
                num_sanity_val_steps=0,
                log_every_n_steps=1,
            )
            if resume is not None:
                resume_from(trainer, resume)
            _run(trainer, module, (train, val), spec, resume)
    if spec.keep == "best" and measured and checkpoints is not None:
        _keep_best(module, checkpoints, log)
    model.cpu().eval()
    return curves.rows


def _processes(ranks: Ranks | None, device: torch.device) -> dict[str, Any]:
    """Returns the trainer's arguments for devices and strategy."""
    if ranks is None:
        # one process, whatever the environment variables say about tasks
        devices = 1 if device.index is None else [device.index]
        return {"devices": devices, "plugins": [LightningEnvironment()]}
    from lightning.pytorch.strategies import DDPStrategy

    strategy = DDPStrategy(
        cluster_environment=RanksEnvironment(ranks),
        static_graph=True,  # parameters that a head does not use are unused in every step
        broadcast_buffers=False,  # they are equal: statistics are those of the whole batch
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
    loaders: Loaders,
    spec: FitSpec,
    resume: Checkpoint | None,
) -> None:
    path = None if resume is None else resume.path
    try:
        with ExitStack() as stack:
            for encoder in module.model.encoders.values():
                stack.enter_context(compiled(encoder, spec.compile))
            trainer.fit(module, *loaders, ckpt_path=path, weights_only=True)
    except RuntimeError as error:
        reason = first_line(error)
        if spec.compile and "compiler" in str(error):
            raise InputError(
                f"compile: torch.compile failed ({reason}); omit the option"
            ) from error
        if path is not None and ("loading state_dict" in str(error) or "size of tensor" in reason):
            raise InputError(f"the checkpoint {path} does not fit the run's model") from error
        if "DataLoader worker" in str(error):
            raise InputError(
                f"a process that loads images has ended: {reason} Fewer --workers need less memory"
            ) from error
        raise


def _is_measurable(loader: DataLoader[Any], spec: FitSpec, log: Log) -> bool:
    """Whether validation mAP is defined; if not, a note about options without effect is logged."""
    targets = getattr(loader.dataset, "targets", None)
    if not isinstance(targets, Targets | torch.Tensor):
        return True
    counts = Targets.of(targets).counts()
    if ((counts.present > 0) & (counts.absent > 0)).any():
        return True
    unused = [f"patience={spec.patience}"] if spec.patience else []
    unused += ["keep=best"] if spec.keep == "best" else []
    if unused:
        log(
            "note: no label is both present and absent in validation images, so validation mAP is "
            f"not defined: {' and '.join(unused)} without effect, all epochs are trained and the "
            "last one is kept"
        )
    return False


def _keep_best(module: TrainingModule, checkpoints: Path, log: Log) -> None:
    """Loads the weights of the best epoch; if their file is damaged, the last ones are kept."""
    try:
        _load_weights(module, read_checkpoint(checkpoints / BEST))
    except InputError as error:
        log(f"warning: {error}; the weights of the last epoch are kept")


def _finished_rows(checkpoint: Checkpoint) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = checkpoint.state["callbacks"][Curves.__qualname__]["rows"]
    return list(rows)


@contextmanager
def compiled(module: nn.Module, wanted: bool) -> Iterator[None]:
    """Compiles a module within the context; its parameters keep their names."""
    if wanted:
        module.compile()
    try:
        yield
    finally:
        if wanted:
            module._compiled_call_impl = None


def _load_weights(module: TrainingModule, checkpoint: Checkpoint) -> None:
    """Loads the weights for evaluation: the averaged ones if there are any."""
    try:
        module.load_state_dict(checkpoint.state["state_dict"])
    except (RuntimeError, KeyError) as error:
        raise InputError(
            f"the checkpoint {checkpoint.path} does not fit the run's model"
        ) from error


class _quiet(warnings.catch_warnings):  # noqa: N801 - a context manager, used as a function
    """Suppresses Lightning's advice and banners."""

    def __enter__(self) -> None:
        super().__enter__()
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        # small data sets on few cores are intended: no advice about workers
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*in eval mode at the start.*")  # frozen parts
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")  # as intended
        # every process computes metrics on the whole split
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        warnings.filterwarnings("ignore", message=".*Checkpoint directory.*exists.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning.*")

"""One training run with several tasks: data, model, training, evaluation, comparison, report."""

from __future__ import annotations

import itertools
import math
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatlabel import logs
from gatlabel.csv_files import write_curves
from gatlabel.engine.checkpoints import Checkpoint, newest_checkpoint
from gatlabel.engine.fitting import fit
from gatlabel.errors import InputError, Interrupted
from gatlabel.files import write_errors, write_json
from gatlabel.folder_lock import LOCK, FolderLock
from gatlabel.interruptions import Signals, Stopped
from gatlabel.logs import Log
from gatlabel.model import Model
from gatlabel.multitask.building import (
    build_model,
    last_weights,
    make_loaders,
    make_objective,
    parameters_of,
)
from gatlabel.multitask.comparing import Comparison, compare, is_compared, results_of
from gatlabel.multitask.config import MultiTaskConfig, read_tasks_config
from gatlabel.multitask.duration import Duration
from gatlabel.multitask.evaluation import Results, mean_change
from gatlabel.multitask.parts import Part, read_parts
from gatlabel.multitask.reporting import write_report
from gatlabel.training.config import read_options
from gatlabel.training.fitting import spec_of_run
from gatlabel.training.run import logged_warnings
from gatlabel.training.run_folder import RunFinishedError

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

CONFIG, CURVES, RESULT, REPORT = "config.yaml", "metrics.csv", "metrics.json", "report.html"
CHECKPOINTS, COMPARED = "checkpoints", "compare"


@dataclass(frozen=True)
class MultiTaskResult:
    """What a run returns.

    Attributes:
        folder: The run folder.
        model: The trained model, in evaluation mode on the CPU.
        results: By split, by task.
        comparisons: Baselines trained with the same options, if requested.
        curves: One row per epoch.
        seconds: Training time.
    """

    folder: Path
    model: Model
    results: Results
    comparisons: Sequence[Comparison]
    curves: Sequence[Mapping[str, float]]
    seconds: float


def train_tasks(
    config: MultiTaskConfig,
    *,
    callbacks: Sequence[Callback] = (),
    log: Log = logs.log,
) -> MultiTaskResult:
    """Trains one model for several tasks, and leaves a self-contained run folder.

    Args:
        config: The options.
        callbacks: Of ``lightning.pytorch``.
        log: Called with plain sentences about the progress.

    Raises:
        InputError: If data or options are wrong, or the folder is in use; nothing is written.
        Interrupted: On Ctrl-C or SIGTERM; :func:`resume_tasks` continues after the last epoch.

    Example: see :mod:`gatlabel.multitask`.
    """
    config = config.resolved()
    folder = config.run.output or _free_folder(config)
    _require_free(folder, overwrite=config.run.overwrite)
    return _locked(config, folder, callbacks, log, resumed=False)


def resume_tasks(
    folder: str | Path,
    options: Mapping[str, Any] | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    log: Log = logs.log,
) -> MultiTaskResult:
    """Resumes an interrupted run after its last finished epoch.

    Args:
        folder: The run folder.
        options: Machine-dependent options to change, by dotted name (``run.workers``).
        callbacks: Of ``lightning.pytorch``.
        log: Called with plain sentences about the progress.

    Raises:
        InputError: If this is no such run, its checkpoints are damaged, or its data have changed.
        RunFinishedError: If the run is finished.
        Interrupted: As :func:`train_tasks`.
    """
    path = Path(folder)
    config = read_tasks_config(path / CONFIG).with_options(options or {}).resolved()
    if is_finished(path):
        raise RunFinishedError(f"the run {path} is finished: nothing to resume")
    return _locked(config, path, callbacks, log, resumed=True)


def is_finished(folder: Path) -> bool:
    """Whether a run is complete; it writes the report last."""
    return all((folder / name).is_file() for name in (CONFIG, "model.json", RESULT, REPORT))


def is_tasks_run(folder: Path) -> bool:
    """Whether a folder is that of a run with several tasks, finished or not."""
    path = folder / CONFIG
    return path.is_file() and "tasks" in read_options(path)


def _free_folder(config: MultiTaskConfig) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{len(config.tasks)}-tasks-{config.balancing}-{config.run.seed}"
    paths = (Path("runs") / (f"{name}-{k}" if k > 1 else name) for k in itertools.count(1))
    return next(path for path in paths if not path.exists())


def _require_free(folder: Path, *, overwrite: bool) -> None:
    """Makes sure that a run may be written to a folder.

    Raises:
        InputError: If it is a file, or holds something else, or a run and not ``overwrite``.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output {folder} is a file: give a folder")
    if not folder.exists() or not [each for each in folder.iterdir() if each.name != LOCK]:
        return
    if not overwrite:
        raise InputError(
            f"the run folder {folder} is not empty: give another output, overwrite it with "
            "--overwrite, or continue it with --resume"
        )
    if not is_tasks_run(folder):
        raise InputError(f"{folder} is not a multi-task run folder: --overwrite spares it")


def _locked(
    config: MultiTaskConfig,
    folder: Path,
    callbacks: Sequence[Callback],
    log: Log,
    *,
    resumed: bool,
) -> MultiTaskResult:
    try:
        with Signals() as signals, signals.first():
            parts = read_parts(config)
            for part in parts:
                sizes = ", ".join(f"{name} {len(source)}" for name, source in part.splits.items())
                log(f"{part.splits.name}: {sizes} images, for {', '.join(part.outputs)}")
                for note in part.splits.notes:
                    log(note)
            with logged_warnings(log):
                model = build_model(config, parts)
            make_objective(config)  # a missing extra is reported before anything is written
            is_new = not folder.exists()
            with write_errors(folder, "the run folder "):
                folder.mkdir(parents=True, exist_ok=True)
            try:
                with FolderLock(folder):
                    return _run(config, parts, model, folder, callbacks, signals, log, resumed)
            finally:
                if is_new:
                    with suppress(OSError):
                        folder.rmdir()  # only if nothing was written
    except Stopped as stop:
        if not (folder / CONFIG).is_file():
            line = f"{stop} before training began: nothing was written"
            raise Interrupted(line, stop.exit_code) from None
        raise Interrupted(
            f"{stop}; go on with: gatlabel train --resume {shlex.quote(str(folder))}",
            stop.exit_code,
        ) from None


def _run(
    config: MultiTaskConfig,
    parts: Sequence[Part],
    model: Model,
    folder: Path,
    callbacks: Sequence[Callback],
    signals: Signals,
    log: Log,
    resumed: bool,
) -> MultiTaskResult:
    checkpoint = newest_checkpoint(folder / CHECKPOINTS, log) if resumed else None
    record = {part.splits.name + str(k): part.digest() for k, part in enumerate(parts)}
    if checkpoint is not None:
        _require_same_data(checkpoint, record, folder)
    loaders = make_loaders(config, parts, model)
    if not resumed:
        _clear(folder)
        config.save(folder / CONFIG)
    (folder / CHECKPOINTS).mkdir(exist_ok=True)
    duration = Duration(checkpoint)
    objective = make_objective(config)
    curves = fit(
        model,
        loaders,
        objective,
        config.optimizer,
        spec_of_run(config.run),
        checkpoints=folder / CHECKPOINTS,
        record=record,
        resume=checkpoint,
        callbacks=[duration, *callbacks],
        write_curves=lambda rows: write_curves(folder / CURVES, rows),
        signals=signals,
        log=log,
    )
    seconds = duration.seconds
    model.save_pretrained(folder)
    results = results_of(model, config, parts)
    comparisons: list[Comparison] = []
    if is_compared(config):
        comparisons = compare(config, parts, folder / COMPARED, signals, log)
    own = Comparison("joint", results, parameters_of(model), seconds)
    weights = last_weights(objective)
    write_json(folder / RESULT, {**_metrics(own, comparisons), "weights": weights})
    write_report(folder / REPORT, config, parts, weights, own, comparisons, curves)
    return MultiTaskResult(folder, model, results, comparisons, curves, seconds)


def _require_same_data(checkpoint: Checkpoint, record: Mapping[str, str], folder: Path) -> None:
    """Refuses to resume with other data.

    Raises:
        InputError: If images or targets have changed.
    """
    if any(checkpoint.state["run"].get(name) != digest for name, digest in record.items()):
        raise InputError(
            f"{folder}: the images or targets have changed since the run began, so it cannot be "
            "resumed: train again"
        )


def _clear(folder: Path) -> None:
    """Removes the files of an earlier run; the config goes first, as it marks a started run."""
    with write_errors(folder, "the run folder "):
        (folder / CONFIG).unlink(missing_ok=True)
        for name in (CHECKPOINTS, COMPARED):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
        for path in [folder / name for name in (RESULT, REPORT, CURVES)]:
            path.unlink(missing_ok=True)
        for path in [*folder.glob("model.*"), *folder.glob("graph-*.json")]:
            path.unlink()


def _metrics(own: Comparison, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Returns the content of ``metrics.json``."""
    compared = []
    for each in comparisons:
        change = mean_change(own.results, each.results)
        compared.append({**each.to_dict(), "delta_m": None if math.isnan(change) else change})
    return {**own.to_dict(), "comparisons": compared}

"""One training run with several tasks: data, model, training, evaluation, comparison, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gatlabel import logs
from gatlabel.decisions.by_task import save_decisions
from gatlabel.devices import choose_device
from gatlabel.engine.checkpoints import Checkpoint
from gatlabel.engine.fitting import fit
from gatlabel.engine.launchers import refuse_several_processes
from gatlabel.engine.processes import Team
from gatlabel.engine.rate_finding import find_rate
from gatlabel.engine.supervised import Supervised
from gatlabel.errors import InputError, require_extra
from gatlabel.interruptions import Signals
from gatlabel.logs import Log
from gatlabel.model import Model
from gatlabel.multitask.building import (
    Loader,
    build_model,
    last_weights,
    make_loaders,
    make_objective,
    outputs_of,
    parameters_of,
)
from gatlabel.multitask.comparing import Comparison, compare, decide_and_evaluate, is_compared
from gatlabel.multitask.completing import make_completions
from gatlabel.multitask.config import MultiTaskConfig, read_tasks_config
from gatlabel.multitask.duration import Duration
from gatlabel.multitask.evaluation import Results
from gatlabel.multitask.following import FOLLOWER, hand_over, take_work
from gatlabel.multitask.outcome import Outcome
from gatlabel.multitask.parts import Part, read_parts
from gatlabel.multitask.reporting import write_outcome
from gatlabel.multitask.starting import start_heads
from gatlabel.training.config import read_options
from gatlabel.training.effects import refuse_without_effect
from gatlabel.training.fitting import spec_of_run, tensorboard_loggers
from gatlabel.training.following import follow
from gatlabel.training.losses import refuse_shared_batches
from gatlabel.training.rate_finding import DEFAULT_RATE
from gatlabel.training.run import logged_warnings
from gatlabel.training.run_folder import RunFolder
from gatlabel.training.run_opening import new_run, unfinished_run
from gatlabel.training.stopping import begun_checkpoint, guarded, stoppable

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

CONFIG, COMPARED = "config.yaml", "compare"


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
    for task in config.tasks:
        if task.kind == "multilabel":
            try:
                refuse_without_effect(config.part_of(task), ("missing", "graph", "optimizer"))
            except InputError as error:
                raise InputError(f"task {task.name!r}: {error}") from error
    refuse_several_processes(torchrun=True)
    with Team(FOLLOWER) as team:
        if team.rank:
            _follow(team)
        config = config.resolved()
        _enlist(team, config)  # complains before anything is read or written
        several = f"{len(config.tasks)}-tasks-{config.balancing}"
        name = (
            several if len(config.tasks) > 1 else f"{config.tasks[0].name}-{config.tasks[0].kind}"
        )
        with (
            stoppable() as signals,
            new_run(config.run, name, log, _why_no_run) as folder,
            guarded(folder, signals),
        ):
            return _run(config, folder, callbacks, signals, team, log, resumed=False)


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
        InputError: If this is not such a run, has damaged checkpoints, or its data changed.
        RunFinishedError: If the run is finished.
        Interrupted: As :func:`train_tasks`.
    """
    refuse_several_processes(torchrun=True)
    with Team(FOLLOWER) as team:
        if team.rank:
            _follow(team)
        with stoppable() as signals, unfinished_run(Path(folder), log) as run:
            config = read_tasks_config(run.config).with_options(options or {}).resolved()
            _enlist(team, config)
            with guarded(run, signals):
                return _run(config, run, callbacks, signals, team, log, resumed=True)


def _follow(team: Team) -> NoReturn:
    """Trains in a process of torchrun other than the first, and ends it."""
    follow(team, take_work)
    raise SystemExit(0)


def _enlist(team: Team, config: MultiTaskConfig) -> None:
    team.enlist(config.run.devices, choose_device(config.run.device), config.run.images_per_step)
    for task in config.tasks:
        if task.kind == "multilabel":
            refuse_shared_batches(config.part_of(task), team.size)


def _why_no_run(folder: Path) -> str:
    """Says why a folder holds no run with several tasks, or nothing."""
    try:
        several = "tasks" in read_options(folder / CONFIG)
    except InputError as error:
        return str(error)
    return "" if several else "it is not one of several tasks"


def _run(
    config: MultiTaskConfig,
    folder: RunFolder,
    callbacks: Sequence[Callback],
    signals: Signals,
    team: Team,
    log: Log,
    *,
    resumed: bool,
) -> MultiTaskResult:
    checkpoint = begun_checkpoint(folder, log) if resumed else None
    parts = read_parts(config)
    for part in parts:
        sizes = ", ".join(f"{name} {len(source)}" for name, source in part.splits.items())
        log(f"{part.splits.name}: {sizes} images, for {', '.join(part.outputs)}")
        for note in part.splits.notes:
            log(note)
    if len(parts) == 1 and config.mixing != "proportional":
        log(f"mixing={config.mixing}: nothing is mixed, since there is one data set")
    completions = make_completions(config, parts)
    with logged_warnings(log):
        model = build_model(config, parts, completions)
    # a missing extra or teacher is reported before anything is written
    make_objective(config, outputs_of(parts))
    if config.run.tensorboard:
        require_extra("tensorboard", "tensorboard")
    record = {part.splits.name + str(k): part.digest() for k, part in enumerate(parts)}
    if checkpoint is not None:
        _require_same_data(checkpoint, record, folder.target)
    if checkpoint is None:
        start_heads(model, config, parts, completions, log)
    loaders = make_loaders(config, parts, model)
    if checkpoint is None:
        config = with_found_rate(config, parts, model, loaders[0], log)
    if not resumed:
        folder.begin(config)
    duration = Duration(checkpoint)
    objective = make_objective(config, outputs_of(parts), completions)
    curves: Sequence[Mapping[str, float]] = []
    if config.run.epochs:
        with ExitStack() as stack:
            ranks = None
            if team.size > 1 and not (checkpoint is not None and checkpoint.complete):
                device = choose_device(config.run.device)
                log(f"training in {team.size} processes on {device.type}")
                ranks = stack.enter_context(team.joined(device))
                hand_over(ranks, config, parts, model, completions, checkpoint)
            curves = fit(
                model,
                loaders,
                objective,
                config.optimizer,
                spec_of_run(config.run),
                checkpoints=folder.checkpoints,
                record=record,
                resume=checkpoint,
                callbacks=[duration, *callbacks],
                loggers=tensorboard_loggers(folder.path if config.run.tensorboard else None),
                write_curves=folder.write_curves,
                signals=signals,
                ranks=ranks,
                log=log,
            )
    seconds = duration.seconds
    folder.require()
    model.save_pretrained(folder.path)
    predictions, results = decide_and_evaluate(model, config, parts, log)
    save_decisions(folder.path, model.decisions)
    comparisons: list[Comparison] = []
    if is_compared(config):
        comparisons = compare(config, parts, folder.path / COMPARED, signals, log)
    own = Comparison("joint", results, parameters_of(model), seconds)
    weights = last_weights(objective)
    found = Outcome(config, parts, model, weights, own, comparisons, curves, predictions)
    write_outcome(folder.path, found)
    folder.finish()
    return MultiTaskResult(folder.target, model, results, comparisons, curves, seconds)


def with_found_rate(
    config: MultiTaskConfig, parts: Sequence[Part], model: Model, loader: Loader, log: Log
) -> MultiTaskConfig:
    """Returns a config whose learning rate is a number: it is found where ``lr`` is ``find``."""
    if config.optimizer.lr != "find":
        return config

    def objective() -> Supervised:
        return make_objective(config, outputs_of(parts), make_completions(config, parts))

    rate = DEFAULT_RATE
    if config.run.epochs:
        spec = spec_of_run(config.run)
        rate = find_rate(model, objective, config.optimizer, spec, loader, log=log)
    return config.with_options({"optimizer.lr": rate})


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

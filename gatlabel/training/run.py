"""A complete training run: data, graph, model, training, evaluation, report."""

from __future__ import annotations

import copy
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import nn

from gatlabel import logs
from gatlabel.data import DataSplits
from gatlabel.devices import choose_device
from gatlabel.engine.launchers import refuse_several_processes
from gatlabel.engine.processes import Team
from gatlabel.errors import InputError, require_extra
from gatlabel.files import read_json, write_json
from gatlabel.graph import Cooccurrence
from gatlabel.interruptions import Signals
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.options import NOTHING
from gatlabel.report import Baseline, write_report
from gatlabel.training.building import build_graph, build_model, freeze_parts
from gatlabel.training.changes import compare_records, machine_options, run_record
from gatlabel.training.choices import Choices
from gatlabel.training.classical import fit_classical, is_classical
from gatlabel.training.clock import Clock
from gatlabel.training.comparing import baselines_of, compares_heads, run_completion
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import checked_workers, loaders, masked, read_data
from gatlabel.training.deciding import decided
from gatlabel.training.effects import refuse_without_effect
from gatlabel.training.evaluation import Evaluation, evaluate
from gatlabel.training.feature_moments import keep_moments
from gatlabel.training.fitting import fit
from gatlabel.training.folding import require_folds
from gatlabel.training.following import FOLLOWER, follow, hand_over
from gatlabel.training.given import Given, checked, require_masking
from gatlabel.training.initialising import start_from
from gatlabel.training.losses import loss_for, refuse_shared_batches
from gatlabel.training.options import Auto, seconds_of
from gatlabel.training.planning import plan
from gatlabel.training.proving import RULES
from gatlabel.training.rate_finding import with_found_rate
from gatlabel.training.refitting import refit, require_refittable
from gatlabel.training.reporting import metrics_file, report_content
from gatlabel.training.run_folder import RunFolder
from gatlabel.training.run_opening import new_run, unfinished_run
from gatlabel.training.settling import evaluate_features, settled
from gatlabel.training.similarity import SIMILARITY_IGNORED, ignores_similarity
from gatlabel.training.spent_time import SpentTime
from gatlabel.training.starting import features
from gatlabel.training.stopping import begun_checkpoint, guarded, stoppable
from gatlabel.training.teacher import Teacher

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger

    from gatlabel.tasks import Loss


@dataclass(frozen=True)
class RunResult:
    """The result of a training run.

    Attributes:
        folder: The run folder.
        model: The trained model, in evaluation mode on the CPU.
        evaluations: Evaluations of the validation split and, if there is one, the test split.
        baselines: Metrics of baselines on the last split.
        curves: Learning curves, one row per epoch.
        seconds: Duration of training, with that of the folds; of a resumed run, with that until
            the checkpoint.
    """

    folder: Path
    model: MultiLabelClassifier
    evaluations: Sequence[Evaluation]
    baselines: Sequence[Baseline]
    curves: Sequence[dict[str, float]]
    seconds: float


def train(
    config: TrainConfig,
    *,
    data: Any = None,
    labels: Sequence[str] | None = None,
    encoder: nn.Module | None = None,
    loss: Loss | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    log: Log = logs.log,
) -> RunResult:
    """Trains and evaluates a model, and writes a self-contained run folder with a report.

    Python objects are not stored in the run folder. They have to be passed again to :func:`resume`,
    and an encoder to ``MultiLabelClassifier.from_pretrained``.

    Args:
        config: All options; see :class:`~gatlabel.training.TrainConfig` and the recipes.
        data: A map-style data set to use instead of ``config.data``: items start with an image
            (PIL, or uint8 ``(3, h, w)``) and a target ``(L,)``. It is split into train, val and
            test; or give data sets by these names. See
            :class:`~gatlabel.data.torch_datasets.DatasetImages`.
        labels: The L label names; default: the attribute ``labels`` or ``classes`` of the data.
        encoder: A network without classifier, from normalised images ``(B, 3, H, W)`` to feature
            maps ``(B, D, h, w)`` or vectors ``(B, D)``; or an
            :class:`~gatlabel.encoders.Encoder`.
        loss: ``loss(logits, targets)``, both ``(B, L)``, returns a scalar. If it has an argument
            ``epoch``, the epoch is passed. It must ignore unknown targets (-1) if there are any.
        callbacks: Callbacks of ``lightning.pytorch``.
        loggers: Loggers of ``lightning.pytorch``.
        log: Called with progress messages.

    Raises:
        InputError: If data, graph or options are wrong; nothing is written then. Also if training
            diverges or a file cannot be written; the last finished epoch is kept, and so is a run
            that was to be replaced.
        Interrupted: On Ctrl-C or SIGTERM; :func:`resume` continues after the last finished epoch.

    Example:
        >>> import torch
        >>> from gatlabel.training import plain, train
        >>> class Squares(torch.utils.data.Dataset):
        ...     labels = ["bright", "large"]
        ...     def __len__(self):
        ...         return 40
        ...     def __getitem__(self, i):
        ...         image = torch.zeros(3, 16, 16, dtype=torch.uint8)
        ...         image[:, : 4 + i % 2 * 8] = 100 + i % 4 // 2 * 100
        ...         return image, torch.tensor([i % 4 // 2, i % 2])
        >>> encoder = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
        >>> config = plain().with_options({"head": "linear", "images.size": 16, "run.epochs": 1,
        ...     "run.progress": False, "run.output": "squares"})
        >>> result = train(config, data=Squares(), encoder=encoder,
        ...                loss=torch.nn.functional.binary_cross_entropy_with_logits)
        >>> list(result.model.labels)
        ['bright', 'large']
    """
    config, given = checked(config, data, labels, encoder, loss, callbacks, loggers)
    refuse_several_processes(torchrun=True)
    with Team(FOLLOWER) as team:
        if team.rank:
            _follow(team)
        refuse_without_effect(config)
        config = config.resolved()
        _enlist(team, config)  # raises errors before anything is read or written
        name = f"{config.data.name}-{config.head.name}"
        with (
            stoppable() as signals,
            new_run(config.run, name, log) as folder,
            guarded(folder, signals),
        ):
            return _run(config, folder, log, signals, team, given, resumed=False)


def resume(
    folder: str | os.PathLike[str],
    options: Mapping[str, Any] | None = None,
    *,
    data: Any = None,
    labels: Sequence[str] | None = None,
    encoder: nn.Module | None = None,
    loss: Loss | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[Logger] = (),
    log: Log = logs.log,
) -> RunResult:
    """Resumes an interrupted run after its last finished epoch, with the same options.

    If the interrupted run was to replace another one in the folder, it is the one that is resumed.

    Args:
        folder: The run folder.
        options: Options of the machine to change, by dotted names (``run.workers``).
        data: As in :func:`train`, if it was given there; the same holds for the arguments below.
        labels: The label names.
        encoder: The network as it was before training.
        loss: The loss.
        callbacks: Callbacks of ``lightning.pytorch``; their states are restored.
        loggers: Loggers of ``lightning.pytorch``.
        log: Called with progress messages.

    Raises:
        InputError: If this is not a run folder, it is in use, all its checkpoints are damaged, or
            data or options have changed in a way that affects results.
        RunFinishedError: If the run is finished; nothing is changed then.
        Interrupted: As :func:`train`.
    """
    refuse_several_processes(torchrun=True)
    with Team(FOLLOWER) as team:
        if team.rank:
            _follow(team)
        changes = machine_options(options or {})
        with stoppable() as signals, unfinished_run(Path(folder), log) as run_folder:
            config = run_folder.read_config().with_options(changes).resolved()
            config, given = checked(config, data, labels, encoder, loss, callbacks, loggers)
            _enlist(team, config)
            with guarded(run_folder, signals):
                return _run(config, run_folder, log, signals, team, given, resumed=True)


def _follow(team: Team) -> NoReturn:
    """Trains in a process of torchrun other than the first, and ends the process."""
    follow(team)
    raise SystemExit(0)


def _enlist(team: Team, config: TrainConfig) -> None:
    device = choose_device(config.run.device)
    team.enlist(config.run.devices, device, config.run.images_per_step)
    refuse_shared_batches(config, team.size)


def _run(
    config: TrainConfig,
    folder: RunFolder,
    log: Log,
    signals: Signals,
    team: Team,
    given: Given,
    *,
    resumed: bool,
) -> RunResult:
    device = choose_device(config.run.device)
    limit = config.recipe.time if isinstance(config.recipe, Auto) else None
    clock = Clock(None if limit is None else seconds_of(limit))
    if config.run.tensorboard:
        require_extra("tensorboard", "tensorboard")
    checkpoint = begun_checkpoint(folder, log) if resumed else None
    spent = SpentTime(clock, checkpoint)
    lite = config.encoder.lite_hint
    hint = f" (random{lite and f'; {lite}'})" if config.encoder.starts_random else ""
    if given.encoder is None:
        log(f"encoder: {config.encoder.text}, weights {config.encoder.weights or 'none'}{hint}")
    splits = read_data(config) if given.data is None else masked(given.data, config)
    require_masking(given.loss, splits)
    for name, source in splits.items():
        log(f"{name}: {len(source)} images, {len(source.labels)} labels")
    for note in splits.notes:
        log(note)
    if checkpoint is not None:
        _require_same_labels(folder, splits)
        for note in compare_records(checkpoint.state["run"], run_record(config, splits, device)):
            log(note)
    counts = Cooccurrence.from_targets(splits.train.targets, splits.labels)
    with logged_warnings(log) as logged:
        graph = build_graph(config, counts)
        require_folds(config, splits.train, graph)
        torch.manual_seed(config.run.seed)
        model = build_model(config, graph, given=given)
    # after a checkpoint, only the folds and the head for comparison start from the other run again
    again = bool(config.run.folds) or compares_heads(config)
    if config.encoder.init is not None and (checkpoint is None or again):
        for line in start_from(model, config.encoder.init):
            if checkpoint is None:
                log(line)
    log(f"graph: {graph.describe()}")
    if graph.relation == "similarity" and ignores_similarity(config.head):
        log(f"note: {SIMILARITY_IGNORED.format(config.head.name)}")
    completion = run_completion(config, splits, graph)
    if config.run.workers is not None:
        checked_workers(config.run.workers)  # before features are extracted, which takes long
    choices = Choices()

    def decide(line: str) -> None:
        choices.lines.append(line)
        log(line)

    if config.run.folds and config.encoder.init is not None and checkpoint is None:
        decide(
            f"note: folds={config.run.folds} with init={config.encoder.init}: predictions of the "
            "folds are optimistic if that model was trained on the same images"
        )
    start = None
    classical = is_classical(config)
    shares = getattr(config.head, "similarity", None) not in (None, NOTHING)
    if classical:
        model = fit_classical(model, config, splits, completion, decide)
        config = config.with_options({"run.epochs": 0})
    # the checkpoint contains the choices made before an interruption
    elif checkpoint is None or shares or config.run.keep in RULES:
        with without_warnings(logged):
            model, config, start = plan(
                model,
                config,
                splits,
                completion,
                counts,
                graph,
                clock,
                decide,
                given,
                choices.add_similarity,
            )
        if start is not None and start.choice is not None:
            choices.add_sharing(start.choice, splits.labels)
    counted, graph = graph, model.graph or graph
    require_refittable(model, config)
    freeze_parts(model, config)
    learns = config.run.epochs or config.optimizer.lr == "find"
    batches = loaders(splits, model, config) if learns else None
    if batches is not None:
        loss_for(config, batches[0], completion, splits.labels)  # files are read before writing
        Teacher.load(config.distillation, splits.labels)
        config = with_found_rate(config, model, batches[0], completion, log)
    if not resumed:
        folder.begin(config, counts, graph, choices)
    elif folder.choices.is_file():  # what was repeated above does not have the reasons
        choices = Choices.load(folder.choices)
    proves = start is not None and config.run.keep in RULES
    untrained = copy.deepcopy(model) if proves or config.run.folds else None
    curves: list[dict[str, float]] = []
    if config.run.epochs and batches is not None:
        with ExitStack() as stack:
            ranks = None
            if team.size > 1 and not (checkpoint is not None and checkpoint.complete):
                log(f"training in {team.size} processes on {device.type}")
                ranks = stack.enter_context(team.joined(device))
                hand_over(ranks, model, config, splits, counted, completion, checkpoint)
            curves = fit(
                model,
                config,
                batches,
                folder.checkpoints,
                record=run_record(config, splits, device),
                resume=checkpoint,
                logs=folder.path if config.run.tensorboard else None,
                write_curves=folder.write_curves,
                completion=completion,
                signals=signals,
                ranks=ranks,
                callbacks=[spent, *given.callbacks],
                loggers=given.loggers,
                log=log,
            )
    found = None
    if config.run.epochs and config.run.refit:
        choice = None if start is None else start.choice
        found = refit(model, config, splits.train, completion, choice)
        decide("the classifiers are fitted again in closed form on the trained encoder's features")
    folder.require()
    trained = settled(model, untrained, start, config, splits, folder, signals, decide, counted)
    seconds = spent.seconds
    model.save_pretrained(folder.path)
    judged = [(name, source) for name, source in splits.items() if name != "train"]
    if classical or (start is not None and not trained):  # the encoder is unchanged
        evaluations = [evaluate_features(model, source, name, config) for name, source in judged]
        found = features(model, splits.train, config)  # from the cache
    else:
        evaluations = [evaluate(model.to(device), source, name) for name, source in judged]
    keep_moments(model, splits.train, folder.moments, found)
    model.cpu()
    evaluations = decided(config.decision, model.labels, evaluations, folder, log)
    baselines = baselines_of(config, splits, graph, evaluations[-1].split, log, given)
    notes = (*splits.notes, *choices.lines)
    content = metrics_file(config, model, evaluations, baselines, notes, seconds, trained=trained)
    write_json(folder.metrics, content)
    write_report(
        report_content(
            config,
            splits,
            counts,
            model,
            evaluations,
            curves,
            baselines,
            notes,
            choices.sharing,
            trained=trained,
        ),
        folder.report,
    )
    folder.finish()
    return RunResult(folder.target, model, evaluations, baselines, curves, seconds)


def _require_same_labels(folder: RunFolder, splits: DataSplits) -> None:
    if read_json(folder.labels, "label file") != list(splits.labels):
        raise InputError(
            f"the labels of the data are not those of {folder.labels}, or in another order: "
            "the data have changed since the run started; train again, or start from this model "
            "with --init"
        )


@contextmanager
def logged_warnings(log: Log) -> Iterator[list[str]]:
    """Logs warnings (isolated labels, missing vectors) as notes; the list then contains them."""
    logged: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield logged
    logged += [str(warning.message) for warning in caught]
    for text in logged:
        log(f"note: {text}")


@contextmanager
def without_warnings(texts: Sequence[str]) -> Iterator[None]:
    """Hides warnings that were logged already; the model is built again with other parts."""
    with warnings.catch_warnings():
        for text in texts:
            warnings.filterwarnings("ignore", f"{re.escape(text)}$")
        yield

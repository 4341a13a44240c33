"""One whole training run: data, graph, model, training, evaluation, report."""

from __future__ import annotations

import dataclasses
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from gatlabel.data import DataSplits
from gatlabel.disk_faults import disk_errors
from gatlabel.errors import InputError, require_extra
from gatlabel.files import read_json, write_json
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.model import MultiLabelClassifier
from gatlabel.report import Baseline, write_report
from gatlabel.training.building import build_completion, build_graph, build_model
from gatlabel.training.completion import Completion
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import loaders, read_data
from gatlabel.training.evaluation import Evaluation, evaluate
from gatlabel.training.fitting import device_of, fit
from gatlabel.training.head_options import (
    KIN_FOR_COMPANY,
    refuse_untaken_options,
    takes_kin_for_company,
)
from gatlabel.training.processes import refuse_several_processes
from gatlabel.training.reporting import metrics_file, report_content
from gatlabel.training.run_folder import RunFolder
from gatlabel.training.run_opening import new_run, unfinished_run

Say = Callable[[str], None]


@dataclass(frozen=True)
class RunResult:
    """What a training run gives back.

    Attributes:
        folder: The run folder.
        model: The trained model, in evaluation mode on the CPU.
        evaluations: Of the validation split and, if there is one, the test split, in this order.
        baselines: Figures to stand beside, of the last split.
        curves: A row an epoch.
        seconds: What training took.
    """

    folder: Path
    model: MultiLabelClassifier
    evaluations: Sequence[Evaluation]
    baselines: Sequence[Baseline]
    curves: Sequence[dict[str, float]]
    seconds: float


def train(config: TrainConfig, *, say: Say = lambda line: None) -> RunResult:
    """Trains, evaluates and reports one model, and leaves a self-contained run folder.

    Args:
        config: All options; see :class:`~gatlabel.training.TrainConfig` and the recipes.
        say: Called with plain sentences about what is going on.

    Raises:
        InputError: If data, graph or options are wrong; nothing is written then. If a file cannot
            be written; a run that stood there is as it was.
    """
    refuse_several_processes()
    refuse_untaken_options(config)
    config = config.resolved()
    device_of(config)  # complains before anything is read or written
    with new_run(config, say) as folder, disk_errors(folder.path):
        return _run(config, folder, None, say)


def resume(folder: str | os.PathLike[str], *, say: Say = lambda line: None) -> RunResult:
    """Goes on with an interrupted run from its last checkpoint, with the same options.

    A run that was to replace the one in the folder, and was interrupted, is what goes on.

    Raises:
        InputError: If this is no run folder, it is in use, or its checkpoint is gone.
        RunFinishedError: If the run is finished; nothing is touched then.
    """
    refuse_several_processes()
    with unfinished_run(Path(folder), say) as run_folder, disk_errors(run_folder.path):
        config = run_folder.read_config().resolved()
        device_of(config)
        return _run(config, run_folder, _checkpoint_of(run_folder, say), say)


def _checkpoint_of(folder: RunFolder, say: Say) -> Path | None:
    if folder.last.is_file() or folder.previous.is_file():
        return folder.last
    if folder.epochs():
        raise InputError(f"{folder.path} has no checkpoints/last.ckpt to go on from: train it anew")
    say(f"{folder.path} has no checkpoint yet: the run starts from its beginning")
    return None


def _run(config: TrainConfig, folder: RunFolder, checkpoint: Path | None, say: Say) -> RunResult:
    if config.tensorboard:
        require_extra("tensorboard", "tensorboard")
    say(f"encoder: {config.encoder_text}, weights {config.weights or 'none'}")
    if config.weights in (None, "none"):
        say("note: random weights to start from; gatlabel[lite] installs ImageNet's, offline")
    splits = read_data(config)
    for name, source in splits.items():
        say(f"{name}: {len(source)} pictures, {len(source.labels)} labels")
    for note in splits.notes:
        say(note)
    if checkpoint is not None and read_json(folder.labels, "label file") != list(splits.labels):
        raise InputError(
            f"the labels of the data are not those of {folder.labels}, or in another order: "
            "the data has changed since the run began; train anew"
        )
    counts = Cooccurrence.from_targets(splits.train.targets, splits.labels)
    with spoken_warnings(say):
        graph = build_graph(config, counts)
        torch.manual_seed(config.seed)
        model = build_model(config, graph, config.head)
    say(f"graph: {graph!r}")
    if graph.relation == "kin" and takes_kin_for_company(config.head, config.base):
        say(f"note: {KIN_FOR_COMPANY.format(config.head)}")
    batches = loaders(splits, model, config)
    if checkpoint is None:
        folder.begin(config, counts, graph)
    began = time.perf_counter()
    curves = fit(
        model,
        config,
        batches,
        folder.checkpoints,
        resume=checkpoint,
        logs=folder.path if config.tensorboard else None,
        write_curves=folder.write_curves,
        completion=_completion(config, splits, graph),
    )
    seconds = time.perf_counter() - began
    folder.require()
    model.save_pretrained(folder.path)
    evaluations = [
        evaluate(model.to(device_of(config)), source, name)
        for name, source in splits.items()
        if name != "train"
    ]
    model.cpu()
    baselines = _baselines(config, splits, graph, evaluations[-1].split, say)
    content = metrics_file(config, model, evaluations, baselines, splits.notes, seconds)
    write_json(folder.metrics, content)
    write_report(
        report_content(config, splits, counts, model, evaluations, curves, baselines),
        folder.report,
    )
    folder.finish()
    return RunResult(folder.target, model, evaluations, baselines, curves, seconds)


def _completion(config: TrainConfig, splits: DataSplits, graph: LabelGraph) -> Completion | None:
    targets = torch.from_numpy(splits.train.targets)
    return build_completion(config, config.unknown, targets, graph)


@contextmanager
def spoken_warnings(say: Say) -> Iterator[None]:
    """Says warnings (isolated labels, missing vectors) as plain sentences."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        say(f"note: {warning.message}")


def _baselines(
    config: TrainConfig, splits: DataSplits, graph: LabelGraph, split: str, say: Say
) -> list[Baseline]:
    """Trains the linear head alike and asks the oracle, where that is wanted and possible."""
    wanted = config.compare == "yes" or (config.compare == "auto" and config.data == "scenes")
    if not wanted:
        return []
    source = dict(splits.items())[split]
    found = []
    if config.head != "linear":
        say("training a linear head alike, to compare")
        alike = dataclasses.replace(config, head="linear", keep="last", patience=0)
        torch.manual_seed(config.seed)
        model = build_model(alike, graph, "linear")
        completion = _completion(config, splits, graph)
        fit(model, alike, loaders(splits, model, alike), None, completion=completion)
        result = evaluate(model.to(device_of(config)), source, split)
        found.append(Baseline("linear head, trained alike", result.report.metrics["mAP"]))
    if config.data == "scenes":
        from gatlabel.data.scenes import oracle_map

        say("asking the oracle: what can be known from what is visible and the true graph")
        found.append(Baseline("oracle (the best possible)", oracle_map(source)))
    return found

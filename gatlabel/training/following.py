"""The further processes of a run: they receive the work from the first one and train with it."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from gatlabel.data import DataSplits
from gatlabel.engine.checkpoints import Checkpoint, read_checkpoint
from gatlabel.engine.processes import PEER_LOST, Team
from gatlabel.engine.ranks import Ranks
from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.building import freeze_parts
from gatlabel.training.changes import run_record
from gatlabel.training.comparing import run_completion
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import loaders, read_data
from gatlabel.training.fitting import fit
from gatlabel.training.recipes import config_from

FOLLOWER = __name__  # the module that further processes run
COMPLETING = "completing.json"  # graph of the completion, sent with the files of the model


def hand_over(
    ranks: Ranks,
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    graph: LabelGraph,
    completion: Completion | None,
    resume: Checkpoint | None,
) -> None:
    """Sends the other processes everything that training needs, except the data.

    Args:
        ranks: The processes.
        model: The model before training, on the CPU.
        config: The resolved options.
        splits: The data, which the other processes read themselves.
        graph: The label graph for the completion of unknown labels.
        completion: Provides targets of unknown training labels.
        resume: The checkpoint to resume from.
    """
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        graph.save(Path(folder) / COMPLETING)
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    record = run_record(config, splits, torch.device("cpu"))
    work = {
        "options": record["options"],
        "data": {split: digests["targets"] for split, digests in record["data"].items()},
        "resume": None if resume is None else str(resume.path.resolve()),
        "folder": str(Path.cwd()),
        "training": [name for name, part in model.named_modules() if part.training],
        "learning": [name for name, part in model.named_parameters() if part.requires_grad],
        "files": list(files),
    }
    state = {} if completion is None else completion.state_dict()
    ranks.broadcast(json.dumps(work).encode())
    for data in files.values():
        ranks.broadcast(data)
    ranks.broadcast(save({name: part.contiguous() for name, part in state.items()}))


def follow(team: Team, work: Callable[[Ranks], None] | None = None) -> None:
    """Trains together with the first process, if it sends work, and returns afterwards.

    Args:
        team: The processes.
        work: Takes the work and trains; default: that of a run with one task.
    """
    for number, action in ((signal.SIGINT, signal.SIG_IGN), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(number, action)  # the first process or torchrun ends this one
    warnings.simplefilter("ignore")  # the first process prints them
    device = team.wait_for_work()
    if device is None:
        return
    try:
        with team.joined(device) as ranks:
            (work or _train)(ranks)
    except Exception:  # the first process was told, or has ended
        os._exit(PEER_LOST)  # destructors would wait for processes that have ended


def main() -> None:
    """Entry point of a process that the first one starts."""
    with Team(FOLLOWER, parent=int(sys.argv[1])) as team:
        follow(team)


def _train(ranks: Ranks) -> None:
    work: dict[str, Any] = json.loads(ranks.broadcast())
    model, graph = _received(ranks, work["files"])
    state = load(ranks.broadcast())
    os.chdir(work["folder"])  # paths of options are relative to it
    config = config_from(work["options"])
    splits = read_data(config)
    found = run_record(config, splits, torch.device("cpu"))["data"]
    if {split: digests["targets"] for split, digests in found.items()} != work["data"]:
        raise InputError("this process has read different data than the first one")
    completion = run_completion(config, splits, graph) if state else None
    if completion is not None:
        completion.load_state_dict(state)
    freeze_parts(model, config)
    for name, part in model.named_modules():
        part.training = name in work["training"]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in work["learning"])
    resume = None if work["resume"] is None else read_checkpoint(Path(work["resume"]))
    batches = loaders(splits, model, config)
    fit(model, config, batches, None, resume=resume, completion=completion, ranks=ranks)


def _received(ranks: Ranks, files: list[str]) -> tuple[MultiLabelClassifier, LabelGraph]:
    with tempfile.TemporaryDirectory() as folder:
        for name in files:
            (Path(folder) / name).write_bytes(ranks.broadcast())
        graph = LabelGraph.load(Path(folder) / COMPLETING)
        return MultiLabelClassifier.from_pretrained(folder), graph

"""The other processes of a run with several tasks: they receive their work, and train with it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor, nn

from gatlabel.engine.checkpoints import Checkpoint, read_checkpoint
from gatlabel.engine.fitting import fit
from gatlabel.engine.processes import Team
from gatlabel.engine.ranks import Ranks
from gatlabel.errors import InputError
from gatlabel.model import Model
from gatlabel.multitask.building import build_model, make_loaders, make_objective, outputs_of
from gatlabel.multitask.completing import Completions, make_completions
from gatlabel.multitask.config import MultiTaskConfig, tasks_config_from
from gatlabel.multitask.parts import Part, read_parts
from gatlabel.training.fitting import spec_of_run
from gatlabel.training.following import follow

FOLLOWER = __name__  # the module that further processes run


def hand_over(
    ranks: Ranks,
    config: MultiTaskConfig,
    parts: Sequence[Part],
    model: Model,
    completions: Completions,
    resume: Checkpoint | None,
) -> None:
    """Sends the other processes everything for training except the data, which they read.

    Args:
        ranks: The processes.
        config: The options, resolved.
        parts: The data sets.
        model: The model as training begins, on the CPU.
        completions: By task, the treatment of unknown labels.
        resume: The checkpoint to continue from.
    """
    work = {
        "options": config.to_dict(),
        "data": [part.digest() for part in parts],
        "resume": None if resume is None else str(resume.path.resolve()),
        "folder": str(Path.cwd()),
    }
    ranks.broadcast(json.dumps(work).encode())
    ranks.broadcast(_packed(model))
    for name in sorted(completions):
        ranks.broadcast(_packed(completions[name].completion.state_dict()))


def _packed(state: nn.Module | Mapping[str, Tensor]) -> bytes:
    """Returns tensors as bytes; nothing is pickled."""
    own = state.state_dict() if isinstance(state, nn.Module) else state
    return save({name: value.detach().clone().contiguous() for name, value in own.items()})


def take_work(ranks: Ranks) -> None:
    """Receives the work of the first process, and trains with it.

    Raises:
        InputError: If this process reads other data.
    """
    work: dict[str, Any] = json.loads(ranks.broadcast())
    state = load(ranks.broadcast())
    os.chdir(work["folder"])  # paths of options are relative to it
    config = tasks_config_from(work["options"])
    parts = read_parts(config)
    if [part.digest() for part in parts] != work["data"]:
        raise InputError("this process has read other data than the first one")
    completions = make_completions(config, parts)
    model = build_model(config, parts, completions)
    model.load_state_dict(state)
    for name in sorted(completions):
        completions[name].completion.load_state_dict(load(ranks.broadcast()))
    resume = None if work["resume"] is None else read_checkpoint(Path(work["resume"]))
    fit(
        model,
        make_loaders(config, parts, model),
        make_objective(config, outputs_of(parts), completions),
        config.optimizer,
        spec_of_run(config.run),
        resume=resume,
        ranks=ranks,
    )


def main() -> None:
    """Runs a process that the first one has started."""
    with Team(FOLLOWER, parent=int(sys.argv[1])) as team:
        follow(team, take_work)

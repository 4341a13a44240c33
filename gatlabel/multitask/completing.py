"""The treatment of unknown labels of each task, on the images that are labelled for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from gatlabel.engine.completing import Completing
from gatlabel.graph import Cooccurrence
from gatlabel.graph.spec import GraphSpec
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.parts import Known, Part
from gatlabel.targets import Targets
from gatlabel.training.building import build_completion

Completions = Mapping[str, Completing]


def make_completions(config: MultiTaskConfig, parts: Sequence[Part]) -> dict[str, Completing]:
    """Creates the treatment of unknown training targets for each multi-label task.

    Images that are not labelled for a task remain unlabelled; a task's own data set has none.

    Args:
        config: The options.
        parts: The data sets.
    """
    found, start = {}, 0
    for part in parts:
        for task in config.tasks:
            if task.name not in part.outputs or task.missing.unknown == "ignore":
                continue
            rows = list(part.trained[task.name])
            known = part.targets["train"][task.name]
            assert isinstance(known, Targets)
            counts = Cooccurrence.from_targets(known, part.outputs[task.name])
            graph = GraphSpec.parse(task.graph or "conditional").build(counts, config.run.seed)
            own = config.part_of(task)
            completion = build_completion(own, task.missing.unknown, known.take(rows), graph)
            if completion is not None:
                images = torch.tensor(rows, dtype=torch.int64) + start
                found[task.name] = Completing(completion, images)
        start += len(part.splits.train)
    return found


def counted(known: Known, name: str, completions: Completions) -> Known:
    """Returns the targets for the loss: completed ones if the task has a completion."""
    if name not in completions:
        return known
    return Targets.of(completions[name].completion.targets)

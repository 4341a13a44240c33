"""The results of a run with several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.model import Model
from gatlabel.multitask.comparing import Comparison
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.evaluation import Predictions
from gatlabel.multitask.parts import Part

RESULT, REPORT = "metrics.json", "report.html"


@dataclass(frozen=True)
class Outcome:
    """The results of a run, with its options and data.

    Attributes:
        config: The options.
        parts: The data sets.
        model: The trained model.
        weights: Weight of each task at the end, if they are balanced.
        own: Results of the run.
        comparisons: Results of the baselines.
        curves: One row per epoch.
        predictions: Its outputs on the splits of the results.
    """

    config: MultiTaskConfig
    parts: Sequence[Part]
    model: Model
    weights: Mapping[str, float]
    own: Comparison
    comparisons: Sequence[Comparison]
    curves: Sequence[Mapping[str, float]]
    predictions: Predictions


def read_outcome(folder: Path) -> tuple[Comparison, list[Comparison], dict[str, float]]:
    """Reads ``metrics.json``: results of the model and of baselines, and weights of the tasks.

    Raises:
        InputError: If the file is missing or damaged.
    """
    path = folder / RESULT
    content: Any = read_json(path, "metrics file")
    try:
        own = Comparison.from_dict(content)
        others = [Comparison.from_dict(each) for each in content["comparisons"]]
        return own, others, dict(content["weights"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}): train the model again") from error

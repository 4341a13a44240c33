"""The start of a run in closed form: ridge regression on the features of the untrained encoder."""

from __future__ import annotations

import time

import torch

from gatlabel.baselines.ridge import LinearStart, ridge_start
from gatlabel.data import DataSplits, ImageSource
from gatlabel.features import extract
from gatlabel.metrics import evaluate_scores
from gatlabel.missing import Completion
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.checkpoints import Log
from gatlabel.training.config import TrainConfig
from gatlabel.training.fitting import device_of


def start_in_closed_form(
    model: MultiLabelClassifier,
    config: TrainConfig,
    splits: DataSplits,
    completion: Completion | None,
    log: Log,
) -> LinearStart | None:
    """Starts the head at ridge regression and logs the figures of that start on validation images.

    The encoder runs once over training and validation images, whole and resized. Features are kept
    in ``config.cache_folder``, so that another head or graph starts without that pass.

    Args:
        model: The model as it was built; its head changes in place, its modes stay.
        config: The resolved options of the run.
        splits: The data.
        completion: Gives the targets of unknown training labels; none leaves them out.
        log: Called with one line.

    Returns:
        The classifiers, or ``None`` for a head that does not start as a linear classifier.

    Raises:
        InputError: If an image cannot be decoded, or the features cannot be written.
    """
    if not model.head.starts_linear:
        return None
    began = time.perf_counter()
    modes = {module: module.training for module in model.modules()}
    model.to(device_of(config)).eval()
    known = torch.from_numpy(splits.train.targets) if completion is None else completion.targets
    start = ridge_start(_features(model, splits.train, config), known, model.head.sharing())
    model.head.cpu().start_linear(start.weight, start.bias)
    line = f"start: ridge regression on frozen features, penalty {start.penalty:.3g}"
    figure = _validation_map(model, splits.val, config)
    log(f"{line}, val mAP {figure:.4f} ({time.perf_counter() - began:.1f} s)")
    model.cpu()
    for module, training in modes.items():
        module.training = training
    return start


def _features(
    model: MultiLabelClassifier, source: ImageSource, config: TrainConfig
) -> torch.Tensor:
    found = extract(model, source, "pooled", config.cache_folder).open()
    return torch.tensor(found)


@torch.inference_mode()
def _validation_map(model: MultiLabelClassifier, source: ImageSource, config: TrainConfig) -> float:
    logits = model.head(_features(model, source, config))
    report = evaluate_scores(logits, torch.from_numpy(source.targets), model.labels)
    return float(report.metrics["mAP"])

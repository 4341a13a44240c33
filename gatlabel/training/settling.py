"""Which weights become the model: the trained ones, or those of the start in closed form."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from gatlabel.baselines.shrinkage import shrink
from gatlabel.data import ImageSource
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import Head
from gatlabel.training.checkpoints import Log
from gatlabel.training.config import TrainConfig
from gatlabel.training.evaluation import Evaluation, evaluation_of, predict_features
from gatlabel.training.fitting import device_of
from gatlabel.training.proving import gain, is_proven
from gatlabel.training.starting import features


@torch.inference_mode()
def evaluate_features(
    model: MultiLabelClassifier, source: ImageSource, split: str, config: TrainConfig
) -> Evaluation:
    """Evaluates a model whose encoder has not learned, from features that are kept."""
    model.to(device_of(config)).eval()
    found = features(model, source, config)
    logits = model.cpu().head(found)
    return evaluation_of(logits, source, split, model.labels)


@torch.no_grad()
def settle(
    model: MultiLabelClassifier,
    untrained: MultiLabelClassifier,
    val: ImageSource,
    config: TrainConfig,
    log: Log,
) -> bool:
    """Gives a trained model the weights of its start back, unless training has proven to gain.

    The start stays unless validation mAP has risen by more than its standard error.

    Args:
        model: The trained model, on the CPU.
        untrained: The model as it stood before training.
        val: The validation images.
        config: The options of the run.
        log: Called with what was found.

    Returns:
        Whether the trained weights were kept.
    """
    targets = torch.from_numpy(val.targets)
    found = predict_features(model.to(device_of(config)), val)
    trained = _shrunk(model.cpu().eval().head, found, targets, log)
    start = untrained.head(features(untrained.eval(), val, config))
    difference, error = gain(trained, start, targets, config.seed)
    kept = is_proven(difference, error)
    if not kept:
        model.load_state_dict(untrained.state_dict())
    log(
        f"training changed val mAP by {100 * difference:+.2f} ± {100 * error:.2f} points: "
        f"{'the trained weights are' if kept else 'the start in closed form is'} kept"
    )
    return kept


def _shrunk(head: Head, found: Tensor, targets: Tensor, log: Log) -> Tensor:
    """Keeps of a head's residual what the validation images support; returns their logits."""
    logits: Tensor = head(found)
    linear = copy.deepcopy(head)
    if not linear.scale_residual(0.0):
        return logits
    base = linear(found)
    factor = shrink(logits - base, base, targets)
    head.scale_residual(factor)
    log(f"of the residual attention {factor:.2f} is kept: what the validation images support")
    shrunken: Tensor = head(found)
    return shrunken

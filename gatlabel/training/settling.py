"""Choice of the final weights: the trained ones or the closed-form initialisation."""

from __future__ import annotations

import numpy as np
import torch

from gatlabel.baselines.shrinkage import shrink
from gatlabel.data import DataSplits, ImageSource
from gatlabel.graph import LabelGraph
from gatlabel.interruptions import Signals
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearInit
from gatlabel.training.config import TrainConfig
from gatlabel.training.evaluation import Evaluation, evaluation_of
from gatlabel.training.evidence import Evidence, validation_evidence
from gatlabel.training.folding import fold_evidence, scores_of
from gatlabel.training.out_of_fold import OutOfFold
from gatlabel.training.proving import RULES, gain
from gatlabel.training.run_folder import RunFolder
from gatlabel.training.starting import Start, features


@torch.inference_mode()
def evaluate_features(
    model: MultiLabelClassifier, source: ImageSource, split: str, config: TrainConfig
) -> Evaluation:
    """Evaluates a model with an unchanged encoder, from cached features."""
    found = features(model, source, config)
    return evaluation_of(model.eval().head(found), source, split, model.labels)


@torch.no_grad()
def settle(
    model: MultiLabelClassifier,
    untrained: MultiLabelClassifier,
    evidence: Evidence,
    config: TrainConfig,
    log: Log,
) -> tuple[bool, float]:
    """Restores the initial weights of a trained model, if the evidence is against the trained ones.

    First the residual attention is scaled by the factor that the images support
    (:func:`~gatlabel.baselines.shrinkage.shrink`). Then the rule of ``run.keep`` is applied to the
    change of mAP and its standard error (:data:`~gatlabel.training.proving.RULES`).

    Args:
        model: The trained model, on the CPU.
        untrained: The model before training.
        evidence: Logits of initial and trained weights.
        config: The options of the run.
        log: Called with the results.

    Returns:
        Whether the trained weights were kept, and the factor of the residual.
    """
    trained, linear, start = evidence.trained, evidence.linear, evidence.start
    assert trained is not None
    assert linear is not None
    assert start is not None
    factor = 1.0
    head = model.head
    if isinstance(head, LinearInit) and head.scale_residual(1.0):
        residual, seed = trained - linear, config.run.seed
        factor = shrink(residual, linear, evidence.targets, seed=seed, groups=evidence.groups)
        head.scale_residual(factor)
        log(f"the residual attention is scaled by {factor:.2f}, chosen on {evidence.images} images")
        trained = linear + factor * residual
    difference, error = gain(trained, start, evidence.targets, config.run.seed, evidence.groups)
    kept = RULES[config.run.keep or ""](difference, error)
    if not kept:
        model.load_state_dict(untrained.state_dict())
    log(
        f"training changed {evidence.images} mAP by {100 * difference:+.2f} ± {100 * error:.2f} "
        f"points: {'the trained weights are' if kept else 'the closed-form initialisation is'} kept"
    )
    return kept, factor


def settled(
    model: MultiLabelClassifier,
    untrained: MultiLabelClassifier | None,
    start: Start | None,
    config: TrainConfig,
    splits: DataSplits,
    folder: RunFolder,
    signals: Signals,
    log: Log,
    graph: LabelGraph,
) -> bool:
    """Chooses between initial and trained weights, and writes out-of-fold predictions.

    Args:
        model: The trained model, on the CPU; it receives the chosen weights.
        untrained: The model before training, if it is needed.
        start: Its closed-form initialisation, if it had one.
        config: The resolved options.
        splits: The data.
        folder: The folder for out-of-fold predictions.
        signals: Checked before every step of a fold for a signal that ends the process.
        log: Called with the results.
        graph: The graph by which unknown labels are completed.

    Returns:
        Whether the model has trained weights.
    """
    trained, factor = bool(config.run.epochs), 1.0
    if untrained is None:
        return trained
    evidence, fold_of = None, None
    if config.run.folds:
        evidence, fold_of = fold_evidence(
            untrained, config, splits, signals, log,
            graph=graph, choice=None if start is None else start.choice,
        )  # fmt: skip
    if trained and start is not None and config.run.keep in RULES:
        judged = evidence or validation_evidence(model, untrained, splits.val, config)
        trained, factor = settle(model, untrained, judged, config, log)
    if evidence is not None and fold_of is not None:
        scores = scores_of(evidence, trained, factor).numpy()
        source = splits.train
        OutOfFold(source.ids, source.labels, scores, np.asarray(source.targets), fold_of).save(
            folder.out_of_fold
        )
    return trained

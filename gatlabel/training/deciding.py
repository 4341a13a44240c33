"""The decision of a run: chosen on validation images, and evaluated on every split."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from torch import Tensor

from gatlabel.decisions.aims import Aim
from gatlabel.decisions.choosing import choose_decision
from gatlabel.decisions.decision import OUT_OF_FOLD, Decision
from gatlabel.decisions.options import DecisionOptions
from gatlabel.decisions.wording import chosen_on, describe, rule
from gatlabel.errors import InputError, unknown_choice
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.metrics import evaluate_scores
from gatlabel.training.evaluation import Evaluation
from gatlabel.training.out_of_fold import OutOfFold
from gatlabel.training.run_folder import RunFolder

VALIDATION = "val"
NAMES = {"validation": VALIDATION}


def decided(
    options: DecisionOptions,
    labels: LabelSet,
    evaluations: Sequence[Evaluation],
    folder: RunFolder,
    log: Log,
) -> list[Evaluation]:
    """Chooses the decision of a trained run, writes it, and evaluates it on every split.

    If the validation images do not suffice, thresholds stay 0.5 and the reason is logged.

    Args:
        options: The options of the decision.
        labels: The labels of the model.
        evaluations: Evaluations of the splits that the model was not trained on.
        folder: The run folder, possibly with out-of-fold predictions.
        log: Called with one line.
    """
    logits, targets, split = evidence_of(options, labels, evaluations, folder)
    decision = choose(options, labels, logits, targets, split, log)
    decision.save(folder.decisions)
    return [with_decision(each, decision) for each in evaluations]


def choose(
    options: DecisionOptions,
    labels: LabelSet,
    logits: Tensor,
    targets: Tensor,
    split: str,
    log: Log,
) -> Decision:
    """Chooses a decision; where the images cannot choose, thresholds stay 0.5.

    Args:
        options: What to choose for.
        labels: The L labels.
        logits: ``(N, L)``.
        targets: ``(N, L)``.
        split: What the images are called.
        log: Called with a line on what was chosen, or why nothing was, and on notes.
    """
    try:
        decision = choose_decision(logits, targets, labels, options, split=split)
    except InputError as error:  # the model is trained; it must not be lost
        decision = Decision.fixed(labels, notes=(f"{error}: thresholds stay 0.5",))
        log(decision.notes[0])
    else:
        log(f"thresholds: {describe(decision)['aim']}, chosen on {chosen_on(decision)}")
        for note in decision.notes:
            log(f"note: {note}")
    return decision


def evidence_of(
    options: DecisionOptions,
    labels: LabelSet,
    evaluations: Sequence[Evaluation],
    folder: RunFolder,
    split: str | None = None,
) -> tuple[Tensor, Tensor, str]:
    """Finds the images to choose a decision on.

    Args:
        options: The options of the decision.
        labels: The labels of the model.
        evaluations: Evaluations of the splits that the model was not trained on.
        folder: The run folder.
        split: ``validation``, ``test`` or ``out-of-fold``. By default out-of-fold if these
            predictions exist, otherwise validation. Guarantees are chosen on validation, since
            out-of-fold predictions are those of other models.

    Returns:
        Logits ``(N, L)``, targets ``(N, L)``, and a description of the images.

    Raises:
        InputError: If there is no such split, or it has no images.
    """
    guaranteed = Aim.parse(options.aim).name == "miss-rate" or options.confidence is not None
    if split is None and folder.out_of_fold.is_file() and not guaranteed:
        split = OUT_OF_FOLD
    if split == OUT_OF_FOLD:
        return _out_of_fold(folder, labels)
    name = NAMES.get(split or VALIDATION, split or VALIDATION)
    found = {each.split: each for each in evaluations}
    if name in found:
        return found[name].logits, found[name].targets, found[name].split
    if name == "train":
        raise InputError(
            "split=train: thresholds chosen on images that the model was trained on are too high; "
            "use validation, or train with --folds"
        )
    raise unknown_choice("split", name, ["validation", *found, OUT_OF_FOLD])


def _out_of_fold(folder: RunFolder, labels: LabelSet) -> tuple[Tensor, Tensor, str]:
    import torch

    if not folder.out_of_fold.is_file():
        raise InputError(
            f"{folder.path} has no out-of-fold predictions: train with --folds 5, or use "
            "--split validation"
        )
    kept = OutOfFold.load(folder.out_of_fold)
    order = labels.require_same_names(kept.labels, str(folder.out_of_fold))
    scores, targets = kept.scores[:, order], kept.targets[:, order]
    return torch.from_numpy(scores), torch.from_numpy(targets), OUT_OF_FOLD


def with_decision(evaluation: Evaluation, decision: Decision) -> Evaluation:
    """Returns an evaluation with the metrics of the decision added."""
    labels = decision.labels
    chosen = decision.present(evaluation.logits.numpy())
    decided_by = rule(decision, evaluation.split)
    report = evaluate_scores(
        evaluation.logits, evaluation.targets, labels, decisions=chosen, decided_by=decided_by
    )
    return dataclasses.replace(evaluation, report=report, decision=decision)

"""Methods on features of the frozen encoder: ridge, and scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peer_study.clock import Clock
from peer_study.passes import Pass, run_pass
from peer_study.task import Fitted, Scores, Task

#: Penalties in the order in which they are tried: the likely ones first, as time may run out.
TRIED = {
    "logistic": (1e-1, 1e-2, 1.0, 1e-3, 10.0, 1e-4),
    "svm": (1e-3, 1e-2, 1e-4, 1e-1, 1e-5, 1.0),
}
FOLDS = 5


# user: begin ridge
def ridge(features, targets):  # type: ignore[no-untyped-def]
    import torch

    from gatlabel.baselines.ridge import ridge_start

    start = ridge_start(torch.from_numpy(features), torch.from_numpy(targets))
    return lambda x: (torch.from_numpy(x) @ start.weight.T + start.bias).numpy(), start.penalty


# user: end


# user: begin sklearn
def one_vs_rest(kind, C):  # type: ignore[no-untyped-def]
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    model = LogisticRegression(C=C, max_iter=1000) if kind == "logistic" else LinearSVC(C=C)
    return make_pipeline(StandardScaler(), OneVsRestClassifier(model))


def out_of_fold(kind, C, features, targets, seed):  # type: ignore[no-untyped-def]
    from sklearn.model_selection import KFold, cross_val_predict

    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    return cross_val_predict(
        one_vs_rest(kind, C), features, targets, cv=folds, method="decision_function"
    )


def mean_ap(targets, scores):  # type: ignore[no-untyped-def]
    from sklearn.metrics import average_precision_score

    usable = targets.any(0)
    return average_precision_score(targets[:, usable], scores[:, usable])


# user: end


def fit_ridge(task: Task, clock: Clock) -> Fitted:
    """Ridge regression, the penalty by leave-one-out: :func:`ridge_start` and nothing else."""
    with clock.outside():
        done = run_pass(task.data, task.size, task.passes)
    apply, penalty = ridge(done.features[task.train], task.data.present[task.train])
    return _charged(task, done, apply, {"penalty": penalty}, finished=True)


def fit_sklearn(kind: str) -> Callable[[Task, Clock], Fitted]:
    """One classifier a label on scaled features, the penalty by cross-validation in the budget."""

    def fit(task: Task, clock: Clock) -> Fitted:
        with clock.outside():
            done = run_pass(task.data, task.size, task.passes)
        x, y = done.features[task.train], task.data.present[task.train]
        left = task.seconds - done.seconds * (len(task.train) + len(task.val))
        with warnings.catch_warnings():  # of labels that a fold does not have, or everywhere
            warnings.simplefilter("ignore")
            chosen, tried = _choose(kind, x, y, task.seed, clock, left)
            model = one_vs_rest(kind, chosen).fit(x, y)
        notes = {"C": chosen, "tried": tried}
        finished = len(tried) == len(TRIED[kind])
        return _charged(task, done, model.decision_function, notes, finished)

    return fit


def _choose(
    kind: str, x: Scores, y: Scores, seed: int, clock: Clock, left: float
) -> tuple[float, dict[str, float]]:
    """Tries penalties as long as another one, and the fit that follows, should fit."""
    tried: dict[str, float] = {}
    took = 0.0
    for C in TRIED[kind]:
        if tried and clock.seconds + took * (1 + 1 / FOLDS) > left:
            break
        before = clock.seconds
        tried[f"{C:g}"] = float(mean_ap(y, out_of_fold(kind, C, x, y, seed)))
        took = max(took, clock.seconds - before)
    return float(max(tried, key=lambda C: tried[C])), tried


def _charged(
    task: Task, done: Pass, apply: Callable[[Any], NDArray[Any]], notes: dict[str, Any],
    finished: bool,
) -> Fitted:  # fmt: skip
    """Adds what the features cost that are extracted once for all such methods."""

    def predict() -> Scores:
        return np.asarray(apply(done.features[task.data.test]), np.float32)

    learned = done.seconds * (len(task.train) + len(task.val))
    return Fitted(predict, notes, learned, done.seconds * len(task.data.test), finished)

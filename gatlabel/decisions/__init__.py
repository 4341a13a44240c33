"""Conversion of probabilities to label sets: thresholds, calibration, sets with a guarantee.

All functions take probabilities ``(N, L)`` of images that the model was not trained on, and their
targets ``(N, L)`` of 1, 0 and -1 (unknown). A label is predicted as present if its probability is
at least its threshold:

    >>> import torch
    >>> from gatlabel.decisions import conformal_threshold, f1_thresholds
    >>> generator = torch.Generator().manual_seed(0)
    >>> probabilities = torch.rand(500, 4, generator=generator) ** 2
    >>> targets = (torch.rand(500, 4, generator=generator) < probabilities).float()
    >>> present = probabilities >= f1_thresholds(probabilities, targets)
    >>> threshold = conformal_threshold(probabilities, targets, alpha=0.1)
    >>> missed = ((targets == 1) & (probabilities < threshold)).sum(1)
    >>> bool((missed / targets.sum(1).clamp(min=1)).mean() <= 0.1)
    True

:func:`choose_decision` chooses calibration and thresholds together. It returns a
:class:`Decision`, which is stored in ``decisions.json`` of a run and in bundles.

Metrics on the images that were used to choose thresholds are too optimistic: report metrics on
other images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.decisions.bins import Reliability, reliability
    from gatlabel.decisions.calibration import Calibration, fit_calibration
    from gatlabel.decisions.choosing import choose_decision
    from gatlabel.decisions.classes import ClassDecision
    from gatlabel.decisions.conformal import (
        InfeasibleWarning,
        conformal_threshold,
        precision_guarantee,
    )
    from gatlabel.decisions.decision import Decision, decision_of
    from gatlabel.decisions.hmm import LabelHMM
    from gatlabel.decisions.options import DecisionOptions
    from gatlabel.decisions.pairwise import PairwiseLabelModel
    from gatlabel.decisions.temperature import choose_class_decision, fit_temperature
    from gatlabel.decisions.thresholds import (
        f1_thresholds,
        precision_thresholds,
        recall_thresholds,
    )
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "Calibration",
    "ClassDecision",
    "Decision",
    "DecisionOptions",
    "InfeasibleWarning",
    "LabelHMM",
    "PairwiseLabelModel",
    "Reliability",
    "choose_class_decision",
    "choose_decision",
    "conformal_threshold",
    "decision_of",
    "f1_thresholds",
    "fit_calibration",
    "fit_temperature",
    "precision_guarantee",
    "precision_thresholds",
    "recall_thresholds",
    "reliability",
]

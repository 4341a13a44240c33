"""Descriptions of decisions for tables, reports and metrics."""

from __future__ import annotations

from gatlabel.decisions.aims import Aim
from gatlabel.decisions.classes import ClassDecision
from gatlabel.decisions.decision import OUT_OF_FOLD, Decision

_AIMS = {
    "macro-f1": "the largest macro-F1",
    "micro-f1": "the largest micro-F1",
    "precision": "a precision of at least {value}",
    "recall": "a recall of at least {value}",
    "miss-rate": "a miss rate of at most {value}",
    "fixed": "a fixed threshold of {value}",
}
_CALIBRATIONS = {
    "none": "none",
    "temperature": "temperature: one scale for all labels",
    "vector": "vector: a scale and a bias for each label, shrunk towards shared ones",
}


def describe(decision: Decision | ClassDecision) -> dict[str, str]:
    """Returns the properties of a decision as named phrases; empty ones are left out."""
    if isinstance(decision, ClassDecision):
        return {
            "decision": "the most probable class",
            "calibration": f"temperature: all logits divided by {decision.temperature:.4g}",
            "chosen on": f"{decision.split}, {decision.images} images",
        }
    each = "one for each label" if decision.per_label else "one for all labels"
    limits = sorted(set(decision.thresholds.values()))
    if not decision.per_label and len(limits) == 1:
        each += f", {limits[0]:.4g}"
    found = {
        "aim": _aim(decision),
        "thresholds": each,
        "calibration": _CALIBRATIONS[decision.calibrate],
        "chosen on": chosen_on(decision),
        "guarantee": guarantee(decision),
        "notes": "; ".join(decision.notes),
    }
    return {name: text for name, text in found.items() if text}


def chosen_on(decision: Decision) -> str:
    """Describes the images that a decision was chosen on, if any."""
    if not decision.split:
        return "no images: thresholds were given" if decision.aim else "no images"
    images = {OUT_OF_FOLD: "out-of-fold predictions for training images"}
    return f"{images.get(decision.split, decision.split)}, {decision.images} images"


def rule(decision: Decision, split: str = "") -> str:
    """Describes a decision for the protocol of metrics.

    Args:
        decision: What decides.
        split: The images that are measured, if they are known.
    """
    found = f"{decision.aim or 'thresholds given'}, chosen on {chosen_on(decision)}"
    if decision.split and decision.split == split:
        found += ", which are these images: expect lower values on others"
    return found


def guarantee(decision: Decision) -> str:
    """Describes the guarantee for new images from the same distribution; empty without one."""
    if not decision.aim:
        return ""
    aim = Aim.parse(decision.aim)
    if aim.name == "miss-rate" and aim.value is not None:
        what = (
            f"each label is missed in at most {_percent(aim.value)} of the images that show it"
            if decision.per_label
            else f"at most {_percent(aim.value)} of an image's present labels are missed on average"
        )
        method = "conformal risk control" if decision.confidence is None else "RCPS"
    elif aim.name == "precision" and aim.value is not None and decision.confidence is not None:
        what = f"at most {_percent(1 - aim.value)} of an image's set is wrong on average"
        method = "learn then test"
    else:
        return ""
    draws = (
        "in expectation over draws of images"
        if decision.confidence is None
        else f"with a confidence of {_percent(decision.confidence)} over draws of images"
    )
    return f"{what}, {draws} ({method}); unknown labels are assumed to be missing at random"


def _aim(decision: Decision) -> str:
    if not decision.aim:
        return "none: thresholds were given" if decision.per_label else "none: the default"
    aim = Aim.parse(decision.aim)
    text = _AIMS[aim.name].format(value="" if aim.value is None else f"{aim.value:g}")
    return f"{aim}: {text}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"

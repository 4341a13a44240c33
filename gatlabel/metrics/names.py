"""Names of metrics for readers, where they differ from the keys in files."""

from __future__ import annotations

SHOWN_NAMES = {
    "mean_frequency": "mAP of guessing",
    "macro_recall": "macro recall",
    "log_loss": "log loss",
    "exact_match": "exact match",
    "exact_set": "exact label set",
    "edit_distance": "edit distance",
    "set_F1": "F1 of the label set",
}


def shown_name(metric: str) -> str:
    """Returns the name of a metric for tables and reports."""
    return SHOWN_NAMES.get(metric, metric)

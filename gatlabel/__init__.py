"""Multi-label image classification with a label graph.

Labels that occur together should share evidence. gatlabel computes each label's classifier from its
neighbours in the label graph, and folds the result into one linear layer for inference.

    >>> from gatlabel import Cooccurrence
    >>> from gatlabel.nn import GATHead
    >>> counts = Cooccurrence.from_targets([[1, 1, 0], [0, 1, 1]], ["fork", "table", "chair"])
    >>> head = GATHead(in_features=8, graph=counts.graph(), hidden=4, heads=2)

The names below import their modules on first use, so that importing gatlabel is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.deploy import Prediction, Predictor
    from gatlabel.graph import Cooccurrence, LabelGraph
    from gatlabel.labels import LabelSet
    from gatlabel.model import MultiLabelClassifier
    from gatlabel.training import TrainConfig, train
else:
    __getattr__, __dir__ = lazy_names(__name__)

__version__ = "0.1.0"

__all__ = [
    "Cooccurrence",
    "LabelGraph",
    "LabelSet",
    "MultiLabelClassifier",
    "Prediction",
    "Predictor",
    "TrainConfig",
    "__version__",
    "train",
]

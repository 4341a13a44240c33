"""Models: encoders of the inputs, shared features, and a head for each task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.model.classifier import MultiLabelClassifier
    from gatlabel.model.multi_task import Model
    from gatlabel.model.network import Network
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["Model", "MultiLabelClassifier", "Network"]

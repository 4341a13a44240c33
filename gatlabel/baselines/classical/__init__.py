"""Classical classifiers on features: fitted by scikit-learn, stored and evaluated as tensors.

Example:
    >>> import torch
    >>> from gatlabel.baselines.classical import ClassicalClassifier
    >>> generator = torch.Generator().manual_seed(0)
    >>> features = torch.randn(80, 5, generator=generator)
    >>> targets = (features[:, :3] > 0.3).float()
    >>> targets[:20, 1] = -1  # unknown
    >>> ClassicalClassifier("ridge").fit(features, targets).scores(features).shape
    torch.Size([80, 3])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.baselines.classical.classifier import ClassicalClassifier
    from gatlabel.baselines.classical.options import CLASSICAL, ClassicalOptions
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["CLASSICAL", "ClassicalClassifier", "ClassicalOptions"]

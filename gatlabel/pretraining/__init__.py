"""Pre-training of an encoder on images without labels.

The encoder is trained on two or more random views of each image. Views of one image should have
similar features, and views of different images different ones. The run can then provide initial
weights: ``gatlabel train --weights RUN``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.pretraining.config import PretrainConfig
    from gatlabel.pretraining.methods import METHODS, Method
    from gatlabel.pretraining.probing import Probe, probe
    from gatlabel.pretraining.run import PretrainResult, pretrain, resume_pretraining
    from gatlabel.pretraining.views import ViewDataset
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "METHODS",
    "Method",
    "PretrainConfig",
    "PretrainResult",
    "Probe",
    "ViewDataset",
    "pretrain",
    "probe",
    "resume_pretraining",
]

"""Treatments of unknown targets in training: ignore them, fill them in, or complete them.

:data:`UNKNOWN` lists the treatments. A treatment is created from the training targets, provides the
targets to train on *now*, and may update them from the model's logits during training::

    >>> import torch
    >>> from gatlabel.graph import LabelGraph
    >>> from gatlabel.missing import make_completion
    >>> graph = LabelGraph.from_edges([("fork", "knife")], ["fork", "knife"], undirected=True)
    >>> known = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).repeat(10, 1)
    >>> hidden = torch.tensor([[1.0, -1.0], [0.0, -1.0]]).repeat(2, 1)
    >>> completion = make_completion("complete", torch.cat([known, hidden]), graph)
    >>> completion.targets[-4:, 1]  # during the warm-up the knife stays unknown
    tensor([-1., -1., -1., -1.])
    >>> logits = torch.zeros(24, 2)  # uninformative images
    >>> logits[-4, 1] = 0.1
    >>> completion.update(logits, progress=0.5)
    >>> completion.targets[-4:, 1] > 0.9  # the likeliest of the images with a fork
    tensor([ True, False, False, False])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.missing.base import Completion
    from gatlabel.missing.complete import Complete
    from gatlabel.missing.constant import Ignore, Negative, Prior
    from gatlabel.missing.pseudo import Pseudo
    from gatlabel.missing.treatments import UNKNOWN, make_completion
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "UNKNOWN",
    "Complete",
    "Completion",
    "Ignore",
    "Negative",
    "Prior",
    "Pseudo",
    "make_completion",
]

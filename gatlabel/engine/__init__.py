"""Training of models on batches: objectives, balancing of losses, optimisers.

    >>> from gatlabel.engine import FitSpec, OptimizerOptions, Supervised
    >>> spec = FitSpec(epochs=3, device="cpu")

:func:`gatlabel.engine.fitting.fit` trains with Lightning, with validation and checkpoints;
:func:`gatlabel.engine.loop.train` is a plain loop for models that train in seconds. Both compute
their losses with an :class:`Objective`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.engine.fitting import fit
    from gatlabel.engine.objectives import Objective
    from gatlabel.engine.options import OptimizerOptions
    from gatlabel.engine.specs import FitSpec
    from gatlabel.engine.supervised import Supervised
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = ["FitSpec", "Objective", "OptimizerOptions", "Supervised", "fit"]

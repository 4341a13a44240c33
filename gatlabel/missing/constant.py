"""Treatments that set the targets once, independent of the model."""

from __future__ import annotations

import torch
from torch import Tensor

from gatlabel.graph import LabelGraph
from gatlabel.labels import ABSENT
from gatlabel.missing.base import Completion, label_rates
from gatlabel.targets import Targets


class Ignore(Completion):
    """Unknown targets stay unknown: they have no loss and no gradient."""


class Negative(Completion):
    """Unknown targets count as absent: right if labels are missing because they are absent.

    Args:
        targets: See :class:`Completion`.
        graph: Not used.
    """

    def __init__(self, targets: Targets | Tensor, graph: LabelGraph | None = None) -> None:
        super().__init__(targets, graph)
        self.targets = torch.where(self.known, self.targets, ABSENT)

    def observed_targets(self) -> Tensor:
        """Returns the targets, as absences are assumed; see :meth:`Completion.observed_targets`."""
        return self.targets


class Prior(Completion):
    """Unknown targets become the label's frequency among its known entries, slightly shrunk.

    See :func:`~gatlabel.missing.base.label_rates`.

    Args:
        targets: See :class:`Completion`.
        graph: Not used.
    """

    def __init__(self, targets: Targets | Tensor, graph: LabelGraph | None = None) -> None:
        super().__init__(targets, graph)
        self.targets = torch.where(self.known, self.targets, label_rates(self.targets, self.known))

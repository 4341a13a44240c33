"""What training makes of unknown targets: leave them out, fill them in, or complete them.

:data:`UNKNOWN` names the treatments. A treatment is made of the training targets, gives the targets
to train on *now*, and may learn from the model's logits as training goes on::

    >>> import torch
    >>> from gatlabel.graph import LabelGraph
    >>> from gatlabel.missing import make_completion
    >>> graph = LabelGraph.from_edges([("fork", "knife")], ["fork", "knife"], undirected=True)
    >>> known = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).repeat(10, 1)
    >>> hidden = torch.tensor([[1.0, -1.0], [0.0, -1.0]]).repeat(2, 1)
    >>> completion = make_completion("complete", torch.cat([known, hidden]), graph)
    >>> completion.targets[-4:, 1]  # during the warm-up the knife stays unknown
    tensor([-1., -1., -1., -1.])
    >>> logits = torch.zeros(24, 2)  # the pictures say little
    >>> logits[-4, 1] = 0.1
    >>> completion.update(logits, progress=0.5)
    >>> completion.targets[-4:, 1] > 0.9  # the likeliest of those beside a fork
    tensor([ True, False, False, False])
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor

from gatlabel.errors import unknown_choice
from gatlabel.graph import LabelGraph
from gatlabel.missing.base import Completion
from gatlabel.missing.complete import Complete
from gatlabel.missing.constant import Ignore, Negative, Prior
from gatlabel.targets import Targets

#: Treatments of unknown targets, by name.
UNKNOWN: dict[str, type[Completion]] = {
    "ignore": Ignore,
    "negative": Negative,
    "prior": Prior,
    "complete": Complete,
}


def make_completion(
    name: str, targets: Targets | Tensor, graph: LabelGraph | None = None, **options: Any
) -> Completion:
    """Makes what gives the targets to train on.

    Args:
        name: A key of :data:`UNKNOWN`.
        targets: ``(N, L)`` of the N training pictures: 0 to 1, or -1 for unknown.
        graph: The label graph; its labels are the columns of the targets, in order. Only
            ``complete`` looks at it, and at its edges only, not at their weights.
        **options: Of the treatment; see :class:`Complete`.

    Raises:
        InputError: If there is no such treatment or option, an option is out of range, or the
            targets do not follow the convention or do not fit the graph.
    """
    if name not in UNKNOWN:
        raise unknown_choice("treatment of unknown labels", name, UNKNOWN)
    kind = UNKNOWN[name]
    known = [
        word for word in inspect.signature(kind).parameters if word not in ("targets", "graph")
    ]
    for option in options:
        if option not in known:
            raise unknown_choice(f"option of {name!r}", option, known or ["none"])
    return kind(targets, graph, **options)


__all__ = ["UNKNOWN", "Complete", "Completion", "Ignore", "Negative", "Prior", "make_completion"]

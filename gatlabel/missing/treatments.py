"""The treatments of unknown targets by name."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor

from gatlabel.errors import unknown_choice
from gatlabel.graph import LabelGraph
from gatlabel.missing.base import Completion
from gatlabel.missing.complete import Complete
from gatlabel.missing.constant import Ignore, Negative, Prior
from gatlabel.missing.pseudo import Pseudo
from gatlabel.targets import Targets

#: Treatments of unknown targets, by name.
UNKNOWN: dict[str, type[Completion]] = {
    "ignore": Ignore,
    "negative": Negative,
    "prior": Prior,
    "complete": Complete,
    "pseudo": Pseudo,
}


def make_completion(
    name: str, targets: Targets | Tensor, graph: LabelGraph | None = None, **options: Any
) -> Completion:
    """Creates the treatment that provides the training targets.

    Args:
        name: A key of :data:`UNKNOWN`.
        targets: ``(N, L)`` of the N training images: 0 to 1, or -1 for unknown.
        graph: The label graph; its labels are the columns of the targets, in order. Only
                ``complete`` and ``pseudo`` use it, and only its edges, not their weights.
        **options: Options of the treatment; see :class:`Complete`.

    Raises:
        InputError: If there is no such treatment or option, an option is out of range, or the
            targets do not follow the convention or do not match the graph.
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

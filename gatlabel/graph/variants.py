"""All variants of label graphs by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatlabel.errors import InputError, unknown_choice
from gatlabel.graph.association import NPMI, Conditional, Lift
from gatlabel.graph.controls import Complete, Control, Identity, Permuted, Random
from gatlabel.graph.knn import KNN
from gatlabel.graph.mlgcn import MLGCNCode, MLGCNPaper
from gatlabel.graph.variant import Variant
from gatlabel.values import first_few

if TYPE_CHECKING:
    from gatlabel.graph.counts import Counts
    from gatlabel.graph.label_graph import LabelGraph


class IsolatedLabelsWarning(UserWarning):
    """Some labels have no in-neighbour and receive no evidence from other labels."""


VARIANTS: dict[str, type[Variant]] = {
    "identity": Identity,
    "complete": Complete,
    "random": Random,
    "permuted": Permuted,
    "conditional": Conditional,
    "mlgcn_code": MLGCNCode,
    "mlgcn_paper": MLGCNPaper,
    "npmi": NPMI,
    "lift": Lift,
    "knn": KNN,
}
"""All variants by name. Each is a record of options with ``build(counts)``."""


def make_variant(name: str, options: Mapping[str, Any]) -> Variant:
    """Creates a variant by its name.

    Args:
        name: A name in :data:`VARIANTS`.
        options: Its options; for ``random`` and ``permuted``, also those of their base.

    Raises:
        InputError: If there is no such variant, or an option is wrong; the message names the
            nearest option, or the variants that take it.
    """
    if name not in VARIANTS:
        raise unknown_choice("graph variant", name, VARIANTS)
    kind = VARIANTS[name]
    if issubclass(kind, Control):
        return _control(kind, dict(options))
    for option in options:
        if option not in kind.option_types():
            raise _unknown_option(kind, option)
    return kind(**options)


def _control(kind: type[Control], options: dict[str, Any]) -> Control:
    base = options.pop("base", "conditional")
    own = {name: options.pop(name) for name in ("seed",) if name in options}
    if isinstance(base, str):
        base = kind() if base in ("random", "permuted") else make_variant(base, options)
    elif options:
        raise InputError(f"{', '.join(options)}: only for a base given by name")
    return kind(base=base, **own)


def _unknown_option(kind: type[Variant], option: str) -> InputError:
    own = kind.option_types()
    takers = [name for name, other in VARIANTS.items() if option in other.option_types()]
    if takers or not own:
        others = f"{', '.join(takers)} can" if takers else "no variant can"
        return InputError(
            f"the graph variant {kind.name} cannot take {option!r}: {others}; it has "
            f"{'the options ' + ', '.join(own) if own else 'no options'}"
        )
    return unknown_choice(f"option of the graph variant {kind.name}", option, own)


def build_graph(counts: Counts, variant: str, **options: Any) -> LabelGraph:
    """Builds a graph by the name of a variant.

    Args:
        counts: The counts.
        variant: A name in :data:`VARIANTS`.
        **options: The options of that variant.

    Raises:
        InputError: If there is no such variant or option; the message names the nearest one.

    Warns:
        IsolatedLabelsWarning: If labels have no in-neighbour (never for ``identity``).
    """
    graph = make_variant(variant, options).build(counts)
    isolated = graph.isolated
    if isolated and variant != "identity":
        shown = first_few([repr(name) for name in isolated], 5)
        alone = set(isolated) & set(counts.never_paired)
        reason = f", {len(alone)} of them never occur with another label" if alone else ""
        warnings.warn(
            f"{len(isolated)} of {len(graph.names)} labels have no neighbour in the {variant} "
            f"graph ({shown}){reason}: they are classified without evidence from other labels",
            IsolatedLabelsWarning,
            stacklevel=3,
        )
    return graph

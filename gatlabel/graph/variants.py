"""Ways to make a label graph of counts: one documented function each, all in ``VARIANTS``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.graph.association import DEFAULT_TOP_K, conditional, lift, npmi
from gatlabel.graph.cooccurrence import Cooccurrence
from gatlabel.graph.label_graph import LabelGraph
from gatlabel.graph.mlgcn import mlgcn_code, mlgcn_paper
from gatlabel.graph.neighbours import nearest_neighbours
from gatlabel.graph.node_features import resolve
from gatlabel.graph.rewiring import rewired


class IsolatedLabelsWarning(UserWarning):
    """Labels of a graph have no in-neighbour, so no other label lends them evidence."""


def identity(counts: Cooccurrence) -> LabelGraph:
    """No edges: every label for itself. The control that shows what edges add."""
    return LabelGraph(counts.labels, torch.zeros(2, 0), variant="identity", counts=counts)


def complete(counts: Cooccurrence) -> LabelGraph:
    """Every label lends to every other with weight 1: attention alone decides. L·(L−1) edges."""
    edges = (1 - torch.eye(len(counts.labels), dtype=torch.int8)).nonzero().T
    return LabelGraph(counts.labels, edges, variant="complete", counts=counts)


def random(
    counts: Cooccurrence,
    *,
    base: str | LabelGraph = "conditional",
    seed: int = 0,
    **options: Any,
) -> LabelGraph:
    """Another graph, rewired at random: the control for whether its edges mean anything.

    Pairs of edges ``a -> b, c -> d`` become ``a -> d, c -> b`` (Maslov and Sneppen, Science 296,
    2002), ten times as often as there are edges. Every label keeps its number of out-neighbours
    and of in-neighbours and the weights of its in-edges; a swap that would make a self-loop or a
    second edge is passed over. A complete graph stays as it is.

    Args:
        counts: The counts.
        base: The graph to rewire, or the name of a variant to build first.
        seed: Seed of the swaps; the same seed gives the same graph.
        **options: Options of the base variant.

    Raises:
        InputError: If base or options are wrong, or the base graph has other labels.
    """
    if not isinstance(seed, Integral) or seed < 0:
        raise InputError(f"seed is {seed!r}: it must be a whole number, 0 or more")
    if isinstance(base, LabelGraph):
        if options:
            raise InputError(f"{', '.join(options)}: only for a base given by its name")
        counts.labels.require_same_names(base.names, "the base graph")
        built, name = base.reorder(counts.labels), base.variant
    else:
        if base == "random":
            raise InputError("the base of a random graph must be another variant")
        built, name = _call(counts, base, options), base
    edges = rewired(built.edge_index.numpy(), len(counts.labels), np.random.default_rng(seed))
    return LabelGraph(
        counts.labels,
        edges,
        built.edge_weight,
        self_loops=built.has_self_loops,
        variant="random",
        options={"base": name, "seed": seed, **built.options},
        relation=built.relation,
        counts=counts,
    )


def knn(
    counts: Cooccurrence,
    *,
    vectors: str | Path | Tensor | np.ndarray[Any, Any] | Mapping[str, Any] = "svd",
    k: int = 5,
    threshold: float | None = None,
) -> LabelGraph:
    """Connects every label to the k labels whose vectors are nearest by cosine.

    ``w(j -> i) = cos(x_i, x_j)``, where positive. A label without a vector (all zeros) has no
    edges. With vectors that come from elsewhere, such as those of the labels' names, the edges are
    ``kin``: they say that labels are alike. With ``"svd"``, which is made of these counts, they say
    who keeps the same company. There are k nearest labels even where none is near: ``threshold``
    leaves out those that are too far.

    Args:
        counts: The counts; only their labels matter, unless ``vectors`` is ``"svd"``.
        vectors: ``(L, F)``, a mapping or file of vectors by name, ``"names"`` (what the names mean;
            extra ``names``), or ``"svd"``; see
            :func:`gatlabel.graph.node_features.resolve`.
        k: In-neighbours of every label, at most.
        threshold: Least cosine of an edge, if any: at most 1.

    Raises:
        InputError: If ``k`` is less than 1, the threshold above 1, or the vectors do not fit the
            labels.
    """
    features, learned = resolve(vectors, identity(counts))
    if learned:
        raise InputError("knn needs label vectors: learned ones are not there yet")
    edges, weight = nearest_neighbours(features.numpy(), counts.labels, k)
    options: dict[str, Any] = {"k": k}
    if threshold is not None:
        if threshold > 1:
            raise InputError(f"threshold={threshold}: a cosine is at most 1")
        edges, weight = edges[:, weight >= threshold], weight[weight >= threshold]
        options["threshold"] = threshold
    where = Path(vectors).name if isinstance(vectors, str | Path) else "given"
    return LabelGraph(
        counts.labels,
        edges,
        weight,
        variant="knn",
        options={"vectors": where, **options},
        relation="company" if isinstance(vectors, str) and vectors == "svd" else "kin",
        counts=counts,
    )


VARIANTS: dict[str, Callable[..., LabelGraph]] = {
    "identity": identity,
    "complete": complete,
    "random": random,
    "conditional": conditional,
    "mlgcn_code": mlgcn_code,
    "mlgcn_paper": mlgcn_paper,
    "npmi": npmi,
    "lift": lift,
    "knn": knn,
}
"""Every variant by its name; each function takes the counts, then options by keyword."""


def build_graph(counts: Cooccurrence, variant: str, **options: Any) -> LabelGraph:
    """Builds a graph by the name of a variant.

    Args:
        counts: The counts.
        variant: A name in :data:`VARIANTS`.
        **options: The options of that function.

    Raises:
        InputError: If there is no such variant or option; the message gives the nearest.

    Warns:
        IsolatedLabelsWarning: If labels have no in-neighbour (never for ``identity``).
    """
    graph = _call(counts, variant, options)
    isolated = graph.isolated
    if isolated and variant != "identity":
        shown = ", ".join(map(repr, isolated[:5])) + (" …" if isolated[5:] else "")
        alone = set(isolated) & set(counts.never_paired)
        reason = f", {len(alone)} of them never occur with another" if alone else ""
        warnings.warn(
            f"{len(isolated)} of {len(graph.names)} labels have no neighbour in the {variant} "
            f"graph ({shown}){reason}: they are classified without evidence from others",
            IsolatedLabelsWarning,
            stacklevel=3,
        )
    return graph


def default_graph(counts: Cooccurrence) -> LabelGraph:
    """Builds the graph that is used when none is named: ``conditional``, five in-neighbours.

    No label is isolated that ever occurs with another.
    """
    return build_graph(counts, "conditional", given="target", top_k=DEFAULT_TOP_K)


def _call(counts: Cooccurrence, variant: str, options: Mapping[str, Any]) -> LabelGraph:
    if variant not in VARIANTS:
        raise unknown_choice("graph variant", variant, VARIANTS)
    parameters = inspect.signature(VARIANTS[variant]).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in options:
        if name not in known and not open_ended:
            if not known:
                raise InputError(f"the graph variant {variant} has no options, got {name!r}")
            raise unknown_choice(f"option of the graph variant {variant}", name, known)
    return VARIANTS[variant](counts, **options)

"""Ways to make a label graph of counts: one documented function each, all in ``VARIANTS``.

In the formulas n_i is the number of pictures with label i, M_ij that with both i and j, N that of
all pictures; probabilities are ratios of counts over the pictures in which the labels concerned
are known. An edge j -> i lets label j lend evidence to label i. A pair that never occurs together
never becomes an edge by its counts.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gatlabel.errors import InputError, unknown_choice
from gatlabel.graph.cooccurrence import Cooccurrence
from gatlabel.graph.label_graph import LabelGraph
from gatlabel.graph.mlgcn import mlgcn_code, mlgcn_paper
from gatlabel.graph.neighbours import nearest_neighbours
from gatlabel.graph.node_features import resolve
from gatlabel.graph.pair_table import PairTable, pair_table
from gatlabel.graph.rewiring import rewired
from gatlabel.graph.selection import strongest

DEFAULT_TOP_K = 5


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
        counts=counts,
    )


def conditional(
    counts: Cooccurrence,
    *,
    given: Literal["source", "target"] = "target",
    threshold: float | None = None,
    top_k: int | None = None,
    smoothing: float = 0.0,
    min_support: int = 1,
) -> LabelGraph:
    """Weights edges by a conditional probability of the two labels.

    ``given="source"``: weight ``P(i|j) = M_ij / n_j``: the presence of j is evidence for i.
    ``given="target"``: weight ``P(j|i) = M_ij / n_i``: rare labels borrow from frequent company.
    Neither is right a priori. With smoothing s, ``P(i|j) = (M_ij + s·P(i)) / (n_j + s)`` (the
    m-estimate, Cestnik 1990): a probability from few pictures is drawn towards the label's
    overall frequency.

    Args:
        counts: The counts.
        given: Which end of the edge the probability is conditioned on.
        threshold: Keep edges of at least this weight (0 to 1).
        top_k: Keep for every target at most this many in-edges, the heaviest. With neither
            ``threshold`` nor ``top_k``, 5: then no label is isolated that occurs with another.
        smoothing: s, a number of pictures, 0 or more.
        min_support: Pairs in fewer pictures make no edge; at least 1.

    Raises:
        InputError: If an option is out of range.
    """
    if given not in ("source", "target"):
        raise unknown_choice("value of given", str(given), ["source", "target"])
    if not 0 <= smoothing < np.inf:
        raise InputError(f"smoothing is {smoothing}: it must be 0 or more")
    _check_threshold(threshold, 0.0, 1.0)
    pairs = pair_table(counts, min_support)
    weight = pairs.given_source() if given == "source" else pairs.given_target()
    if smoothing:
        marginal = counts.label_counts / np.maximum(counts.known, 1)
        other = pairs.target if given == "source" else pairs.source
        present = pairs.source_present if given == "source" else pairs.target_present
        weight = (pairs.count + smoothing * marginal[other]) / (present + smoothing)
    options = {
        "given": given,
        "threshold": threshold,
        "top_k": top_k,
        "smoothing": smoothing,
        "min_support": min_support,
    }
    return _selected(counts, pairs, weight, "conditional", options)


def npmi(
    counts: Cooccurrence,
    *,
    threshold: float | None = None,
    top_k: int | None = None,
    min_support: int = 1,
) -> LabelGraph:
    """Weights edges by normalised pointwise mutual information, positive values only.

    ``NPMI_ij = ln(P(i,j) / (P(i) P(j))) / −ln P(i,j)`` (Bouma 2009), at most 1: the two labels
    occur only together; 0: no more often than chance. Symmetric before ``top_k``.

    Args:
        counts: The counts; they must know the number of pictures.
        threshold: Keep edges of at least this weight (0 to 1).
        top_k: Keep for every target at most this many in-edges, the heaviest; 5 if neither this
            nor ``threshold`` is given.
        min_support: Pairs in fewer pictures make no edge; at least 1. NPMI is generous to rare
            pairs: raise it where labels are noisy.

    Raises:
        InputError: If an option is out of range or the number of pictures is not known.
    """
    _check_threshold(threshold, 0.0, 1.0)
    pairs = pair_table(counts, min_support)
    pmi, joint = pairs.pmi(counts.require_images("npmi"))
    everywhere = joint == 0  # both labels in every picture: no information, and 0 / 0
    weight = np.where(everywhere, 0.0, pmi / np.where(everywhere, 1.0, -joint))
    options = {"threshold": threshold, "top_k": top_k, "min_support": min_support}
    return _selected(counts, pairs, weight, "npmi", options, above=1e-12)


def lift(
    counts: Cooccurrence,
    *,
    threshold: float | None = None,
    top_k: int | None = None,
    min_support: int = 1,
) -> LabelGraph:
    """Weights edges by lift, where it exceeds 1.

    ``lift_ij = P(i,j) / (P(i) P(j))``: how many times more often than chance the two occur
    together. Symmetric before ``top_k``; unbounded, and large for rare pairs.

    Args:
        counts: The counts; they must know the number of pictures.
        threshold: Keep edges of at least this weight (1 or more).
        top_k: Keep for every target at most this many in-edges, the heaviest; 5 if neither this
            nor ``threshold`` is given.
        min_support: Pairs in fewer pictures make no edge; at least 1.

    Raises:
        InputError: If an option is out of range or the number of pictures is not known.
    """
    _check_threshold(threshold, 0.0, np.inf)
    pairs = pair_table(counts, min_support)
    weight = np.exp(pairs.pmi(counts.require_images("lift"))[0])
    options = {"threshold": threshold, "top_k": top_k, "min_support": min_support}
    return _selected(counts, pairs, weight, "lift", options, above=1.0 + 1e-12)


def knn(
    counts: Cooccurrence,
    *,
    vectors: str | Path | Tensor | np.ndarray[Any, Any] | Mapping[str, Any] = "svd",
    k: int = 5,
) -> LabelGraph:
    """Connects every label to the k labels whose vectors are nearest by cosine.

    ``w(j -> i) = cos(x_i, x_j)``, where positive. A label without a vector (all zeros) has no
    edges.

    Args:
        counts: The counts; only their labels matter, unless ``vectors`` is ``"svd"``.
        vectors: ``(L, F)``, a mapping or file of vectors by name, or ``"svd"``; see
            :func:`gatlabel.graph.node_features.resolve`.
        k: In-neighbours of every label.

    Raises:
        InputError: If ``k`` is less than 1 or the vectors do not fit the labels.
    """
    features, learned = resolve(vectors, identity(counts))
    if learned:
        raise InputError("knn needs label vectors: learned ones are not there yet")
    edges, weight = nearest_neighbours(features.numpy(), counts.labels, k)
    where = Path(vectors).name if isinstance(vectors, str | Path) else "given"
    return LabelGraph(
        counts.labels,
        edges,
        weight,
        variant="knn",
        options={"vectors": where, "k": k},
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


def _check_threshold(threshold: float | None, low: float, high: float) -> None:
    if threshold is not None and not low <= threshold <= high:
        limits = f"between {low:g} and {high:g}" if np.isfinite(high) else f"{low:g} or more"
        raise InputError(f"threshold is {threshold}: it must be {limits}")


def _selected(
    counts: Cooccurrence,
    pairs: PairTable,
    weight: np.ndarray[Any, np.dtype[np.float64]],
    variant: str,
    options: dict[str, Any],
    above: float | None = None,
) -> LabelGraph:
    """Keeps the chosen edges; ``above`` is the least weight that means association at all."""
    if options["threshold"] is None and options["top_k"] is None:
        options["top_k"] = DEFAULT_TOP_K
    least = [limit for limit in (options["threshold"], above) if limit is not None]
    kept = strongest(
        counts.labels,
        pairs.source,
        pairs.target,
        weight,
        threshold=max(least, default=None),
        top_k=options["top_k"],
        support=pairs.count,
    )
    edges = np.stack([pairs.source[kept], pairs.target[kept]])
    return LabelGraph(
        counts.labels, edges, weight[kept], variant=variant, options=options, counts=counts
    )

"""Label graphs whose edges are statistical association: how often labels occur together.

In the formulas n_i is the number of pictures with label i, M_ij that with both i and j, N that of
all pictures; probabilities are ratios of counts over the pictures in which the labels concerned
are known. An edge j -> i lets label j lend evidence to label i. A pair that never occurs together
never becomes an edge.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from gatlabel.errors import InputError, unknown_choice
from gatlabel.graph.cooccurrence import Cooccurrence
from gatlabel.graph.label_graph import LabelGraph
from gatlabel.graph.pair_table import PairTable, pair_table
from gatlabel.graph.selection import strongest

DEFAULT_TOP_K = 5


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

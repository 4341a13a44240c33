"""Pairs of methods to compare, with the uncertainty of each difference."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.experiments.jackknife import Contributions, contributions
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.statistics import Difference, holm, paired_difference, too_few

Scores = Callable[[Method, Condition, int], NDArray[np.float32]]

SIGNIFICANT = 0.05
#: Baselines and controls.
LINEAR, NO_EDGES = "linear", "no edges"
RANDOM, PERMUTED, ABLATED = "random edges", "permuted labels", "edges ablated at test"
COMPLETED_WITHOUT, COMPLETED_RANDOM = "completion without edges", "completion with random edges"
#: Comparisons that are not between treatments of unknown labels.
CONTROLS = (LINEAR, NO_EDGES, RANDOM, PERMUTED, ABLATED)


@dataclass(frozen=True)
class Comparison:
    """One method compared with another, in one condition.

    Attributes:
        condition: The condition.
        ours: The method.
        theirs: The method it is compared with.
        against: Role of the other method (``"linear"``, ``"random edges"``, …).
        difference: Difference in mAP, ours minus theirs.
        corrected: p-value after Holm's correction over all tests; ``None`` for differences of
            controls, which are shown but not tested, and if there are too few positives for a test.
    """

    condition: Condition
    ours: Method
    theirs: Method
    against: str
    difference: Difference
    corrected: float | None

    @property
    def better(self) -> bool:
        """Whether ours is significantly better."""
        low = self.difference.low
        return self._significant and low is not None and low > 0

    @property
    def worse(self) -> bool:
        """Whether ours is significantly worse."""
        high = self.difference.high
        return self._significant and high is not None and high < 0

    @property
    def _significant(self) -> bool:
        return self.corrected is not None and self.corrected < SIGNIFICANT

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        own = dataclasses.asdict(self)
        if math.isnan(self.difference.value):  # JSON has no NaN
            own["difference"]["value"] = None
        return own


def pairs(methods: Sequence[Method]) -> list[tuple[Method, Method, str, bool]]:
    """Lists the pairs to compare.

    Methods with their own edges are tested against linear and all their controls, a head without
    edges against linear, a treatment of unknown labels against the first treatment, and completion
    against its controls. Controls are also shown against linear, no edges and the first treatment.
    All methods except linear itself are shown against at least one other.

    Returns:
        ``(ours, theirs, against, tested)`` for every pair.
    """
    there, first = set(methods), methods[0].unknown
    found: list[tuple[Method, Method, str, bool]] = []

    def add(ours: Method, theirs: Method, against: str, tested: bool) -> None:
        if theirs in there and ours != theirs:
            found.append((ours, theirs, against, tested))

    for method in methods:
        plain = _first_treatment(method, first)
        if method.completion == "own":
            for edges, name in (("none", COMPLETED_WITHOUT), ("random", COMPLETED_RANDOM)):
                add(method, dataclasses.replace(method, completion=edges), name, True)
        if method != plain:
            add(method, plain, first, not method.is_control)
            if plain != methods[0]:
                add(method, methods[0], LINEAR, False)
            continue
        add(method, methods[0], LINEAR, not method.is_control or method.edges == "none")
        bare = dataclasses.replace(method, graph=_completion_graph(method), edges="none")
        add(method, bare, NO_EDGES, not method.is_control)
        if not method.is_control:
            for edges, name in (("random", RANDOM), ("permuted", PERMUTED), ("ablated", ABLATED)):
                add(method, dataclasses.replace(method, edges=edges), name, True)
    shown = {ours for ours, *_ in found}
    for method in methods:
        if method not in shown:
            add(method, methods[0], LINEAR, False)
    return found


def _first_treatment(method: Method, first: str) -> Method:
    """Returns the same method with the first treatment of unknown labels."""
    if method.unknown == first and method.completion in ("", "own"):
        return method
    graph = method.graph
    if method.completion and (method.edges == "none" or method.head == "linear"):
        graph = ""
    completion = method.completion if first == "complete" else ""
    return dataclasses.replace(method, graph=graph, unknown=first, completion=completion)


def _completion_graph(method: Method) -> str:
    return method.graph if method.completion else ""


def compare(
    methods: Sequence[Method],
    conditions: Sequence[Condition],
    seeds: Sequence[int],
    targets: NDArray[np.float32],
    scores: Scores,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Comparison]:
    """Computes all differences with intervals and corrected p-values.

    Args:
        methods: The methods; ``linear`` with the first treatment comes first.
        conditions: The conditions.
        seeds: The seeds of every method.
        targets: Targets of the reported images ``(N, L)``.
        scores: Returns the logits ``(N, L)`` of a run.
        advance: Called with 1 whenever the scores of a run have been read.

    Returns:
        The comparisons, by condition.

    Raises:
        InputError: If the scores of a run cannot be read.
    """
    why = too_few(targets)
    wanted = pairs(methods)
    found: list[Comparison] = []
    for condition in conditions:
        runs: dict[Method, list[Contributions]] = {}
        for method in methods:
            runs[method] = []
            for seed in seeds:
                runs[method].append(contributions(scores(method, condition, seed), targets))
                advance(1)
        for ours, theirs, against, tested in wanted:
            difference = paired_difference(runs[ours], runs[theirs], why=why)
            corrected = difference.p if tested else None
            found.append(Comparison(condition, ours, theirs, against, difference, corrected))
    values = [c.corrected for c in found if c.corrected is not None]
    corrected_values = iter(holm(values))
    return [
        c if c.corrected is None else dataclasses.replace(c, corrected=next(corrected_values))
        for c in found
    ]


def against_edges(comparisons: Sequence[Comparison]) -> dict[Method, dict[str, Comparison]]:
    """Returns the comparisons of methods with random and with no edges, by method."""
    found: dict[Method, dict[str, Comparison]] = {}
    for c in comparisons:
        if c.against in (RANDOM, NO_EDGES) and not c.ours.is_control:
            found.setdefault(c.ours, {})[c.against] = c
    return found


def edges_matter(found: Mapping[str, Comparison]) -> bool:
    """Whether a method is better than with random edges and, if tested, than with no edges."""
    return RANDOM in found and all(c.better for c in found.values())

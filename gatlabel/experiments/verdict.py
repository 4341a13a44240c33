"""Conclusions from the comparisons as sentences: values for one data set, counts for several.

A graph counts as helpful only if its edges are better than random edges of the same degrees *and*
than no edges, each significantly after Holm's correction.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatlabel.experiments.comparisons import (
    COMPLETED_RANDOM,
    COMPLETED_WITHOUT,
    CONTROLS,
    LINEAR,
    NO_EDGES,
    RANDOM,
    Comparison,
    against_edges,
    edges_matter,
)
from gatlabel.experiments.counting import ByDataSet, count_over
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.wording import stated

ADVICE = "More images are needed for significant differences."


def verdict(
    comparisons: ByDataSet, conditions: Sequence[Condition], noun: str = "data set"
) -> list[str]:
    """Returns a few sentences per condition.

    Args:
        comparisons: By data set; corrected together.
        conditions: The conditions, in order.
        noun: Description of the keys of ``comparisons``: ``"benchmark"`` if two have the same data.
    """
    if len(comparisons) > 1:
        found = [count_over(comparisons, condition, noun) for condition in conditions]
        return [text for text in found if text]
    every = [c for those in comparisons.values() for c in those]
    if every and all(c.difference.p is None for c in every):
        why = next((c.difference.why for c in every if c.difference.why), "no interval")
        return [f"{why[0].upper()}{why[1:]}. {ADVICE}"]
    found = [
        _on_one([c for c in every if c.condition == condition and c.corrected is not None], begin)
        for condition in conditions
        for begin in [f"With {condition.title}" if condition.title else "On this data"]
    ]
    return [text for text in found if text]


def _on_one(tested: Sequence[Comparison], begin: str) -> str:
    sentences = [*_graphs(tested, begin), *_linear(tested), *_treatments(tested)]
    if sentences and not sentences[0].startswith(begin):
        sentences[0] = f"{begin}: {sentences[0][0].lower()}{sentences[0][1:]}"
    return " ".join(sentences)


def _graphs(tested: Sequence[Comparison], begin: str) -> list[str]:
    by_method = against_edges(tested)
    if not by_method:
        return []
    winners = [found for found in by_method.values() if edges_matter(found)]
    if winners:
        best = max(winners, key=lambda found: found[RANDOM].difference.value)
        bare = f" and {stated(best[NO_EDGES])} to no edges" if NO_EDGES in best else ""
        return [
            f"{begin} the edges matter: {best[RANDOM].ours.title} gains {stated(best[RANDOM])} "
            f"to random edges of the same degrees{bare}."
        ]
    controlled = any(RANDOM in found for found in by_method.values())
    than = "random edges of the same degrees" if controlled else "no edges"
    sentences = [f"{begin} no graph is better than {than}."]
    over_bare = [f[NO_EDGES] for f in by_method.values() if NO_EDGES in f and f[NO_EDGES].better]
    if over_bare:
        gain = _largest(over_bare)
        gains = f"{gain.ours.title} gains {stated(gain)} to no edges"
        if controlled:
            sentences.append(
                f"{gains}, but so do edges of another kind, so its particular edges do not matter."
            )
        else:
            sentences = [f"{begin} {gains}."]
    for against, words in ((NO_EDGES, "its own form without edges"), (RANDOM, "random edges")):
        worse = [f[against] for f in by_method.values() if against in f and f[against].worse]
        if worse:
            sentences.append(f"Worse than {words}: {_listed(worse)}.")
    return sentences


def _linear(tested: Sequence[Comparison]) -> list[str]:
    those = [c for c in tested if c.against == LINEAR]
    if not those:
        return []
    better, worse = [c for c in those if c.better], [c for c in those if c.worse]
    sentences = ["No method is better than the linear head."]
    if better:
        best = _largest(better)
        sentence = f"Better than the linear head: {len(better)} of {len(those)} methods, "
        sentence += f"most of all {best.ours.title}, {stated(best)}"
        bare = [c for c in better if c.ours.head == best.ours.head and c.ours.edges == "none"]
        if bare and best.ours.edges != "none":
            sentence += f"; without edges it has {stated(bare[0])}"
        sentences = [sentence + "."]
    if worse:
        sentences.append(f"Worse than linear: {_listed(worse)}.")
    return sentences


def _treatments(tested: Sequence[Comparison]) -> list[str]:
    sentences = []
    for c in tested:
        if c.against not in (*CONTROLS, COMPLETED_RANDOM, COMPLETED_WITHOUT):
            how = "better than" if c.better else "worse than" if c.worse else "not different from"
            sentences.append(f"{c.ours.title} is {how} {c.against}: {stated(c)}.")
    for against in (COMPLETED_RANDOM, COMPLETED_WITHOUT):
        those = [c for c in tested if c.against == against]
        better, worse = [c for c in those if c.better], [c for c in those if c.worse]
        if better:
            sentences.append(f"Better than {against}: {_listed(better)}.")
        if worse:
            sentences.append(f"Worse than {against}: {_listed(worse)}.")
        if those and not better and not worse:
            sentences.append(
                f"Nothing is better or worse than {against} significantly; the largest gain is "
                f"{_listed([_largest(those)])}."
            )
    return sentences


def _largest(those: Sequence[Comparison]) -> Comparison:
    return max(those, key=lambda c: c.difference.value)


def _listed(those: Sequence[Comparison]) -> str:
    return "; ".join(f"{c.ours.title} {stated(c)}" for c in those)

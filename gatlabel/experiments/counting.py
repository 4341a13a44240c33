"""Sentences that count the data sets on which something is significantly better or worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gatlabel.experiments.comparisons import (
    CONTROLS,
    LINEAR,
    NO_EDGES,
    RANDOM,
    Comparison,
    against_edges,
    edges_matter,
)
from gatlabel.experiments.outcome import Condition

ByDataSet = Mapping[str, Sequence[Comparison]]
Which = Callable[[Comparison], bool]


def count_over(comparisons: ByDataSet, condition: Condition, noun: str) -> str:
    """Returns sentences that count data sets with better or worse results, or an empty text.

    A data set counts if any method differs significantly, after correction over all data sets.

    Args:
        comparisons: By data set, corrected together.
        condition: The condition.
        noun: Description of the keys of ``comparisons``.
    """
    every = {n: [c for c in cs if c.condition == condition] for n, cs in comparisons.items()}
    every = {n: cs for n, cs in every.items() if cs}
    here = {n: [c for c in cs if c.corrected is not None] for n, cs in every.items()}
    sentences = [*_count_graphs(here), *_count_linear(here), *_count_treatments(here)]
    holes = [n for n, cs in every.items() if any(c.difference.low is None for c in cs)]
    if holes:
        sentences.append(f"Too few positives for some intervals: {', '.join(holes)}.")
    if not sentences:
        return ""
    begin = f"Over {len(here)} {noun}{'s' * (len(here) != 1)}"
    begin += f", with {condition.title}" if condition.title else ""
    return " ".join([f"{begin}: {sentences[0][0].lower()}{sentences[0][1:]}", *sentences[1:]])


def _on_a_graph(c: Comparison) -> bool:
    return bool(c.ours.graph) and not c.ours.is_control and not c.ours.completion


def _count_graphs(here: ByDataSet) -> list[str]:
    bare, random = (_against(here, a, _on_a_graph) for a in (NO_EDGES, RANDOM))
    than = {"no edges": bare, "random edges of the same degrees": random}
    than = {words: tested for words, tested in than.items() if tested}
    if not than:
        return []
    better = {words: _count(tested, better=True) for words, tested in than.items()}
    worse = {words: _count(tested, better=False) for words, tested in than.items()}
    sentences = [f"No graph is better than {' or '.join(than)}."]
    if any(better.values()):
        parts = [f"than {words} on {count or 'none'}" for words, count in better.items()]
        winners = {
            name: [method.title for method, found in by.items() if edges_matter(found)]
            for name, cs in here.items()
            for by in [against_edges([c for c in cs if _on_a_graph(c)])]
        }
        named = [f"{name}: {', '.join(titles)}" for name, titles in winners.items() if titles]
        if named:
            count = f"{len(named)} of {len(random)} ({'; '.join(named)})"
            parts.append(f"than both, so that its edges matter, on {count}")
        elif random:
            parts.append("than both on none, so its particular edges do not matter")
        sentences = [f"A graph is better {'; '.join(parts)}."]
    lost = [f"{words} on {count}" for words, count in worse.items() if count]
    return [*sentences, *([f"It is worse than {', than '.join(lost)}."] if lost else [])]


def _count_linear(here: ByDataSet) -> list[str]:
    kinds: dict[str, Which] = {
        "head on a graph": _on_a_graph,
        "head without a graph": lambda c: not c.ours.graph and not c.ours.is_control,
    }
    found = {kind: _against(here, LINEAR, which) for kind, which in kinds.items()}
    return [_stands(kind, tested, "the linear head") for kind, tested in found.items() if tested]


def _count_treatments(here: ByDataSet) -> list[str]:
    """Counts treatments of unknown labels against the first one, completion against controls."""
    found = dict.fromkeys(
        (c.ours.unknown, c.against) for cs in here.values() for c in cs if c.against not in CONTROLS
    )
    sentences: list[str] = []
    even: dict[str, list[str]] = {}
    for treatment, against in found:
        tested = _against(here, against, lambda c, own=treatment: c.ours.unknown == own)  # type: ignore[misc]
        if any(c.better or c.worse for cs in tested.values() for c in cs):
            sentences.append(_stands(f"head with unknown: {treatment}", tested, against))
        else:
            even.setdefault(treatment, []).append(against)
    return sentences + [
        f"No head with unknown: {treatment} is better or worse than {' or '.join(against)}."
        for treatment, against in even.items()
    ]


def _stands(kind: str, tested: ByDataSet, other: str) -> str:
    better, worse = _count(tested, better=True), _count(tested, better=False)
    lost = f"; worse on {worse}" if worse else ""
    if not better:
        return f"No {kind} is better than {other}{lost}."
    return f"A {kind} is better than {other} on {better}{lost}."


def _against(here: ByDataSet, against: str, which: Which) -> dict[str, list[Comparison]]:
    found = {n: [c for c in cs if c.against == against and which(c)] for n, cs in here.items()}
    return {name: cs for name, cs in found.items() if cs}


def _count(tested: ByDataSet, *, better: bool) -> str:
    """Returns ``1 of 3 (photos)`` over the data sets where it was tested, or an empty text."""
    names = [n for n, cs in tested.items() if any(c.better if better else c.worse for c in cs)]
    return f"{len(names)} of {len(tested)} ({', '.join(names)})" if names else ""

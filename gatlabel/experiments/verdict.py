"""What the comparisons come to, in plain sentences: with figures on one data set, counted on many.

A graph counts as helping only if its edges beat random edges of the same degrees *and* no edges at
all, each beyond chance after Holm's correction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gatlabel.experiments.comparisons import (
    ABLATED,
    COMPLETED_RANDOM,
    COMPLETED_WITHOUT,
    LINEAR,
    NO_EDGES,
    PERMUTED,
    RANDOM,
    Comparison,
)
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.wording import stated

ByDataSet = Mapping[str, Sequence[Comparison]]
Which = Callable[[Comparison], bool]

ADVICE = "Give more images to tell differences from chance."
CONTROLS = (LINEAR, NO_EDGES, RANDOM, PERMUTED, ABLATED)


def verdict(
    comparisons: ByDataSet, conditions: Sequence[Condition], noun: str = "data set"
) -> list[str]:
    """Returns a few sentences per condition.

    Args:
        comparisons: By data set; corrected together.
        conditions: In the order to report them.
        noun: What the keys of ``comparisons`` are: ``"benchmark"`` if two are of the same data.
    """
    if len(comparisons) > 1:
        found = [_over_many(comparisons, condition, noun) for condition in conditions]
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


def _by_method(tested: Sequence[Comparison]) -> dict[Method, dict[str, Comparison]]:
    """The comparisons of methods on their own graph with random and with no edges."""
    found: dict[Method, dict[str, Comparison]] = {}
    for c in tested:
        if c.against in (RANDOM, NO_EDGES) and not c.ours.is_control:
            found.setdefault(c.ours, {})[c.against] = c
    return found


def _edges_matter(found: Mapping[str, Comparison]) -> bool:
    return RANDOM in found and all(c.better for c in found.values())


def _graphs(tested: Sequence[Comparison], begin: str) -> list[str]:
    by_method = _by_method(tested)
    if not by_method:
        return []
    winners = [found for found in by_method.values() if _edges_matter(found)]
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
                f"{gains}, but edges of another kind do as well, so it is not what they say."
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
    better, worse = _better(those), _worse(those)
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
        better, worse = _better(those), _worse(those)
        if better:
            sentences.append(f"Better than {against}: {_listed(better)}.")
        if worse:
            sentences.append(f"Worse than {against}: {_listed(worse)}.")
        if those and not better and not worse:
            sentences.append(
                f"Nothing is better or worse than {against} beyond chance; the most is "
                f"{_listed([_largest(those)])}."
            )
    return sentences


def _better(those: Sequence[Comparison]) -> list[Comparison]:
    return [c for c in those if c.better]


def _worse(those: Sequence[Comparison]) -> list[Comparison]:
    return [c for c in those if c.worse]


def _largest(those: Sequence[Comparison]) -> Comparison:
    return max(those, key=lambda c: c.difference.value)


def _listed(those: Sequence[Comparison]) -> str:
    return "; ".join(f"{c.ours.title} {stated(c)}" for c in those)


# several data sets: one counts if any method is better or worse there


def _over_many(comparisons: ByDataSet, condition: Condition, noun: str) -> str:
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
    better = {words: _count(tested, _better) for words, tested in than.items()}
    worse = {words: _count(tested, _worse) for words, tested in than.items()}
    sentences = [f"No graph is better than {' or '.join(than)}."]
    if any(better.values()):
        parts = [f"than {words} on {count or 'none'}" for words, count in better.items()]
        winners = {
            name: [method.title for method, found in by.items() if _edges_matter(found)]
            for name, cs in here.items()
            for by in [_by_method([c for c in cs if _on_a_graph(c)])]
        }
        named = [f"{name}: {', '.join(titles)}" for name, titles in winners.items() if titles]
        if named:
            count = f"{len(named)} of {len(random)} ({'; '.join(named)})"
            parts.append(f"than both at once, so that its edges matter, on {count}")
        elif random:
            parts.append("than both at once on none, so that it is not what the edges say")
        sentences = [f"A graph is better {'; '.join(parts)}."]
    lost = [f"{words} on {count}" for words, count in worse.items() if count]
    return [*sentences, *([f"It is worse than {', than '.join(lost)}."] if lost else [])]


def _count_linear(here: ByDataSet) -> list[str]:
    kinds: dict[str, Which] = {
        "head on a graph": _on_a_graph,
        "head that takes no graph": lambda c: not c.ours.graph and not c.ours.is_control,
    }
    found = {kind: _against(here, LINEAR, which) for kind, which in kinds.items()}
    return [_stands(kind, tested, "the linear head") for kind, tested in found.items() if tested]


def _count_treatments(here: ByDataSet) -> list[str]:
    """Treatments of unknown labels against the first one, completion against its controls."""
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
    better, worse = _count(tested, _better), _count(tested, _worse)
    lost = f"; worse on {worse}" if worse else ""
    if not better:
        return f"No {kind} is better than {other}{lost}."
    return f"A {kind} is better than {other} on {better}{lost}."


def _against(here: ByDataSet, against: str, which: Which) -> dict[str, list[Comparison]]:
    found = {n: [c for c in cs if c.against == against and which(c)] for n, cs in here.items()}
    return {name: cs for name, cs in found.items() if cs}


def _count(tested: ByDataSet, which: Callable[[Sequence[Comparison]], Sequence[Comparison]]) -> str:
    """Returns ``1 of 3 (photos)``, of the data sets where it was tested; empty for none."""
    names = [name for name, cs in tested.items() if which(cs)]
    return f"{len(names)} of {len(tested)} ({', '.join(names)})" if names else ""

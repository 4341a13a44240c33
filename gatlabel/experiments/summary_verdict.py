"""What several benchmarks come to together, in plain sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gatlabel.experiments.comparisons import (
    CUT,
    LINEAR,
    NO_EDGES,
    PERMUTED,
    RANDOM,
    Comparison,
)
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.summary_tables import has_interval

Which = Callable[[Comparison], bool]
BySet = Mapping[str, Sequence[Comparison]]  # by data set


def summary_verdict(
    comparisons: BySet, settings: Sequence[Setting], noun: str = "data set"
) -> list[str]:
    """Returns sentences about every setting: on how many data sets something is better or worse.

    A data set counts if any contender is, beyond chance after the correction over all data sets.

    Args:
        comparisons: By data set, corrected together.
        settings: In the order to speak of them.
        noun: What the keys of ``comparisons`` are: ``"benchmark"`` if two are of the same data.
    """
    found = []
    for where in settings:
        every = {n: [c for c in cs if c.setting == where] for n, cs in comparisons.items()}
        # those whose every interval is missing were tested on nothing
        here = {n: [c for c in cs if _tested(c)] for n, cs in every.items() if cs}
        lines = [*_graphs(here), *_linear(here), *_treatments(here), *_missing(every)]
        if lines:
            begin = f"Over {len(here)} {noun}{'s' * (len(here) != 1)}"
            begin += f", with {where.title}" if where.title else ""
            first = f"{begin}: {lines[0][0].lower()}{lines[0][1:]}"
            found.append(" ".join([first, *lines[1:]]))
    return found


def _tested(c: Comparison) -> bool:
    return c.corrected is not None and has_interval(c)


def _on_a_graph(c: Comparison) -> bool:
    return bool(c.ours.graph) and not c.ours.is_control and not c.ours.completion


def _graphs(here: BySet) -> list[str]:
    """Graphs against no edges and against random ones."""
    bare, random = (_against(here, a, _on_a_graph) for a in (NO_EDGES, RANDOM))
    if not bare and not random:
        return []
    than = {"no edges": bare, "random edges of the same degrees": random}
    than = {words: tested for words, tested in than.items() if tested}
    worse = {words: _count(tested, _worse) for words, tested in than.items()}
    better = {words: _count(tested, _better) for words, tested in than.items()}
    sentences = [f"no graph is better than {' or '.join(than)}."]
    if any(better.values()):
        parts = [f"than {words} on {count or 'none'}" for words, count in better.items()]
        named = [f"{name}: {', '.join(w)}" for name, cs in here.items() if (w := _winners(cs))]
        if named:
            count = f"{len(named)} of {len(random)} ({'; '.join(named)})"
            parts.append(f"than both at once, so that its edges matter, on {count}")
        elif random:
            parts.append("than both at once on none, so that it is not what the edges say")
        sentences = [f"a graph is better {'; '.join(parts)}."]
    lost = [f"{words} on {count}" for words, count in worse.items() if count]
    return [*sentences, *([f"It is worse than {', than '.join(lost)}."] if lost else [])]


def _winners(comparisons: Sequence[Comparison]) -> list[str]:
    """The contenders whose edges beat random ones and, where that was tested, no edges."""
    by_contender: dict[Contender, dict[str, bool]] = {}
    for c in comparisons:
        if c.against in (NO_EDGES, RANDOM) and _on_a_graph(c):
            by_contender.setdefault(c.ours, {})[c.against] = c.better
    return [w.title for w, found in by_contender.items() if RANDOM in found and all(found.values())]


def _linear(here: BySet) -> list[str]:
    """Heads with a graph, and heads that take none, against linear."""
    on_a_graph = _against(here, LINEAR, _on_a_graph)
    others = _against(here, LINEAR, lambda c: not c.ours.graph and not c.ours.is_control)
    found = (("head on a graph", on_a_graph), ("head that takes no graph", others))
    return [_stands(who, tested, "the linear head") for who, tested in found if tested]


def _treatments(here: BySet) -> list[str]:
    """Treatments of unknown labels against the first one, completion against its controls."""
    known = (LINEAR, NO_EDGES, RANDOM, PERMUTED, CUT)
    found = dict.fromkeys(
        (c.ours.unknown, c.against) for cs in here.values() for c in cs if c.against not in known
    )
    sentences: list[str] = []
    even: dict[str, list[str]] = {}
    for treatment, against in found:
        treated = {n: [c for c in cs if c.ours.unknown == treatment] for n, cs in here.items()}
        tested = _against(treated, against, _tested)
        if any(c.better or c.worse for cs in tested.values() for c in cs):
            sentences.append(_stands(f"head with unknown: {treatment}", tested, against))
        else:
            even.setdefault(treatment, []).append(against)
    return sentences + [
        f"No head with unknown: {treatment} is better or worse than {' or '.join(against)}."
        for treatment, against in even.items()
    ]


def _stands(who: str, tested: BySet, other: str) -> str:
    """Says on which data sets heads of a kind are better than another, and on which worse."""
    better, worse = _count(tested, _better), _count(tested, _worse)
    lost = f"; worse on {worse}" if worse else ""
    if not better:
        return f"No {who} is better than {other}{lost}."
    return f"A {who} is better than {other} on {better}{lost}."


def _missing(every: BySet) -> list[str]:
    those = [name for name, cs in every.items() if not all(map(has_interval, cs))]
    return [f"Too few positives for some intervals: {', '.join(those)}."] if those else []


def _against(here: BySet, against: str, which: Which) -> dict[str, list[Comparison]]:
    return _having(here, lambda c: c.against == against and which(c))


def _having(here: BySet, which: Which) -> dict[str, list[Comparison]]:
    found = {name: [c for c in cs if which(c)] for name, cs in here.items()}
    return {name: cs for name, cs in found.items() if cs}


def _better(c: Comparison) -> bool:
    return c.better


def _worse(c: Comparison) -> bool:
    return c.worse


def _count(tested: BySet, which: Which) -> str:
    """Returns ``1 of 3 (photos)``, of the data sets where it was tested; empty for none."""
    names = [name for name, cs in tested.items() if any(map(which, cs))]
    if not names:
        return ""
    return f"{len(names)} of {len(tested)} ({', '.join(names)})"

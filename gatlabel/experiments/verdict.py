"""What the comparisons come to, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gatlabel.experiments.comparisons import (
    COMPLETED_RANDOM,
    COMPLETED_WITHOUT,
    LINEAR,
    NO_EDGES,
    RANDOM,
    Comparison,
)
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting

PLACES = (LINEAR, NO_EDGES, RANDOM, "permuted labels", "graph cut at evaluation",
          COMPLETED_RANDOM, COMPLETED_WITHOUT)  # fmt: skip


ADVICE = "Give more images to tell differences from chance."


def verdict(comparisons: Sequence[Comparison], settings: Sequence[Setting]) -> list[str]:
    """Returns sentences about every setting, the main one (all pictures) first.

    A graph counts as helping only if its edges beat random edges of the same degrees *and* no
    edges at all, each beyond chance after Holm's correction.

    Args:
        comparisons: From :func:`~gatlabel.experiments.comparisons.compare`.
        settings: In the order to speak of them.
    """
    if comparisons and all(c.difference.p is None for c in comparisons):
        why = next((c.difference.why for c in comparisons if c.difference.why), "no interval")
        return [f"{why[0].upper()}{why[1:]}. {ADVICE}"]
    found = []
    for where in sorted(settings, key=lambda s: -s.fraction):
        here = [c for c in comparisons if c.setting == where]
        begin = f"With {where.title}" if where.title else "On this data"
        sentences = [*_graphs(here, begin), *_linear(here), *_treatments(here)]
        if sentences and not sentences[0].startswith(begin):
            sentences[0] = f"{begin}: {sentences[0][0].lower()}{sentences[0][1:]}"
        if sentences:
            found.append(" ".join(sentences))
    return found


def points(value: float | None) -> str:
    """Returns a difference in points of mAP with its sign, ``+1.2``, or ``–`` for none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")  # no minus zero


def stated(comparison: Comparison) -> str:
    """Returns ``+1.2 points (95 % interval +0.3 to +2.1)``, or ``+1.2 points (no interval)``."""
    d = comparison.difference
    if d.low is None:
        return f"{points(d.value)} points (no interval)"
    return f"{points(d.value)} points (95 % interval {points(d.low)} to {points(d.high)})"


def _graphs(here: Sequence[Comparison], begin: str) -> list[str]:
    by_contender: dict[Contender, dict[str, Comparison]] = {}
    for c in here:
        if c.corrected is not None and c.against in (RANDOM, NO_EDGES) and not c.ours.is_control:
            by_contender.setdefault(c.ours, {})[c.against] = c
    if not by_contender:
        return []
    winners = [
        found
        for found in by_contender.values()
        if RANDOM in found and all(c.better for c in found.values())
    ]
    if winners:
        best = max(winners, key=lambda found: found[RANDOM].difference.value)
        bare = f" and {stated(best[NO_EDGES])} to no edges" if NO_EDGES in best else ""
        return [
            f"{begin} the edges matter: {best[RANDOM].ours.title} gains {stated(best[RANDOM])} "
            f"to random edges of the same degrees{bare}."
        ]
    controlled = any(RANDOM in found for found in by_contender.values())
    than = "random edges of the same degrees" if controlled else "no edges"
    over_bare = [f[NO_EDGES] for f in by_contender.values() if NO_EDGES in f and f[NO_EDGES].better]
    sentences = [f"{begin} no graph is better than {than}."]
    if over_bare and controlled:
        best_one = max(over_bare, key=lambda c: c.difference.value)
        sentences.append(
            f"{best_one.ours.title} gains {stated(best_one)} to no edges, but edges of another "
            "kind do as well, so it is not what they say."
        )
    elif over_bare:
        best_one = max(over_bare, key=lambda c: c.difference.value)
        sentences = [f"{begin} {best_one.ours.title} gains {stated(best_one)} to no edges."]
    for against, words in ((NO_EDGES, "its own form without edges"), (RANDOM, "random edges")):
        worse = [f[against] for f in by_contender.values() if against in f and f[against].worse]
        if worse:
            sentences.append(f"Worse than {words}: {_listed(worse)}.")
    return sentences


def _linear(here: Sequence[Comparison]) -> list[str]:
    tested = [c for c in here if c.against == LINEAR and c.corrected is not None]
    if not tested:
        return []
    better, worse = [c for c in tested if c.better], [c for c in tested if c.worse]
    sentences = []
    if better:
        best = max(better, key=lambda c: c.difference.value)
        share = f"{len(better)} of {len(tested)} contenders"
        sentence = f"Better than the linear head: {share}, most of all {best.ours.title}, "
        sentence += stated(best)
        bare = [c for c in better if c.ours.head == best.ours.head and c.ours.edges == "none"]
        if bare and best.ours.edges != "none":
            sentence += f"; without edges it has {stated(bare[0])}"
        sentences.append(sentence + ".")
    else:
        sentences.append("No contender is better than the linear head.")
    if worse:
        sentences.append(f"Worse than linear: {_listed(worse)}.")
    return sentences


def _treatments(here: Sequence[Comparison]) -> list[str]:
    sentences = []
    for c in here:
        if c.corrected is None or c.against in PLACES:
            continue
        how = "better than" if c.better else "worse than" if c.worse else "not different from"
        sentences.append(f"{c.ours.title} is {how} {c.against}: {stated(c)}.")
    for against in (COMPLETED_RANDOM, COMPLETED_WITHOUT):
        those = [c for c in here if c.against == against and c.corrected is not None]
        gain, lose = [c for c in those if c.better], [c for c in those if c.worse]
        if gain:
            sentences.append(f"Better than {against}: {_listed(gain)}.")
        if lose:
            sentences.append(f"Worse than {against}: {_listed(lose)}.")
        if those and not gain and not lose:
            best = max(those, key=lambda c: c.difference.value)
            sentences.append(
                f"Nothing is better or worse than {against} beyond chance; the most is "
                f"{_listed([best])}."
            )
    return sentences


def _listed(comparisons: Sequence[Comparison]) -> str:
    return "; ".join(f"{c.ours.title} {stated(c)}" for c in comparisons)

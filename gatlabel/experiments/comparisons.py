"""Which contenders are compared, and how sure the difference of each pair is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.jackknife import Contributions, contributions
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.statistics import Difference, holm, paired_difference, too_few

Scores = Callable[[Contender, Setting, int], NDArray[np.float32]]

SIGNIFICANT = 0.05
#: What a contender is compared with.
LINEAR, NO_EDGES = "linear", "no edges"
RANDOM, PERMUTED, CUT = "random edges", "permuted labels", "graph cut at evaluation"
COMPLETED_WITHOUT, COMPLETED_RANDOM = "completion without edges", "completion with random edges"


@dataclass(frozen=True)
class Comparison:
    """One contender against another, in one setting.

    Attributes:
        setting: The circumstances.
        ours: Who.
        theirs: Against whom.
        against: What the other stands for (``"linear"``, ``"random edges"``, …).
        difference: Of mAP, ours minus theirs.
        corrected: p-value after Holm's correction over all that is tested; ``None`` for
            differences of controls, which are shown but not tested, and where there is no test
            for want of positives.
    """

    setting: Setting
    ours: Contender
    theirs: Contender
    against: str
    difference: Difference
    corrected: float | None

    @property
    def better(self) -> bool:
        """Whether ours is better beyond chance."""
        low = self.difference.low
        return self._significant and low is not None and low > 0

    @property
    def worse(self) -> bool:
        """Whether ours is worse beyond chance."""
        high = self.difference.high
        return self._significant and high is not None and high < 0

    @property
    def _significant(self) -> bool:
        return self.corrected is not None and self.corrected < SIGNIFICANT

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        own = dataclasses.asdict(self)
        if math.isnan(self.difference.value):  # which JSON has not
            own["difference"]["value"] = None
        return own


def pairs(contenders: Sequence[Contender]) -> list[tuple[Contender, Contender, str, bool]]:
    """Lists who is compared with whom.

    Contenders with their own edges are tested against linear and every control of theirs, a head
    without edges against linear, a treatment of unknown labels against the first one and
    completion against its controls. Controls are also shown against linear, no edges and the first
    treatment; all but linear itself are shown against something.

    Returns:
        ``(ours, theirs, against, tested)`` for every pair.
    """
    there, first = set(contenders), contenders[0].unknown
    found: list[tuple[Contender, Contender, str, bool]] = []

    def add(ours: Contender, theirs: Contender, against: str, tested: bool) -> None:
        if theirs in there and ours != theirs:
            found.append((ours, theirs, against, tested))

    for who in contenders:
        plain = _first_treatment(who, first)
        if who.completion == "own":
            for edges, name in (("none", COMPLETED_WITHOUT), ("random", COMPLETED_RANDOM)):
                add(who, dataclasses.replace(who, completion=edges), name, True)
        if who != plain:
            add(who, plain, first, not who.is_control)
            if plain != contenders[0]:
                add(who, contenders[0], LINEAR, False)
            continue
        add(who, contenders[0], LINEAR, not who.is_control or who.edges == "none")
        bare = dataclasses.replace(who, graph=_completion_graph(who), edges="none")
        add(who, bare, NO_EDGES, not who.is_control)
        if not who.is_control:
            for edges, name in (("random", RANDOM), ("permuted", PERMUTED), ("cut", CUT)):
                add(who, dataclasses.replace(who, edges=edges), name, True)
    shown = {ours for ours, *_ in found}
    for who in contenders:
        if who not in shown:
            add(who, contenders[0], LINEAR, False)
    return found


def _first_treatment(who: Contender, first: str) -> Contender:
    """The same contender under the first treatment of unknown labels."""
    if who.unknown == first and who.completion in ("", "own"):
        return who
    graph = who.graph
    if who.completion and (who.edges == "none" or who.head == "linear"):
        graph = ""
    completion = who.completion if first == "complete" else ""
    return dataclasses.replace(who, graph=graph, unknown=first, completion=completion)


def _completion_graph(who: Contender) -> str:
    return who.graph if who.completion else ""


def compare(
    contenders: Sequence[Contender],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    targets: NDArray[np.float32],
    scores: Scores,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Comparison]:
    """Computes all differences with intervals and corrected p-values.

    Args:
        contenders: ``linear`` under the first treatment comes first.
        settings: In which circumstances.
        seeds: The seeds that every contender has.
        targets: Of the reported images ``(N, L)``.
        scores: Gives the logits ``(N, L)`` of a run.
        advance: Called with 1 whenever the scores of a run are read.

    Returns:
        The comparisons, by setting.

    Raises:
        InputError: If the scores of a run cannot be read.
    """
    why = too_few(targets)
    wanted = pairs(contenders)
    found: list[Comparison] = []
    for where in settings:
        runs: dict[Contender, list[Contributions]] = {}
        for who in contenders:
            runs[who] = []
            for seed in seeds:
                runs[who].append(contributions(scores(who, where, seed), targets))
                advance(1)
        for ours, theirs, against, tested in wanted:
            difference = paired_difference(runs[ours], runs[theirs], why=why)
            corrected = difference.p if tested else None
            found.append(Comparison(where, ours, theirs, against, difference, corrected))
    values = [c.corrected for c in found if c.corrected is not None]
    corrected_values = iter(holm(values))
    return [
        c if c.corrected is None else dataclasses.replace(c, corrected=next(corrected_values))
        for c in found
    ]

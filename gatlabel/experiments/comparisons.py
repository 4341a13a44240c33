"""Which contenders are compared, and what the bootstrap says of each pair."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatlabel.experiments.bootstrap import Bootstrap, Kept, Scores, resample_runs
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.statistics import (
    Difference,
    draw_seeds,
    holm,
    paired_difference,
    seed_means,
)

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
    completion against its controls. Controls are also shown against linear and no edges.

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
            if who.completion in ("", "own"):
                add(who, plain, first, who.edges == "own")
            continue
        add(who, contenders[0], LINEAR, not who.is_control or who.edges == "none")
        bare = dataclasses.replace(who, graph=_completion_graph(who), edges="none")
        add(who, bare, NO_EDGES, not who.is_control)
        if not who.is_control:
            for edges, name in (("random", RANDOM), ("permuted", PERMUTED), ("cut", CUT)):
                add(who, dataclasses.replace(who, edges=edges), name, True)
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


def count_tests(contenders: Sequence[Contender], settings: Sequence[Setting]) -> int:
    """Returns how many comparisons are tested: what Holm's correction is over."""
    return sum(tested for *_, tested in pairs(contenders)) * len(settings)


def resample_count(
    contenders: Sequence[Contender], settings: Sequence[Setting], resamples: int
) -> int:
    """Returns R: more than asked for where R could not show any of so many comparisons."""
    return max(resamples, 100 * count_tests(contenders, settings))


def compare(
    contenders: Sequence[Contender],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    targets: NDArray[np.float32],
    scores: Scores,
    resamples: int,
    advance: Callable[[int], None] = lambda count: None,
    *,
    kept: Kept | None = None,
    workers: int = 1,
) -> list[Comparison]:
    """Computes all differences with intervals and corrected p-values.

    Args:
        contenders: ``linear`` under the first treatment comes first.
        settings: In which circumstances.
        seeds: The seeds that every contender has.
        targets: Of the reported pictures ``(N, L)``.
        scores: Gives the logits ``(N, L)`` of a run; can be pickled where processes are to work.
        resamples: R, or more, see :func:`resample_count`.
        advance: Called with 1 whenever a run is resampled.
        kept: Where resampled runs are kept for the next time.
        workers: Number of processes.

    Returns:
        The comparisons, by setting.

    Raises:
        InputError: If the scores of a run cannot be read.
    """
    wanted = pairs(contenders)
    resamples = resample_count(contenders, settings, resamples)
    drawn = draw_seeds(len(seeds), resamples, seed=0)
    keys = [(who, where, seed) for where in settings for who in contenders for seed in seeds]
    bootstrap = Bootstrap(targets, scores, resamples)
    runs = resample_runs(bootstrap, keys, kept, workers, advance)
    found: list[Comparison] = []
    for where in settings:
        point, spread = {}, {}
        for who in contenders:
            own = [runs[who, where, seed] for seed in seeds]
            point[who] = np.array([run.value for run in own])
            spread[who] = seed_means(np.stack([run.maps for run in own]), drawn)
        for ours, theirs, against, tested in wanted:
            difference = paired_difference(point[ours], point[theirs], spread[ours], spread[theirs])
            corrected = difference.p if tested else None
            found.append(Comparison(where, ours, theirs, against, difference, corrected))
    values = [c.corrected for c in found if c.corrected is not None]
    corrected_values = iter(holm(values))
    return [
        c if c.corrected is None else dataclasses.replace(c, corrected=next(corrected_values))
        for c in found
    ]

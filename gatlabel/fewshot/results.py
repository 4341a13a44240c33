"""What few-shot episodes gave: means and paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import stdtrit

from gatlabel.fewshot.episode_file import EpisodeRecord
from gatlabel.fewshot.strengths import Strengths

#: Which learners the learner ``similar`` is compared with.
COMPARED = ("ridge", "lda")


@dataclass(frozen=True)
class Interval:
    """A mean over episodes with its 95 % interval, in points."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Student's t interval of values, one per episode."""
        found = np.asarray(values, dtype=np.float64)
        mean = float(found.mean())
        if len(found) < 2:
            return cls(mean, mean, mean)
        error = float(found.std(ddof=1)) / len(found) ** 0.5
        half = float(stdtrit(len(found) - 1, 0.975)) * error
        return cls(mean, mean - half, mean + half)


@dataclass(frozen=True, eq=False)
class FewShotResult:
    """What the episodes gave.

    Attributes:
        values: mAP of the novel labels, 0 to 1, by ``(learner, shots)``: one per episode.
        positives: Positives that a novel label has in fact, by shots: one mean per episode.
        novel: Names of the novel labels, by episode.
        strengths: What was chosen on the base labels, by episode.
        protocol: How it was measured, in sentences.
    """

    values: dict[tuple[str, int], list[float]]
    positives: dict[int, list[float]]
    novel: list[list[str]]
    strengths: list[Strengths] = field(default_factory=list)
    protocol: tuple[str, ...] = ()

    @classmethod
    def of(cls, episodes: Sequence[EpisodeRecord], protocol: tuple[str, ...] = ()) -> FewShotResult:
        """Joins episodes that have the same learners and numbers of shots."""
        first = episodes[0]
        return cls(
            {pair: [one.values[pair] for one in episodes] for pair in first.values},
            {shots: [one.positives[shots] for one in episodes] for shots in first.positives},
            [one.novel for one in episodes],
            [one.strengths for one in episodes],
            protocol,
        )

    def interval(self, learner: str, shots: int) -> Interval:
        """Returns mAP in points, over episodes."""
        return Interval.of([100 * value for value in self.values[learner, shots]])

    def difference(self, other: str, shots: int, learner: str = "similar") -> Interval:
        """Returns the mAP of a learner less another's in the same episodes, in points."""
        pairs = zip(self.values[learner, shots], self.values[other, shots], strict=True)
        return Interval.of([100 * (ours - theirs) for ours, theirs in pairs])

    def rows(self) -> list[dict[str, Any]]:
        """One record per learner and number of shots."""
        found = []
        for (name, shots), values in self.values.items():
            one: dict[str, Any] = {
                "learner": name,
                "shots": shots,
                "positives": float(np.mean(self.positives[shots])),
                **vars(self.interval(name, shots)),
                "episodes": [round(100 * value, 4) for value in values],
            }
            for other in COMPARED:
                if name == "similar" and (other, shots) in self.values:
                    one[f"minus {other}"] = vars(self.difference(other, shots))
            found.append(one)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as JSON values."""
        return {
            "rows": self.rows(),
            "novel": self.novel,
            "strengths": [
                {
                    "penalty": one.penalty,
                    "weight": {str(shots): weight for shots, weight in one.weight.items()},
                    "population": {str(shots): gamma for shots, gamma in one.population.items()},
                }
                for one in self.strengths
            ],
            "protocol": list(self.protocol),
        }

"""What a run has chosen by measurements: ``choices.json``, written once and read on resuming."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from gatlabel.baselines.similarity import SimilarityChoice
from gatlabel.errors import InputError
from gatlabel.files import read_json, write_json
from gatlabel.labels import LabelSet
from gatlabel.printing import finite_values
from gatlabel.report import Sharing

MOST_SIMILAR = 3  # labels that are named per label


@dataclass
class Choices:
    """The choices before training, which a resumed run does not make again.

    Attributes:
        lines: A line for the report on each.
        similarity: The record of the choice of similarity, as JSON values, if one was made.
        sharing: The labels with other labels' classifiers in theirs.
    """

    lines: list[str] = field(default_factory=list)
    similarity: dict[str, Any] | None = None
    sharing: list[Sharing] = field(default_factory=list)

    def add_similarity(self, choice: SimilarityChoice, labels: LabelSet) -> None:
        """Adds the record of the choice of similarity, whether it is used or not."""
        unseen = [labels[int(i)] for i in (~choice.seen).nonzero()[:, 0]]
        self.similarity = finite_values({**choice.record(), "labels_not_seen": unseen})

    def add_sharing(self, choice: SimilarityChoice, labels: LabelSet) -> None:
        """Adds the labels that share classifiers by a choice that is used."""
        for label, weights in choice.by_label(labels).items():
            most = dict(itertools.islice(weights.items(), MOST_SIMILAR))
            self.sharing.append(Sharing(label, sum(weights.values()), len(weights), most))

    def save(self, path: Path) -> None:
        """Writes the choices as JSON, atomically."""
        shared = [each._asdict() for each in self.sharing]
        content = {"lines": self.lines, "similarity": self.similarity, "sharing": shared}
        write_json(path, content)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads the choices of a run; none if it has no such file, as those of older versions.

        Raises:
            InputError: If the file cannot be read or has other contents; the message names it.
        """
        if not path.is_file():
            return cls()
        content = read_json(path, "file of choices")
        try:
            lines = [str(line) for line in content["lines"]]
            shared = [
                Sharing(
                    str(each["label"]),
                    float(each["strength"]),
                    int(each["others"]),
                    {str(name): float(weight) for name, weight in each["similar"].items()},
                )
                for each in content["sharing"]
            ]
            return cls(lines, content["similarity"], shared)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{path} is damaged: expected lines, similarity and sharing; without the file, the "
                "run continues and its report lacks them"
            ) from error

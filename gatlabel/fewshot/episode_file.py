"""Finished episodes in a file, so that an interrupted measurement goes on with the next one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gatlabel.fewshot.strengths import Strengths
from gatlabel.files import write_errors, write_text


@dataclass(frozen=True)
class EpisodeRecord:
    """What one episode gave.

    Attributes:
        novel: Names of the novel labels.
        values: mAP of the novel labels, 0 to 1, by learner and number of shots.
        positives: Mean number of positives of a novel label, by the number of shots.
        strengths: What was chosen on the base labels.
    """

    novel: list[str]
    values: dict[tuple[str, int], float]
    positives: dict[int, float]
    strengths: Strengths

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON values."""
        return {
            "novel": self.novel,
            "values": [[name, shots, value] for (name, shots), value in self.values.items()],
            "positives": [list(pair) for pair in self.positives.items()],
            "penalty": self.strengths.penalty,
            "weight": [list(pair) for pair in self.strengths.weight.items()],
            "population": [list(pair) for pair in self.strengths.population.items()],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> EpisodeRecord:
        """Reads what :meth:`to_dict` gives."""
        return cls(
            list(content["novel"]),
            {(name, shots): float(value) for name, shots, value in content["values"]},
            {int(shots): float(value) for shots, value in content["positives"]},
            Strengths(
                float(content["penalty"]),
                {int(shots): float(weight) for shots, weight in content["weight"]},
                {int(shots): float(gamma) for shots, gamma in content["population"]},
            ),
        )


class EpisodeFile:
    """A file of JSON lines: a key, then one finished episode per line, in their order.

    Args:
        path: The file. What it holds under another key is discarded.
        key: Identifies options and data; see :func:`fingerprint`.

    Raises:
        InputError: If it cannot be read or written.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        lines: list[str] = []
        if path.is_file():
            with write_errors(path):
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        self.finished = _episodes(lines, key)
        records = [{"key": key}, *(one.to_dict() for one in self.finished)]
        write_text(path, "".join(f"{json.dumps(record)}\n" for record in records))

    def add(self, episode: EpisodeRecord) -> None:
        """Writes one episode; it is on the disk when this returns."""
        with write_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(episode.to_dict())}\n")
            file.flush()
            os.fsync(file.fileno())
        self.finished.append(episode)


def _episodes(lines: list[str], key: str) -> list[EpisodeRecord]:
    """The whole lines of a file with this key; a line that a kill left unfinished is none."""
    found: list[EpisodeRecord] = []
    try:
        if not lines or json.loads(lines[0]) != {"key": key}:
            return []
        for line in lines[1:]:
            if line.endswith("\n"):
                found.append(EpisodeRecord.from_dict(json.loads(line)))
    except (ValueError, TypeError, KeyError):  # a damaged line: the episodes before it stand
        pass
    return found


def fingerprint(*parts: Tensor | str | None) -> str:
    """Returns a text that differs where the parts differ."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            digest.update(str(tuple(part.shape)).encode())
            digest.update(np.ascontiguousarray(part.detach().cpu().numpy()).tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()[:32]

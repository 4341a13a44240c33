"""Which answers a run has learned from: none counts twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.labels import UNKNOWN, LabelSet
from gatlabel.training.run_folder import ANSWERS

Record = dict[str, Any]


def learned_answers(run: Path) -> list[Record]:
    """Returns the answers that a run was updated by, and those before it.

    Each has ``image`` (its path in its pool), ``bytes`` (the size of the file, by which images of
    the same name in other pools are told apart), ``label`` and ``value``.

    Raises:
        InputError: If the record of the run is damaged.
    """
    path = run / ANSWERS
    if not path.is_file():
        return []
    content = read_json(path, "record of answers")
    found = content.get("learned") if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(map(_is_record, found)):
        raise InputError(f"{path} is damaged: it has no list of learned answers")
    return found


def _is_record(one: Any) -> bool:
    kinds = {"image": str, "bytes": int, "label": str, "value": int}
    return isinstance(one, dict) and all(isinstance(one.get(n), kind) for n, kind in kinds.items())


def learned_tensor(
    records: Iterable[Record], folder: Path, ids: Sequence[str], labels: LabelSet
) -> Tensor:
    """Places learned answers in a pool: float32 ``(N, L)`` of 1, 0 and -1."""
    values = torch.full((len(ids), len(labels)), float(UNKNOWN))
    rows = {name: row for row, name in enumerate(ids)}
    sizes: dict[int, int] = {}
    for one in records:
        row = rows.get(one["image"])
        if row is None or one["label"] not in labels:
            continue
        if row not in sizes:
            sizes[row] = _size(folder / ids[row])
        if sizes[row] == one["bytes"]:
            values[row, labels.index(one["label"])] = float(one["value"])
    return values


def records_of(
    values: Tensor, which: Tensor, folder: Path, ids: Sequence[str], labels: LabelSet
) -> list[Record]:
    """Returns records of the entries of values ``(N, L)`` that ``which`` selects."""
    return [
        {
            "image": ids[row],
            "bytes": _size(folder / ids[row]),
            "label": labels[label],
            "value": int(values[row, label]),
        }
        for row, label in which.nonzero().tolist()
    ]


def require_same(
    values: Tensor, learned: Tensor, run: Path, ids: Sequence[str], labels: LabelSet
) -> None:
    """Refuses answers that differ from what the run has learned.

    Raises:
        InputError: If one does; the message names image and label.
    """
    differ = (values != UNKNOWN) & (learned != UNKNOWN) & (values != learned)
    if bool(differ.any()):
        row, label = differ.nonzero()[0].tolist()
        word = "yes" if learned[row, label] == 1 else "no"
        raise InputError(
            f"{run} has learned that the answer about {labels[label]!r} of {ids[row]} is {word}, "
            "and cannot forget it: update the run that it was made of by the corrected answers"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1

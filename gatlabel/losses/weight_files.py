"""Files with one weight per label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gatlabel.csv_files import read_rows
from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.labels import LabelSet
from gatlabel.values import finite_number


def read_label_weights(path: Path, labels: Sequence[str], *, zero: bool = True) -> Tensor:
    """Reads a weight for each label, float32 ``(L,)``, in the order of ``labels``.

    Args:
        path: CSV with the columns ``name`` and ``weight``, or JSON: an object of weights by name.
        labels: The L names.
        zero: Whether a weight may be 0.

    Raises:
        InputError: If the file cannot be read, a label is missing, unknown or repeated, or a
            weight is negative or not finite.
    """
    found: dict[str, float] = {}
    known = LabelSet(labels)
    for name, value, where in _pairs(path):
        if name not in known:
            raise InputError(f"{where}: label {name!r} is not among the labels{known.hint(name)}")
        if name in found:
            raise InputError(f"{where}: label {name!r} has a weight already")
        found[name] = finite_number(value, f"{where}: weight of {name!r}", 0)
        if not (zero or found[name]):
            raise InputError(f"{where}: weight of {name!r} is 0: must be above 0")
    missing = [name for name in labels if name not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(f"{path}: no weight for the label {missing[0]!r}{more}: give one for each")
    return torch.tensor([found[name] for name in labels], dtype=torch.float32)


def _pairs(path: Path) -> Iterator[tuple[str, Any, str]]:
    """Yields name, weight and place of each label in a file."""
    if path.suffix.lower() == ".json":
        content = read_json(path, "file of label weights")
        if not isinstance(content, dict):
            raise InputError(f"{path}: give an object of weights by label name")
        for name, value in content.items():
            yield name, value, str(path)
        return
    for number, row in enumerate(read_rows(path, "file of label weights"), 2):
        where = f"{path}, row {number}"
        if set(row) != {"name", "weight"}:
            raise InputError(f"{path}: give the columns name and weight, not {', '.join(row)}")
        try:
            value = float(row["weight"])
        except ValueError:
            raise InputError(f"{where}: the weight {row['weight']!r} is not a number") from None
        yield row["name"].strip(), value, where

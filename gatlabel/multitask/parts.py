"""The data sets of a run: which tasks each has targets of, and its splits."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from gatlabel.data import DataSplits, ImageDataset, ImageSource, check_splits
from gatlabel.data.annotations import Annotation, build_splits, group_of
from gatlabel.data.csv_table import read_table, sign
from gatlabel.data.mixing import MixedItem
from gatlabel.data.options import CSV, DataOptions
from gatlabel.data.splits import absent_labels, similar_names, split_of
from gatlabel.errors import InputError
from gatlabel.multitask.columns import read_column, refuse_own_columns
from gatlabel.multitask.config import MultiTaskConfig
from gatlabel.multitask.label_sequences import in_order, sequences_of_sets
from gatlabel.multitask.tasks import TaskOptions
from gatlabel.targets import Targets
from gatlabel.training.data import masked_targets, read_data

#: Multi-label targets, or numbers (NaN is unknown) or classes and sequences (-1 is unknown).
Known = Targets | Tensor
BLOCK = 4096  # rows of targets converted to dense at a time


@dataclass(frozen=True)
class Part:
    """A data set, and the tasks that it has targets of.

    Attributes:
        splits: Its images.
        outputs: Names of the output space of each task.
        targets: By split, targets of its images by task.
        trained: By task, positions of the training images that its loss may be taken on: those
            that are labelled for it, before labels were masked, and those of a data set of its own.
    """

    splits: DataSplits
    outputs: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, Mapping[str, Known]]
    trained: Mapping[str, Sequence[int]]

    def digest(self) -> str:
        """Returns a digest of the names of the images and of the targets."""
        found = hashlib.sha256()
        for split, source in self.splits.items():
            for text in (split, *source.ids):
                found.update(text.encode("utf-8", "surrogatepass") + b"\0")
            for name, known in self.targets[split].items():
                text = "\0".join([name, *self.outputs[name]])
                found.update(text.encode("utf-8", "surrogatepass"))
                own = known if isinstance(known, Targets) else known.numpy()
                found.update(own.tobytes())
        return found.hexdigest()

    def only(self, task: str) -> Part:
        """Returns the images that are labelled for one task, with its targets alone."""
        chosen: dict[str, ImageSource] = {}
        targets: dict[str, Mapping[str, Known]] = {}
        for split, source in self.splits.items():
            known = self.targets[split][task]
            rows = self.trained[task] if split == "train" else labelled_rows(known)
            chosen[split] = source.subset(rows)
            targets[split] = {task: known.take(rows) if isinstance(known, Targets) else known[rows]}
        splits = dataclasses.replace(
            self.splits, train=chosen["train"], val=chosen["val"], test=chosen.get("test")
        )
        trained = {task: range(len(chosen["train"]))}
        return Part(splits, {task: self.outputs[task]}, targets, trained)


def labelled_rows(known: Known) -> list[int]:
    """Returns the positions of images with a known target."""
    if isinstance(known, Targets):
        blocks = (range(k, min(k + BLOCK, len(known))) for k in range(0, len(known), BLOCK))
        return [
            block[row]
            for block in blocks
            for row in known.known(list(block)).any(1).nonzero()[:, 0].tolist()
        ]
    unknown = known.isnan() if known.is_floating_point() else known == -1
    flat = unknown.reshape(len(known), -1).all(1)
    return (~flat).nonzero()[:, 0].tolist()


class PartImages(Dataset[MixedItem]):
    """The images of a split, transformed, with their targets by task.

    Args:
        images: The images.
        targets: By task, a row for each.
    """

    def __init__(self, images: ImageDataset, targets: Mapping[str, Known]) -> None:
        self.images, self.targets = images, dict(targets)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> MixedItem:
        """Returns an image, its targets by task, and its position."""
        targets = {
            name: own.rows(index) if isinstance(own, Targets) else own[index]
            for name, own in self.targets.items()
        }
        return self.images[index][0], targets, index


def read_parts(config: MultiTaskConfig) -> list[Part]:
    """Reads the data sets of all tasks; tasks with columns of one file share its images.

    Raises:
        InputError: If a file, column or label is wrong, or a split has no image of a task.
    """
    parts: list[Part] = []
    tables: dict[DataOptions, list[TaskOptions]] = {}
    for task in config.tasks:
        if task.column is None:
            splits = read_data(config.part_of(task))
            own = _of_labels(task, {split: source.targets for split, source in splits.items()})
            targets = {split: {task.name: each} for split, each in own.items()}
            trained = {task.name: range(len(splits.train))}
            parts.append(Part(splits, {task.name: splits.labels.names}, targets, trained))
        else:
            tables.setdefault(config.data_of(task), []).append(task)
    parts += [_read_table(data, tasks, config.run.seed) for data, tasks in tables.items()]
    for part in parts:
        for split in ("train", "val"):
            for name, known in part.targets[split].items():
                if not labelled_rows(known):
                    raise InputError(
                        f"task {name!r}: no image of the split {split!r} of {part.splits.name} is "
                        "labelled"
                    )
    return parts


def _read_table(data: Any, tasks: Sequence[TaskOptions], seed: int) -> Part:
    """Reads the columns of a CSV file that are targets of tasks."""
    assert isinstance(data, CSV)
    root = Path(data.root or ".")
    path = root / (data.annotations or "labels.csv")
    separator = sign(data.separator, "separator")
    table = read_table(path, sign(data.delimiter, "delimiter"))
    table.require(data.image_column, "image")
    for name, what in ((data.split_column, "split"), (data.group_column, "group")):
        if name not in (None, "split"):
            table.require(str(name), what)
    own_columns = {
        data.image_column: "the images",
        data.split_column: "the splits",
        data.group_column: "the groups",
    }
    for task in tasks:
        refuse_own_columns(path, task, own_columns)
    columns = {task.name: read_column(table, task, separator) for task in tasks}
    annotations, rows = [], {}
    for row, (line, cells) in enumerate(table.rows):
        if not any(bool(own.known[row]) for own in columns.values()):
            continue  # no task learns from it
        at, part = f"{path}, line {line}", "all"
        if data.split_column is not None and data.split_column in table.columns:
            part = split_of(cells[data.split_column], at)
        group = None if data.group_column is None else group_of(cells[data.group_column], at)
        # new splits are stratified by the targets of all tasks
        kinds = {f"{task}: {kind}": 1.0 for task, own in columns.items() for kind in own.kinds[row]}
        image = cells[data.image_column].strip()
        annotations.append(Annotation(image, kinds or {"nothing": 1.0}, part, at, group=group))
        rows[image] = row
    left_out = len(table.rows) - len(annotations)
    notes = [f"{left_out} rows of {path.name} are not labelled for any task"] if left_out else []
    splits = build_splits(
        path.parent.name if path.stem == "labels" else path.stem,
        root,
        annotations,
        None,
        notes=notes,
        fractions=data.fractions,
        seed=seed,
        on_error=data.on_error,
        strata=True,
    )
    splits = check_splits(splits, data.on_error, max_pixels=data.max_pixels)
    chosen = {
        split: torch.tensor([rows[image] for image in source.ids], dtype=torch.int64)
        for split, source in splits.items()
    }
    targets: dict[str, dict[str, Known]] = {split: {} for split in chosen}
    further, trained = [], {}
    for task in tasks:
        column = columns[task.name]
        if task.kind != "regression":
            every = column.presence
            present = {split: every.take(rows_.numpy()) for split, rows_ in chosen.items()}
            noted = [*similar_names(column.outputs), *absent_labels(column.outputs, present)]
            further += [f"{task.name}: {line}" for line in noted]
        own = {split: column.targets[rows_] for split, rows_ in chosen.items()}
        if task.kind == "sequence":
            own = in_order(own, task.order, len(column.outputs))
        for split, each in own.items():
            targets[split][task.name] = _known(task, each)
        known = targets["train"][task.name]
        trained[task.name] = labelled_rows(known)
        if isinstance(known, Targets):
            targets["train"][task.name], said = masked_targets(known, task.missing, seed)
            further += [f"{task.name}: {line}" for line in said]
    splits = dataclasses.replace(splits, notes=(*splits.notes, *further))
    outputs = {name: own.outputs for name, own in columns.items()}
    return Part(splits, outputs, targets, trained)


def _of_labels(task: TaskOptions, targets: Mapping[str, Targets]) -> Mapping[str, Known]:
    """Returns the targets of a task without a column, by split: label sets, or sequences."""
    if task.kind == "multilabel":
        return targets
    labels = targets["train"].shape[1]
    return in_order(sequences_of_sets(targets, task.length, task.name), task.order, labels)


def _known(task: TaskOptions, targets: Tensor) -> Known:
    return Targets.of(targets) if task.kind == "multilabel" else targets

"""Mapping of the splits in annotation files to train, val and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gatlabel.data.source import DataSplits, ImageSource
from gatlabel.data.stratification import stratify
from gatlabel.errors import InputError, nearest
from gatlabel.targets import Targets
from gatlabel.values import first_few, shown

FRACTIONS = (0.7, 0.15, 0.15)

#: Names of splits in annotation files and the split that each stands for.
SPLIT_NAMES: dict[str, str] = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_of(name: str, where: str) -> str:
    """Translates a split's name in a file to ``"train"``, ``"val"`` or ``"test"``.

    Args:
        name: The name in the file, in any case (``"valid"``, ``"Trainval"``).
        where: File and line, for the error message.

    Raises:
        InputError: If the name is unknown.
    """
    known = SPLIT_NAMES.get(name.strip().lower())
    if known is None:
        hint = nearest(name.lower(), SPLIT_NAMES) or f"; known are {', '.join(SPLIT_NAMES)}"
        raise InputError(f"{where}: unknown split {name!r}{hint}")
    return known


def split(
    source: ImageSource,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    name: str = "images",
) -> DataSplits:
    """Divides images into train, val and test, stratified by label.

    Args:
        source: All images; an unknown label counts as absent.
        fractions: Shares of train, val and test; test may be 0.
        seed: The same seed gives the same splits.
        name: Name of the data set.

    Raises:
        InputError: If a split would be empty.
    """
    wanted = [share for share in fractions if share > 0]
    ranges = len(fractions) == 3 and min(fractions[:2]) > 0 and fractions[2] >= 0
    if not ranges or not np.isfinite(fractions).all():
        raise InputError(
            f"fractions are the shares of train, val and test, got {tuple(fractions)}: the first "
            "two must be positive"
        )
    parts = stratify(source.targets, wanted, seed, source.groups)
    sizes = ", ".join(str(len(rows)) for rows in parts)
    whole = "" if source.groups is None else ", keeping groups together"
    note = f"no split given: divided into {sizes} images, stratified by label (seed {seed}){whole}"
    pieces = [source.subset(rows.tolist()) for rows in parts]
    test = pieces[2] if len(pieces) == 3 else None
    return DataSplits(name, pieces[0], pieces[1], test, notes=(note,))


def complete_splits(
    name: str,
    parts: Mapping[str, ImageSource],
    *,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
    notes: Sequence[str] = (),
    evaluate_only: bool = False,
    strata: bool = False,
) -> DataSplits:
    """Creates the splits for training from those of a data set.

    Args:
        name: Name of the data set.
        parts: Sources by ``"train"``, ``"val"``, ``"test"``, or ``"all"`` alone if the data set
            has no split. Without val, val is cut from train, stratified by label, with the share
            ``fractions[1] / (fractions[0] + fractions[1])``.
        fractions: Shares of train, val and test if they are made here.
        seed: Seed of the splits made here.
        notes: Notes of the reader so far.
        evaluate_only: Keep the splits as they are, even without train or val (which are then
            empty), and call images without a split ``test``: for evaluating a trained model.
        strata: The labels are only what new splits are stratified by, so nothing is noted on them.

    Raises:
        InputError: If there is no image to train on, or a split is empty.
    """
    all_notes = list(notes)
    given = dict(parts)
    for part, source in given.items():
        if len(source) == 0:
            raise InputError(f"the split {part!r} of {name} is empty")
    if not given:
        raise InputError(f"{name} has no images")
    if "all" in given and len(given) > 1:
        others = " and ".join(part for part in given if part != "all")
        raise InputError(
            f"some images of {name} have a split ({others}), others have none: give all a split"
        )
    if evaluate_only:
        everything = given.pop("all", None)
        if everything is not None:
            given["test"] = everything
        none = next(iter(given.values())).subset([])
        splits = DataSplits(
            name, given.get("train", none), given.get("val", none), given.get("test")
        )
    elif "all" in given:
        splits = split(given["all"], fractions, seed, name)
        all_notes += splits.notes
    elif "train" not in given:
        raise InputError(
            f"{name} has no train split, only {' and '.join(given)}; mark images as train, or "
            "omit the split, so that the images are split here"
        )
    elif "val" not in given:
        train = given["train"]
        shares = fractions[:2]
        rows = stratify(train.targets, shares, seed, train.groups)
        whole = "" if train.groups is None else ", keeping groups together"
        all_notes.append(
            f"no val split given: {len(rows[1])} of {len(train)} train images were taken, "
            f"stratified by label (seed {seed}){whole}"
        )
        pieces = [train.subset(part.tolist()) for part in rows]
        splits = DataSplits(name, pieces[0], pieces[1], given.get("test"))
    else:
        splits = DataSplits(name, given["train"], given["val"], given.get("test"))
    all_notes += divided_groups(splits)
    if not strata:
        targets = {part: source.targets for part, source in splits.items()}
        all_notes += similar_names(splits.labels.names)
        all_notes += absent_labels(splits.labels.names, targets)
    return DataSplits(name, splits.train, splits.val, splits.test, notes=tuple(all_notes))


def divided_groups(splits: DataSplits) -> list[str]:
    """Returns a one-line warning about groups with images in train and in another split."""
    of = {part: set(source.groups or ()) for part, source in splits.items()}
    divided = []
    for part in ("val", "test"):
        both = sorted(of["train"] & of.get(part, set()))
        if both:
            kind = "group has" if len(both) == 1 else "groups have"
            listed = first_few([shown(group) for group in both], 5)
            divided.append(f"{len(both)} {kind} images in train and in {part} ({listed})")
    if not divided:
        return []
    return [
        f"warning: {'; '.join(divided)}: metrics of such splits are too optimistic; without the "
        "file's own split, groups are kept together"
    ]


def similar_names(names: Sequence[str]) -> list[str]:
    """Lists labels that differ from an earlier one only in case or blanks."""
    first: dict[str, str] = {}
    pairs = []
    for name in names:
        other = first.setdefault(" ".join(name.casefold().split()), name)
        if other != name:
            pairs.append(f"{other!r} and {name!r}")
    if not pairs:
        return []
    return [f"labels that differ only in case or blanks are different labels: {first_few(pairs)}"]


def absent_labels(names: Sequence[str], targets: Mapping[str, Targets]) -> list[str]:
    """Lists labels that are never present, only present outside train, or always present.

    Args:
        names: The L labels.
        targets: Targets by split, of ``train`` at least.
    """
    counts = {part: own.counts() for part, own in targets.items()}
    has = {part: found.present > 0 for part, found in counts.items()}
    anywhere = np.logical_or.reduce(list(has.values()))
    never = [label for label, there in zip(names, anywhere, strict=True) if not there]
    held_out = [
        label
        for label, there, learned in zip(names, anywhere, has["train"], strict=True)
        if there and not learned
    ]
    notes = []
    if never:
        notes.append(f"{len(never)} of {len(names)} labels are never present: {', '.join(never)}")
    if held_out and len(targets["train"]):
        notes.append(f"{len(held_out)} labels are never present in train: {', '.join(held_out)}")
    for part, found in counts.items():
        one_sided = has[part] & (found.known == found.present)
        if one_sided.any():
            listed = [label for label, only in zip(names, one_sided, strict=True) if only]
            notes.append(
                f"{len(listed)} labels are present and never known to be absent in {part}: "
                f"{first_few(listed)}"
            )
    return notes

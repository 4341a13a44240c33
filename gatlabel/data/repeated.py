"""Averaging of targets of images that several annotators have labelled."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gatlabel.data.annotations import Annotation
from gatlabel.errors import InputError
from gatlabel.labels import UNKNOWN


def averaged(annotations: Sequence[Annotation], unlisted: float) -> tuple[list[Annotation], int]:
    """Combines annotations of the same image to one, with the mean of the known targets.

    Args:
        annotations: Annotations in the order of their file.
        unlisted: Target of labels that an annotation does not list.

    Returns:
        One annotation per image, in the order of their first annotations, and the number of images
        with several annotations.

    Raises:
        InputError: If annotations of one image differ in split or group; the message names the
            line.
    """
    by_image: dict[str, list[Annotation]] = {}
    for row in annotations:
        by_image.setdefault(row.image, []).append(row)
    found = []
    for image, rows in by_image.items():
        for row in rows[1:]:
            for what in ("part", "group"):
                if getattr(row, what) != getattr(rows[0], what):
                    name = "split" if what == "part" else what
                    raise InputError(
                        f"{row.where}: the image {image!r} has another {name} than at "
                        f"{rows[0].where}; annotations of one image are averaged, so they need the "
                        "same"
                    )
        labels = dict.fromkeys(label for row in rows for label in row.targets)
        targets = {}
        for label in labels:
            values = [row.targets.get(label, unlisted) for row in rows]
            known = [value for value in values if value != UNKNOWN]
            targets[label] = sum(known) / len(known) if known else UNKNOWN
        found.append(dataclasses.replace(rows[0], targets=targets))
    return found, sum(len(rows) > 1 for rows in by_image.values())

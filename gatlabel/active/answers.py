"""Answers about single labels of single images, in CSV and Label Studio files."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import torch
from torch import Tensor

from gatlabel.data.csv_table import read_table
from gatlabel.errors import InputError
from gatlabel.files import read_json, write_errors
from gatlabel.labels import ABSENT, PRESENT, UNKNOWN, LabelSet
from gatlabel.values import shown

COLUMNS = ("image", "label", "answer")
#: A skipped question is not repeated, and the model does not learn from it.
SKIPPED = None
_WORDS = {
    **dict.fromkeys(("1", "y", "yes", "true", "present"), PRESENT),
    **dict.fromkeys(("0", "n", "no", "false", "absent"), ABSENT),
    **dict.fromkeys(("?", "s", "skip", "unknown", "-1", ""), SKIPPED),
}
_WRITTEN = {PRESENT: "yes", ABSENT: "no", SKIPPED: "skip"}


class Answer(NamedTuple):
    """One answer.

    Attributes:
        image: The image, as written in the file.
        label: The label.
        value: 1 present, 0 absent, ``None`` skipped.
        where: File and line, for messages.
    """

    image: str
    label: str
    value: float | None
    where: str = ""


def read_answers(path: Path, labels: LabelSet) -> list[Answer]:
    """Reads a CSV file (image, label, answer) or a Label Studio export (``.json``).

    An answer is yes, no or skip; 1, 0 and ? are the same. In Label Studio, a task whose data have a
    ``label`` is a question with the choices yes and no; in any other, the choices are the labels
    that are present, and all others are absent.

    Args:
        path: The file.
        labels: The labels of the run.

    Raises:
        InputError: If the file cannot be read, or a label or an answer is unknown; the message
            names the line or task.
    """
    if path.suffix.lower() == ".json":
        return list(_label_studio(read_json(path, "answers"), labels, path))
    table = read_table(path, ",")
    for column in COLUMNS:
        table.require(column, "answers")
    found = []
    for line, row in table.rows:
        where = f"{path}, line {line}"
        word = row["answer"].strip().lower()
        if word not in _WORDS:
            raise InputError(f"{where}: the answer {shown(row['answer'])} is not yes, no or skip")
        label = _label(row["label"].strip(), labels, where)
        found.append(Answer(row["image"].strip(), label, _WORDS[word], where))
    return found


def _label(name: str, labels: LabelSet, where: str) -> str:
    if name not in labels:
        raise InputError(f"{where}: the run has no label {name!r}{labels.hint(name)}")
    return name


def _label_studio(content: Any, labels: LabelSet, path: Path) -> Iterator[Answer]:
    if not isinstance(content, list):
        raise InputError(f"{path} is not a Label Studio export: expected a list of tasks")
    for number, task in enumerate(content, 1):
        where = f"{path}, task {number}"
        data = task.get("data") if isinstance(task, dict) else None
        if not isinstance(data, dict) or not isinstance(data.get("image"), str):
            raise InputError(f"{where}: it has no data.image")
        chosen = _choices(task, where)
        if chosen is None:
            continue
        image = _file_of(data["image"])
        if "label" in data:
            label = _label(str(data["label"]), labels, where)
            word = chosen[0].strip().lower() if chosen else ""
            if word not in _WORDS or len(chosen) > 1:
                raise InputError(f"{where}: the answer {shown(chosen)} is not yes, no or skip")
            yield Answer(image, label, _WORDS[word], where)
            continue
        present = {_label(name, labels, where) for name in chosen}
        for name in labels:
            yield Answer(image, name, PRESENT if name in present else ABSENT, where)


def _choices(task: dict[str, Any], where: str) -> list[str] | None:
    """The choices of the latest annotation that was not cancelled; ``None`` without one."""
    given = task.get("annotations", [])
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise InputError(f"{where}: annotations must be a list of objects")
    done = [one for one in given if not one.get("was_cancelled")]
    if not done:
        return None
    found: list[str] = []
    for part in done[-1].get("result") or []:
        if isinstance(part, dict) and part.get("type") == "choices":
            choices = (part.get("value") or {}).get("choices")
            if not isinstance(choices, list) or not all(isinstance(c, str) for c in choices):
                raise InputError(f"{where}: choices must be a list of names")
            found += choices
    return found


def _file_of(text: str) -> str:
    """Returns the file of a Label Studio URL such as ``/data/local-files/?d=photos/1.jpg``."""
    parts = urlsplit(text)
    if "d" in (query := parse_qs(parts.query)):
        return query["d"][0]
    return unquote(parts.path) if parts.scheme else text


def answers_tensor(
    answers: Iterable[Answer], ids: Sequence[str], labels: LabelSet
) -> tuple[Tensor, Tensor]:
    """Converts answers to tensors over the pool; of repeated answers the last one counts.

    An image is identified by its path in the pool, or by the end of the path if that is unique.

    Args:
        answers: The answers.
        ids: The N paths of the pool.
        labels: The L labels.

    Returns:
        float32 ``(N, L)`` of 1, 0 and -1, and bool ``(N, L)``: which questions were skipped.

    Raises:
        InputError: If an image is not in the pool, or matches several images.
    """
    values = torch.full((len(ids), len(labels)), float(UNKNOWN))
    skipped = torch.zeros(len(ids), len(labels), dtype=torch.bool)
    exact = {name: row for row, name in enumerate(ids)}
    by_file: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        by_file.setdefault(PurePosixPath(name).name, []).append(row)
    for answer in answers:
        row = exact.get(answer.image, -1)
        if row < 0:
            rows = by_file.get(PurePosixPath(answer.image).name, [])
            rows = [r for r in rows if answer.image.endswith(ids[r])] or rows
            if len(rows) != 1:
                what = "matches several images of the pool" if rows else "is not in the pool"
                raise InputError(f"{answer.where}: the image {shown(answer.image)} {what}")
            row = rows[0]
        place = labels.index(answer.label)
        skipped[row, place] = answer.value is None
        values[row, place] = UNKNOWN if answer.value is None else answer.value
    return values, skipped


class AnswerFile:
    """A CSV file to which answers are appended one by one, each written to disk immediately.

    Args:
        path: The file; the first answer creates it. An unfinished last line, left by a killed
            process, is removed.

    Raises:
        InputError: If it cannot be read or written, or is not a file of answers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            return
        with write_errors(path):
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if len(whole) < len(content):
                with path.open("r+b") as file:
                    file.truncate(len(whole))
        heading = whole.split(b"\n", 1)[0].strip().decode("utf-8", "replace")
        if whole and heading.replace(" ", "") != ",".join(COLUMNS):
            raise InputError(f"{path} begins with {shown(heading)}, not with {','.join(COLUMNS)}")

    def add(self, image: str, label: str, value: float | None) -> None:
        """Writes one answer."""
        with write_errors(self.path), self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                writer.writerow(COLUMNS)
            writer.writerow([image, label, _WRITTEN[value]])
            file.flush()
            os.fsync(file.fileno())

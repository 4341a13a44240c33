"""What to annotate next for a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatlabel.active.answers import Answer, answers_tensor
from gatlabel.active.choosing import Question, choose_questions, rank_images
from gatlabel.active.information import PairwiseModel
from gatlabel.active.learned import learned_answers, learned_tensor, require_same
from gatlabel.active.variance import LogitVariance
from gatlabel.baselines.moments import Moments
from gatlabel.data.file_images import FileImages
from gatlabel.errors import InputError
from gatlabel.fewshot.run_features import pooled_features
from gatlabel.files import write_json, write_text
from gatlabel.graph import Cooccurrence
from gatlabel.labels import UNKNOWN
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead
from gatlabel.training.config import TrainConfig
from gatlabel.training.finished_runs import open_run
from gatlabel.training.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class Pool:
    """Images to annotate, with features and logits by a run.

    Attributes:
        run: The run folder.
        folder: What the names of images are relative to.
        model: Its model, the head folded.
        config: Its options.
        ids: N paths relative to the pool folder.
        features: ``(N, D)``.
        logits: ``(N, L)``, by the run's classifiers.
        answers: ``(N, L)``: 1, 0, or -1 where there is none.
        learned: bool ``(N, L)``: answers that the run has learned from already.
        skipped: bool ``(N, L)``.
        pairs: The dependence of labels.
        counts: Label counts of the run.
        rates: ``(L,)``, how frequent each label is by these counts.
        variance: How unsure the classifiers are, new answers included.
    """

    run: Path
    folder: Path
    model: MultiLabelClassifier
    config: TrainConfig
    ids: tuple[str, ...]
    features: Tensor
    logits: Tensor
    answers: Tensor
    learned: Tensor
    skipped: Tensor
    pairs: PairwiseModel
    counts: Cooccurrence
    rates: Tensor
    variance: LogitVariance

    def questions(self, count: int, per_image: int | None = None) -> list[Question]:
        """Returns the next questions; see :func:`~gatlabel.active.choosing.choose_questions`."""
        return choose_questions(
            self.logits,
            self.answers,
            self.pairs,
            count,
            per_image=per_image,
            skipped=self.skipped,
            variance=self.variance,
        )

    def images(self, count: int) -> list[tuple[str, float]]:
        """Returns images to annotate in full, and the expected information of each."""
        order, worth = rank_images(self.logits, self.answers, self.pairs)
        rows = zip(order.tolist(), worth.tolist(), strict=True)
        return [(self.ids[row], gain) for row, gain in rows if gain > 0][:count]


def open_pool(
    run: Path,
    images: Sequence[Path],
    folder: Path,
    answers: Sequence[Answer] = (),
    *,
    pairs: PairwiseModel | None = None,
    device: str = "auto",
) -> Pool:
    """Scores the images of a pool by a run.

    Features are stored in the run's cache folder, so the next call does not decode the images.

    Args:
        run: The run folder.
        images: The images, below ``folder``.
        folder: The folder that their names are relative to.
        answers: The answers so far.
        pairs: The dependence of labels; default: that of the run's label counts.
        device: The device of the encoder.

    Raises:
        InputError: If this is no run folder, its head does not fold, an image cannot be decoded, or
            an answer is not that which the run has learned.
    """
    given, config = open_run(run)
    model = given.fold()
    if not isinstance(model.head, LinearHead):
        raise InputError(
            f"the head {given.head.kind!r} depends on the image and cannot be updated by answers: "
            "train a head that folds, such as gat or linear"
        )
    ids = [path.relative_to(folder).as_posix() for path in images]
    unknown = np.full((len(ids), len(model.labels)), UNKNOWN, np.float32)
    source = FileImages(folder, model.labels, ids, unknown)
    features = pooled_features(model, source, config.images.cache_folder, device)
    counts = Cooccurrence.load(RunFolder(run).counts).reorder(model.labels)
    with torch.no_grad():
        logits = model.head(features)
    values, skipped = answers_tensor(answers, ids, model.labels)
    learned = learned_tensor(learned_answers(run), folder, ids, model.labels)
    require_same(values, learned, run, ids, model.labels)
    has_learned = learned != UNKNOWN
    new = torch.where(has_learned, float(UNKNOWN), values)
    known, so_far = _so_far(counts, new)
    if pairs is None:
        pairs = PairwiseModel.none() if so_far is None else PairwiseModel.of_counts(so_far)
    moments = RunFolder(run).moments
    variance = LogitVariance.of(
        features,
        Moments.load(moments) if moments.is_file() else Moments.of(features),
        known,
        _rates(so_far or counts),
    )
    return Pool(
        run,
        folder,
        model,
        config,
        tuple(ids),
        features,
        logits,
        torch.where(has_learned, learned, values),
        has_learned,
        skipped,
        pairs,
        counts,
        _rates(counts),
        variance,
    )


def _so_far(counts: Cooccurrence, answers: Tensor) -> tuple[Tensor, Cooccurrence | None]:
    """Images in which each label is known ``(L,)``, and counts if they have a number of images."""
    rows = (answers != UNKNOWN).any(1)
    if counts.images is None:
        present = torch.from_numpy(counts.label_counts)
        return present + (answers != UNKNOWN).sum(0), None
    if bool(rows.any()):
        counts = counts + Cooccurrence.from_targets(answers[rows], list(counts.names))
    return torch.from_numpy(counts.known), counts


def _rates(counts: Cooccurrence) -> Tensor:
    if counts.images is None:
        return torch.full((len(counts.labels),), 0.5, dtype=torch.float64)
    return torch.from_numpy(counts.base_rates)


def write_questions(pool: Pool, questions: Sequence[Question], path: Path) -> None:
    """Writes questions as CSV, or as tasks for Label Studio (``.json``)."""
    names = [(pool.ids[q.row], pool.model.labels[q.label], q) for q in questions]
    if path.suffix.lower() == ".json":
        tasks: list[dict[str, Any]] = [
            {
                "data": {"image": image, "label": label, "probability": round(q.probability, 4)},
                "predictions": [{"score": round(q.information, 6), "result": []}],
            }
            for image, label, q in names
        ]
        write_json(path, tasks)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "answer", "probability", "information"])
    for image, label, q in names:
        writer.writerow([image, label, "", f"{q.probability:.4f}", f"{q.information:.4f}"])
    write_text(path, text.getvalue())

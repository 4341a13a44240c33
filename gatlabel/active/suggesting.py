"""What to annotate next for a run, and the run updated by the answers."""

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

from gatlabel import logs
from gatlabel.active.answers import Answer, answers_tensor
from gatlabel.active.choosing import Question, choose_questions, rank_images
from gatlabel.active.information import PairwiseModel
from gatlabel.active.updating import updated_classifiers
from gatlabel.baselines.moments import Moments
from gatlabel.data.file_images import FileImages
from gatlabel.errors import InputError
from gatlabel.fewshot.extending import write_run
from gatlabel.fewshot.run_features import pooled_features
from gatlabel.files import write_json, write_text
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.labels import UNKNOWN
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead
from gatlabel.training.config import TrainConfig
from gatlabel.training.data import read_data
from gatlabel.training.feature_moments import measured_moments
from gatlabel.training.finished_runs import open_run
from gatlabel.training.run_folder import RunFolder

FILE = "answers.json"


@dataclass(frozen=True, eq=False)
class Pool:
    """Images to annotate, with features and logits by a run.

    Attributes:
        run: The run folder.
        model: Its model, the head folded.
        config: Its options.
        ids: N paths relative to the pool folder.
        features: ``(N, D)``.
        logits: ``(N, L)``, by the run's classifiers.
        answers: ``(N, L)``: 1, 0, or -1 where there is none.
        skipped: bool ``(N, L)``.
        pairs: The dependence of labels.
        rates: ``(L,)``, the frequency of each label in the training images.
    """

    run: Path
    model: MultiLabelClassifier
    config: TrainConfig
    ids: tuple[str, ...]
    features: Tensor
    logits: Tensor
    answers: Tensor
    skipped: Tensor
    pairs: PairwiseModel
    rates: Tensor

    def questions(self, count: int, per_image: int = 1) -> list[Question]:
        """Returns the next questions; see :func:`~gatlabel.active.choosing.choose_questions`."""
        return choose_questions(
            self.logits,
            self.answers,
            self.pairs,
            count,
            per_image=per_image,
            features=self.features,
            skipped=self.skipped,
            rates=self.rates,
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
        InputError: If this is not a run folder, the head does not fold, or an image cannot be
            decoded.
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
    if pairs is None:
        pairs = PairwiseModel.none() if counts.images is None else PairwiseModel.of_counts(counts)
    with torch.no_grad():
        logits = model.head(features)
    known, skipped = answers_tensor(answers, ids, model.labels)
    rates = _rates(counts)
    return Pool(run, model, config, tuple(ids), features, logits, known, skipped, pairs, rates)


def _rates(counts: Cooccurrence) -> Tensor:
    if counts.images is None:
        return torch.full((len(counts.labels),), 0.5, dtype=torch.float64)
    return torch.from_numpy(counts.base_rates)


def update_run(pool: Pool, output: Path, log: Log = logs.log) -> MultiLabelClassifier:
    """Writes a new run whose classifiers have learned from the answers.

    The label counts and the graph remain those of the training images: answers about actively
    chosen images would bias them.

    Args:
        pool: The pool with its answers.
        output: The new run folder; it must be new or empty.
        log: Called with progress messages.

    Raises:
        InputError: If there is no answer, or the folder cannot be written.
    """
    known = pool.answers != UNKNOWN
    if not bool(known.any()):
        raise InputError("there are no answers to learn from: give a file of answers")
    run = RunFolder(pool.run)
    if run.moments.is_file():
        moments = Moments.load(run.moments)
    else:
        log("the run has no moments of features: they are measured on 512 training images")
        moments = measured_moments(pool.model, read_data(pool.config).train)
    counts = Cooccurrence.load(run.counts).reorder(pool.model.labels)
    head = pool.model.head
    assert isinstance(head, LinearHead)
    rows = known.any(1)
    weight, bias = updated_classifiers(
        head.linear.weight.detach(),
        head.linear.bias.detach(),
        moments,
        torch.from_numpy(counts.known if counts.images is not None else counts.label_counts),
        pool.rates,
        pool.features[rows],
        pool.answers[rows],
    )
    with torch.no_grad():
        head.linear.weight.copy_(weight)
        head.linear.bias.copy_(bias)
    graph = LabelGraph.load(run.graph).reorder(pool.model.labels)
    record = {"updates": str(pool.run), "answers": int(known.sum()), "images": int(rows.sum())}
    write_run(output, pool.config, pool.model, graph, counts, moments, {FILE: record})
    return pool.model


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

"""Few-shot episodes on the features and labels of a training run."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import torch

from gatlabel import logs
from gatlabel.baselines.similarity import SimilaritySource, candidate_sources
from gatlabel.errors import InputError
from gatlabel.fewshot.evaluation import (
    FewShotOptions,
    FewShotResult,
    LabelledFeatures,
    run_episodes,
)
from gatlabel.fewshot.run_features import judged_split, pooled_features
from gatlabel.files import write_json, write_text
from gatlabel.graph import LabelGraph
from gatlabel.graph.spec import GRAPH_FILES
from gatlabel.graph.vectors import load_vectors
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.training.data import read_data
from gatlabel.training.finished_runs import open_run
from gatlabel.training.label_vectors import kept_name_vectors

#: Suffixes of graph files that cannot be vectors; ``.txt`` is read as vectors.
_GRAPHS = tuple(end for end in GRAPH_FILES if end != ".txt")


def fewshot_run(
    folder: Path,
    options: FewShotOptions,
    *,
    similarity: str = "names",
    split: str | None = None,
    device: str = "auto",
    log: Log = logs.log,
) -> FewShotResult:
    """Runs few-shot episodes on the features of a run, with the labels of its data set.

    Args:
        folder: The run folder.
        options: Shots, episodes, novel labels and learners.
        similarity: ``names``, a file of label vectors or of a graph, or ``none``.
        split: ``val`` or ``test``; default: test if there is one.
        device: The device of the encoder.
        log: Called with progress messages.

    Raises:
        InputError: If this is not a run folder, a label is unknown, or no label has enough images.
        MissingExtraError: If ``similarity`` is ``names`` and the extra is not installed.
    """
    model, config = open_run(folder)
    source = similarity_source(similarity, model.labels, config.images.cache_folder)
    splits = read_data(config)
    if splits.labels != model.labels:
        raise InputError(f"the data of {folder} has other labels than its model: train again")
    name, judged = judged_split(splits, split)
    cache = config.images.cache_folder
    data = LabelledFeatures(
        model.labels,
        pooled_features(model, splits.train, cache, device),
        splits.train.targets.to_dense(),
        pooled_features(model, judged, cache, device),
        judged.targets.to_dense(),
    )
    trained = config.encoder.freeze != "encoder" and bool(config.run.epochs)
    result = run_episodes(data, source, options)
    notes = [f"{len(splits.train)} training images, evaluated on {len(judged)} of the split {name}"]
    if trained:
        notes.append(
            "note: the encoder of this run was trained with all labels, including the novel "
            "ones, so these values are too high; train with --freeze encoder for fair ones"
        )
    for note in notes:
        log(note)
    return dataclasses.replace(result, protocol=(*result.protocol, *notes))


def similarity_source(text: str, labels: LabelSet, cache: Path) -> SimilaritySource | None:
    """Returns the source of label similarity for a command-line option.

    Args:
        text: ``names``, ``none``, or a file: of a graph (json, csv, tsv), else of vectors.
        labels: The L labels.
        cache: Cache folder for vectors of names.

    Raises:
        InputError: If the file cannot be read or does not fit the labels.
        MissingExtraError: If ``names`` is given and the extra is not installed.
    """
    if text == "none":
        return None
    given: dict[str, object] = {"cooccurrence": False, "learned": False}
    if text == "names":
        given["name_vectors"] = kept_name_vectors(labels, cache)
    elif text.endswith(_GRAPHS):
        graph = (
            LabelGraph.load(text)
            if text.endswith(".json")
            else LabelGraph.from_edge_file(text, labels, relation="similarity")
        )
        given["hierarchy"] = graph
    else:
        given["given_vectors"] = torch.from_numpy(load_vectors(text, labels)[0])
    return candidate_sources(labels, **given)[0]  # type: ignore[arg-type]


def write_fewshot(result: FewShotResult, folder: Path) -> None:
    """Writes ``fewshot.json``, and ``fewshot.csv`` with one row per learner, shots and episode."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "fewshot.json", result.to_dict())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["learner", "shots", "episode", "positives", "mAP"])
    for (learner, shots), values in result.values.items():
        for episode, value in enumerate(values):
            row = [learner, shots, episode, result.positives[shots][episode], round(value, 6)]
            writer.writerow(row)
    write_text(folder / "fewshot.csv", text.getvalue())

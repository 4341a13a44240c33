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
from gatlabel.fewshot.episode_file import EpisodeFile
from gatlabel.fewshot.evaluation import LabelledFeatures, episodes_key, run_episodes
from gatlabel.fewshot.options import FewShotConfig
from gatlabel.fewshot.results import FewShotResult
from gatlabel.fewshot.run_features import judged_split, pooled_features
from gatlabel.fewshot.similar_labels import GRAPHS, read_graph
from gatlabel.files import write_json, write_text
from gatlabel.graph.vectors import load_vectors
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.training.data import read_data
from gatlabel.training.finished_runs import open_run
from gatlabel.training.label_vectors import kept_name_vectors

EPISODES = "episodes.jsonl"


def fewshot_run(options: FewShotConfig, log: Log = logs.log) -> FewShotResult:
    """Runs few-shot episodes on the features of a run, with the labels of its data set.

    With ``output``, finished episodes are kept there, and ``fewshot.json`` and ``fewshot.csv`` are
    written at the end.

    Args:
        options: The run folder and all options.
        log: Called with plain sentences about what is going on.

    Raises:
        InputError: If this is not a run folder, a label is unknown, or no label has enough images.
        MissingExtraError: If ``similarity`` is ``names`` and the extra is not installed.
    """
    folder = options.run
    if folder is None:
        raise InputError("run=None: give the run folder")
    output = options.output
    if output is not None and output.exists() and not output.is_dir():
        raise InputError(f"cannot write to {output}: it is a file, give a folder")
    model, config = open_run(folder)
    source = similarity_source(options.similarity, model.labels, config.images.cache_folder)
    splits = read_data(config)
    if splits.labels != model.labels:
        raise InputError(f"the data of {folder} has other labels than its model: train it anew")
    name, judged = judged_split(splits, options.split)
    cache = config.images.cache_folder
    data = LabelledFeatures(
        model.labels,
        pooled_features(model, splits.train, cache, options.device),
        splits.train.targets.to_dense(),
        pooled_features(model, judged, cache, options.device),
        judged.targets.to_dense(),
    )
    trained = config.encoder.freeze != "encoder" and bool(config.run.epochs)
    kept = None
    if output is not None:
        kept = EpisodeFile(output / EPISODES, episodes_key(data, source, options))
        if kept.finished:
            log(f"{len(kept.finished)} finished episodes are in {kept.path}")
    result = run_episodes(data, source, options, kept)
    notes = [f"{len(splits.train)} training images, judged on {len(judged)} of the split {name}"]
    if trained:
        notes.append(
            "note: the encoder of this run was trained with all labels, including the novel "
            "ones, so these values are too high; train with --freeze encoder for fair ones"
        )
    for note in notes:
        log(note)
    result = dataclasses.replace(result, protocol=(*result.protocol, *notes))
    if output is not None:
        write_fewshot(result, output)
    return result


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
    elif text.endswith(GRAPHS):
        given["hierarchy"] = read_graph(text, labels)
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

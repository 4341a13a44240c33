"""Initialisation of a run from another model: to train longer, or on other data or labels."""

from __future__ import annotations

from pathlib import Path

import torch

from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import Head
from gatlabel.nn.heads.transfer import transfer_classifiers


def start_from(model: MultiLabelClassifier, run: Path) -> list[str]:
    """Initialises a model with the weights of a trained one.

    Encoder and pooling are copied. A head of the same kind and options on the same graph is copied
    too; otherwise only the classifiers of shared labels, matched by name (see
    :func:`transfer_classifiers`).

    Args:
        model: The model to initialise.
        run: A run folder with a trained model.

    Returns:
        Descriptions of the copied parts, one line each.

    Raises:
        InputError: If the folder has no model, or one with another encoder.
    """
    require_model(run)
    source = MultiLabelClassifier.from_pretrained(run)
    copy_encoder(source, model, run)
    return [copy_head(source, model, run)]


def require_model(run: Path) -> None:
    """Makes sure that a folder has the model of a finished run.

    Raises:
        InputError: If it has none.
    """
    if not run.is_dir():
        raise InputError(f"init={run}: there is no such folder; give that of a run")
    if not (run / "model.json").is_file():
        if (run / "encoder.json").is_file():
            raise InputError(
                f"init={run}: a run of gatlabel pretrain, which has an encoder without a head; "
                f"use it with --weights {run}"
            )
        raise InputError(
            f"init={run}: has no model.json; finish the run first, with "
            f"gatlabel train --resume {run}"
        )


def copy_head(source: MultiLabelClassifier, model: MultiLabelClassifier, run: Path) -> str:
    """Starts the head of a model at that of another, whose encoder it has.

    Args:
        source: The other model.
        model: The model to start.
        run: Where the other is from, for messages.

    Returns:
        What was taken over.
    """
    shared = [name for name in model.labels if name in source.labels]
    if _same_head(source, model):
        model.head.load_state_dict(source.head.state_dict())
        return f"initialised from {run}: encoder and head, all {len(shared)} labels"
    rows = [source.labels.index(name) for name in shared]
    own_rows = [model.labels.index(name) for name in shared]
    if not shared or not transfer_classifiers(source.head, model.head, rows, own_rows):
        why = _reason(source, model) if shared else "no common label"
        return f"note: initialised from {run}: only the encoder ({why})"
    new = len(model.labels) - len(shared)
    return (
        f"initialised from {run}: the encoder, and the classifiers of {len(shared)} of its "
        f"{len(source.labels)} labels; new labels: {new}"
    )


def _reason(source: MultiLabelClassifier, model: MultiLabelClassifier) -> str:
    """Returns the reason why no classifier was copied."""
    theirs, ours = source.encoder.stages, model.encoder.stages
    if theirs != ours:
        return f"its classifiers use stages={theirs}, here {ours}"
    return f"its head {source.head.kind!r} is different"


def copy_encoder(source: MultiLabelClassifier, model: MultiLabelClassifier, run: Path) -> None:
    """Loads encoder and pooling of another model.

    Raises:
        InputError: If it has another encoder.
    """
    # stages have no weights, so that the encoder is the same for any number of them
    theirs, ours = ({**one.encoder.config, "stages": None} for one in (source, model))
    if theirs != ours:
        differ = ", ".join(
            f"{name} {theirs.get(name)} (here {ours.get(name)})"
            for name in dict.fromkeys((*theirs, *ours))
            if theirs.get(name) != ours.get(name)
        )
        raise InputError(f"init={run} has another encoder: {differ}; omit --backbone")
    model.encoder.load_state_dict(source.encoder.state_dict())
    if type(source.pool) is type(model.pool) and source.pooling_name == model.pooling_name:
        model.pool.load_state_dict(source.pool.state_dict())


def _same_head(source: MultiLabelClassifier, model: MultiLabelClassifier) -> bool:
    return (
        tuple(source.labels) == tuple(model.labels)
        and source.head.kind == model.head.kind
        and source.head.config == model.head.config
        and _same_state(source.head, model.head)
    )


def _same_state(one: Head, other: Head) -> bool:
    """Whether two heads have equally shaped tensors and the same edges."""
    theirs, ours = dict(one.named_buffers()), dict(other.named_buffers())
    shapes = {name: value.shape for name, value in one.state_dict().items()}
    edges = ("edge_index", "edge_weight")
    return shapes == {name: value.shape for name, value in other.state_dict().items()} and all(
        torch.equal(theirs[name], ours[name]) for name in edges if name in theirs
    )

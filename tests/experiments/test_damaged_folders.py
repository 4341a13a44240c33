"""Folders of benchmarks by others, or damaged ones: one line that names the file."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.experiments.config import make_config
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import METRICS, Condition
from gatlabel.experiments.records import Run, Scope
from gatlabel.experiments.store import Store
from gatlabel.files import write_json


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished benchmark of two methods with two seeds."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    store = Store(folder)
    targets = (np.arange(24).reshape(12, 2) % 3 == 0).astype(np.float32)
    fixed = make_config("graphs", **{"data": "csv", "data.root": "photos"}).fixed()
    store.begin(fixed, targets, ("cat", "dog"), np.array([4, 5]))
    methods = [Method("linear"), Method("gat", "npmi")]
    for number, method in enumerate(methods):
        for seed in range(2):
            logits = np.random.default_rng(2 * number + seed).normal(size=(12, 2))
            key = (method, Condition(), seed)
            values = dict.fromkeys((*METRICS, "parameters", "train_seconds", "inference_us"), 0.5)
            store.add_run(Run(*key, values), logits.astype(np.float32))
    store.add_trial((methods[1], Condition(), 1000), 0, {"lr": 0.1}, 0.5)
    title, facts = "Benchmark of graphs on photos", {"data": "photos"}
    scope = Scope(title, "photos", methods, [Condition()], 2, facts)
    write_json(store.protocol, scope.to_dict())
    write_json(store.environment, {"versions": {"torch": "2"}, "system": "Linux"})
    return folder


def summary(folder: Path) -> int:
    out = str(folder.parent / "summary")
    words = ["benchmark", "summary", str(folder), "--output", out, "--no-progress"]
    return main([*words])


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


def test_the_whole_folder_is_read(folder: Path, capsys) -> None:
    assert summary(folder) == 0
    assert "gat · npmi" in capsys.readouterr().out


VALUES = ["[]", "{}", "null", "3", '"x"', "[[[]]]", '{"a": 1}', "[1, 2", "", "\x00"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["benchmark.json", "protocol.json", "environment.json"])
def test_a_file_of_other_content(name: str, value: str, folder: Path, capsys) -> None:
    (folder / name).write_text(value)
    assert summary(folder) == 2
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("protocol.json", {"seeds": "many"}),
        ("protocol.json", {"seeds": 10**9}),
        ("protocol.json", {"seeds": 0}),
        ("protocol.json", {"methods": [["gat", "npmi", "nix", "ignore", ""]]}),
        ("protocol.json", {"methods": [["a", "b", "own", "ignore", "", "more"]]}),
        ("protocol.json", {"methods": "gat"}),
        ("protocol.json", {"methods": []}),
        ("protocol.json", {"conditions": []}),
        ("protocol.json", {"protocol": []}),
        ("environment.json", {"versions": 3}),
        ("protocol.json", {"conditions": "all"}),
        ("protocol.json", {"conditions": [["x", 0]]}),
        ("protocol.json", {"conditions": [[1, None]]}),
        ("protocol.json", {"conditions": None}),
        ("benchmark.json", {"kind": {}}),
    ],
    ids=str,
)
def test_a_value_of_another_kind(name: str, changes: dict, folder: Path, capsys) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    if "kind" in changes:  # what goes on with an unfinished one is named by it
        shutil.rmtree(folder / "scores")
        (folder / "scores").mkdir()
        (folder / "results.csv").unlink()
    assert summary(folder) == 2
    error = capsys.readouterr().err
    assert str(folder) in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("results.csv", "gat,npmi,own", "gat,npmi,nix"),
        ("results.csv", ",0.5,", ",x,"),
        ("results.csv", "npmi,own,ignore,,1,", "npmi,own,ignore,,x,"),
        ("results.csv", "head,", "haed,"),
        ("results.csv", "\r\nlinear", "\r\nlinear,more"),
        ("results.csv", "linear", '"linear'),
        ("tuning.csv", "trial", "trail"),
        ("tuning.csv", "0.5", "x"),
        ("tuning.csv", ",1000,0,", ",1000,x,"),
    ],
)
def test_a_damaged_table(name: str, old: str, new: str, folder: Path, capsys) -> None:
    path = folder / name
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())
    assert summary(folder) == 2
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"names": np.array(["cat"])},
        {"targets": np.ones(3), "names": np.array(["a"]), "train_counts": np.ones(1)},
        {"targets": np.ones((3, 2)), "names": np.array(["a"]), "train_counts": np.ones(1)},
        {"targets": np.array([["a"]]), "names": np.array(["a"]), "train_counts": np.ones(1)},
    ],
    ids=lambda arrays: "-".join(arrays) + str(len(arrays)),
)
def test_targets_of_other_shapes(arrays: dict[str, np.ndarray], folder: Path, capsys) -> None:
    np.savez(folder / "targets.npz", **arrays)
    assert summary(folder) == 2
    assert "targets.npz" in capsys.readouterr().err


def test_scores_of_other_images(folder: Path, capsys) -> None:
    store = Store(folder)
    store.load()
    np.savez(store.scores_path(next(iter(store.runs))), logits=np.ones((13, 2), np.float32))
    assert summary(folder) == 2
    assert "scores (13, 2) for targets (12, 2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "logits", [np.ones(3), np.ones((12, 2), dtype=int), np.array([["a", "b"]] * 12)]
)
def test_scores_of_other_shapes(logits: np.ndarray, folder: Path) -> None:
    store = Store(folder)
    store.load()
    key = next(iter(store.runs))
    np.savez(store.scores_path(key), logits=logits)
    with pytest.raises(InputError, match=r"\.npz is damaged"):
        store.read_scores(key)

"""Runs with similar names keep separate scores, in old folders too."""

from pathlib import Path

import numpy as np
import pytest

from gatlabel.errors import InputError
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.records import Run, RunKey, score_name
from gatlabel.experiments.store import Store

ALL = Condition()
ALIKE: list[RunKey] = [
    (Method("gat", "a/b.json"), ALL, 0),
    (Method("gat", "a+b.json"), ALL, 0),
    (Method("gat", r"a\b.json"), ALL, 0),
    (Method("gat", "A+b.json"), ALL, 0),  # one file on macOS and Windows
    (Method("gat", "npmi"), ALL, 0),
    (Method("gat", "npmi"), Condition(1 / 3), 0),
    (Method("gat", "npmi"), Condition(0.333333), 0),
    (Method("gat", "npmi"), Condition(1.0, 1 / 3), 0),
]


def begun(folder: Path) -> Store:
    store = Store(folder)
    store.begin({}, np.ones((2, 1), np.float32), ("cat",), np.ones(1, np.int64))
    return store


def test_runs_with_the_same_name_have_separate_scores(tmp_path: Path) -> None:
    store = begun(tmp_path)
    for number, key in enumerate(ALIKE):
        store.add_run(Run(*key, {}), np.full((2, 1), number, np.float32))
    again = Store(tmp_path)
    again.load()
    assert list(again.runs) == ALIKE
    assert [again.read_scores(key)[0, 0] for key in ALIKE] == list(range(len(ALIKE)))
    names = {path.name.lower() for path in (tmp_path / "scores").iterdir()}
    assert len(names) == len(ALIKE)


def test_plain_names_can_be_read() -> None:
    key = Method("gat", "npmi"), Condition(0.3, "single"), 2
    assert score_name(*key) == "gat~npmi~own~ignore~-~0.3~single~2.npz"
    key = Method("linear"), Condition(1, 0), 0
    assert score_name(*key) == "linear~-~own~ignore~-~1~0~0.npz"


def test_a_path_may_be_longer_than_the_name_of_a_file(tmp_path: Path) -> None:
    store = begun(tmp_path)
    keys = [(Method("gat", "x" * 300 + end), ALL, 0) for end in ("a.json", "b.json")]
    for number, key in enumerate(keys):
        store.add_run(Run(*key, {}), np.full((2, 1), number, np.float32))
    assert [store.read_scores(key)[0, 0] for key in keys] == [0, 1]
    again = Store(tmp_path)
    again.load()
    assert list(again.runs) == keys


def test_a_benchmark_that_is_running_keeps_others_out(tmp_path: Path) -> None:
    (tmp_path / ".gatlabel-0.json").write_text("{")  # of one that was killed
    store = Store(tmp_path)
    with store.locked():
        store.begin({}, np.ones((2, 1), np.float32), ("cat",), np.ones(1, np.int64))
        with pytest.raises(InputError, match="in use by another run"), Store(tmp_path).locked():
            pass
    assert {path.name for path in tmp_path.iterdir()} == {"benchmark.json", "targets.npz"}


def test_a_folder_of_other_things_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(InputError, match="not of a benchmark"), Store(tmp_path).locked():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]

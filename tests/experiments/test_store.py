"""Runs whose names are much alike keep their own scores, in old folders too."""

from pathlib import Path

import numpy as np
import pytest

from gatlabel.errors import InputError
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.score_names import old_score_name, score_name
from gatlabel.experiments.store import Run, RunKey, Store

ALL = Setting()
ALIKE: list[RunKey] = [
    (Contender("gat", "a/b.json"), ALL, 0),
    (Contender("gat", "a+b.json"), ALL, 0),
    (Contender("gat", r"a\b.json"), ALL, 0),
    (Contender("gat", "A+b.json"), ALL, 0),  # one file on macOS and Windows
    (Contender("gat", "npmi"), ALL, 0),
    (Contender("gat", "npmi"), Setting(1 / 3), 0),
    (Contender("gat", "npmi"), Setting(0.333333), 0),
    (Contender("gat", "npmi"), Setting(1.0, 1 / 3), 0),
]


def begun(folder: Path) -> Store:
    store = Store(folder)
    store.begin({}, np.ones((2, 1), np.float32), ("cat",), np.ones(1, np.int64))
    return store


def test_runs_that_are_named_alike_keep_scores_of_their_own(tmp_path: Path) -> None:
    store = begun(tmp_path)
    for number, key in enumerate(ALIKE):
        store.add_run(Run(*key, {}), np.full((2, 1), number, np.float32))
    again = Store(tmp_path)
    again.load()
    assert list(again.runs) == ALIKE
    assert [again.read_scores(key)[0, 0] for key in ALIKE] == list(range(len(ALIKE)))
    names = {path.name.lower() for path in (tmp_path / "scores").iterdir()}
    assert len(names) == len(ALIKE)


def test_plain_names_are_what_they_were() -> None:
    key = Contender("gat", "npmi"), Setting(0.3, "single"), 2
    assert score_name(*key) == old_score_name(*key) == "gat~npmi~own~ignore~-~0.3~single~2.npz"
    key = Contender("linear"), Setting(1, 0), 0
    assert score_name(*key) == "linear~-~own~ignore~-~1~0~0.npz"


def test_a_path_may_be_longer_than_the_name_of_a_file(tmp_path: Path) -> None:
    store = begun(tmp_path)
    keys = [(Contender("gat", "x" * 300 + end), ALL, 0) for end in ("a.json", "b.json")]
    for number, key in enumerate(keys):
        store.add_run(Run(*key, {}), np.full((2, 1), number, np.float32))
    assert [store.read_scores(key)[0, 0] for key in keys] == [0, 1]
    again = Store(tmp_path)
    again.load()
    assert list(again.runs) == keys


def written_by_an_older_version(folder: Path, *keys: RunKey) -> None:
    store = begun(folder)
    for number, key in enumerate(keys):
        store.add_run(Run(*key, {}), np.full((2, 1), number, np.float32))
        (folder / "scores" / score_name(*key)).replace(folder / "scores" / old_score_name(*key))


def test_scores_of_an_older_version_are_found_and_left_alone(tmp_path: Path) -> None:
    written_by_an_older_version(tmp_path, ALIKE[0], ALIKE[4])
    store = begun(tmp_path)
    assert list(store.runs) == [ALIKE[0], ALIKE[4]]
    store.add_run(Run(*ALIKE[1], {}), np.full((2, 1), 7, np.float32))
    again = Store(tmp_path)
    again.load()
    assert [again.read_scores(ALIKE[k])[0, 0] for k in (0, 4, 1)] == [0, 1, 7]


def test_scores_that_an_older_version_wrote_over_are_refused(tmp_path: Path) -> None:
    written_by_an_older_version(tmp_path, ALIKE[0], ALIKE[1])
    with pytest.raises(InputError, match=r"two runs \(gat · a/b.json and gat · a\+b.json\)"):
        Store(tmp_path).load()


def test_a_benchmark_that_is_running_keeps_others_out(tmp_path: Path) -> None:
    (tmp_path / ".gatlabel-0.json").write_text("{")  # of one that was killed
    store = Store(tmp_path)
    with store.hold():
        store.begin({}, np.ones((2, 1), np.float32), ("cat",), np.ones(1, np.int64))
        with pytest.raises(InputError, match="in use by another run"), Store(tmp_path).hold():
            pass
    assert {path.name for path in tmp_path.iterdir()} == {"benchmark.json", "targets.npz"}


def test_a_folder_of_other_things_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(InputError, match="holds no benchmark"), Store(tmp_path).hold():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]

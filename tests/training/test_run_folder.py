"""Where a run goes, and that it never goes where another one is."""

from pathlib import Path

import pytest

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.training import TrainConfig
from gatlabel.training.run_folder import RunFolder

COUNTS = Cooccurrence.from_targets([[1, 1], [0, 1]], ["cat", "dog"])


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda pattern: "20260101-000000")
    configs = [TrainConfig(graph=graph) for graph in ("npmi", "lift", "complete")]
    folders = [RunFolder.choose(config) for config in configs]  # all before any has begun
    for config, folder in zip(configs, folders, strict=True):
        folder.begin(config, COUNTS, COUNTS.graph("complete"))
    assert [folder.read_config().graph for folder in folders] == ["npmi", "lift", "complete"]
    name = "20260101-000000-scenes-gat-0"
    assert {f.path.name for f in folders} == {name, f"{name}-2", f"{name}-3"}
    assert folders[2].last.is_relative_to(Path("runs") / f"{name}-3")


def test_a_named_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    config = TrainConfig(output=tmp_path / "run")
    folder = RunFolder.choose(config)
    folder.begin(config, COUNTS, COUNTS.graph("complete"))
    assert folder.path == tmp_path / "run"
    (tmp_path / "file").write_text("")
    config = TrainConfig(output=tmp_path / "file" / "run")
    with pytest.raises(InputError, match="cannot make the run folder"):
        RunFolder.choose(config).begin(config, COUNTS, COUNTS.graph("complete"))

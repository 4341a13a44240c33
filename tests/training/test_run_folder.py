"""Where a run goes, and that it never goes where another one is."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from gatlabel.engine.launchers import refuse_several_processes
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.training import TrainConfig
from gatlabel.training.run_folder import RunFolder
from gatlabel.training.run_opening import new_run

COUNTS = Cooccurrence.from_targets([[1, 1], [0, 1]], ["cat", "dog"])


def begin(folder: RunFolder, config: TrainConfig) -> None:
    folder.begin(config, COUNTS, COUNTS.graph("complete"))


def silent(line: str) -> None:
    pass


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda pattern: "20260101-000000")
    configs = [
        TrainConfig().with_options({"graph": graph}) for graph in ("npmi", "lift", "complete")
    ]
    with ExitStack() as stack:
        folders = [
            stack.enter_context(new_run(config.run, "scenes-gat", silent)) for config in configs
        ]
        for config, folder in zip(configs, folders, strict=True):
            begin(folder, config)
    assert [folder.read_config().graph for folder in folders] == ["npmi", "lift", "complete"]
    name = "20260101-000000-scenes-gat-0"
    assert {f.path.name for f in folders} == {name, f"{name}-2", f"{name}-3"}
    assert folders[2].last.is_relative_to(Path("runs") / f"{name}-3")


def test_a_named_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    config = TrainConfig().with_options({"run.output": tmp_path / "run"})
    with new_run(config.run, "scenes-gat", silent) as folder:
        begin(folder, config)
    assert folder.path == tmp_path / "run"
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "file is a file: give a folder"),
        ("file/run", "cannot create the run folder .*file/run: Not a directory"),
        ("x" * 256, "cannot create the run folder .*x: File name too long"),
        ("a\0b", "output=.*contains a NUL character"),
    ],
)
def test_what_can_be_no_folder_is_named(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(InputError, match=message),
        new_run(TrainConfig().with_options({"run.output": tmp_path / name}).run, "x", silent),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_fails_before_it_begins_leaves_no_folder(tmp_path: Path) -> None:
    config = TrainConfig().with_options({"run.output": tmp_path / "runs" / "a"})
    with new_run(config.run, "scenes-gat", silent):
        assert (tmp_path / "runs" / "a").is_dir()
    assert not list(tmp_path.iterdir())
    (tmp_path / "runs" / "a").mkdir(parents=True)  # one that stood there stays
    with new_run(config.run, "scenes-gat", silent):
        pass
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["a"]


def test_files_of_a_run_killed_before_its_start_are_no_obstacle(tmp_path: Path) -> None:
    left = (".lock", ".gatlabel-0123abcd.json", "labels.json", "counts.json")
    for name in left:
        (tmp_path / name).write_text("[")
    (tmp_path / "checkpoints").mkdir()
    config = TrainConfig().with_options({"run.output": tmp_path})
    with new_run(config.run, "scenes-gat", silent) as folder:
        assert folder.path == tmp_path
        begin(folder, config)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(InputError, match="not empty"), new_run(config.run, "scenes-gat", silent):
        pass


def test_a_folder_that_was_removed_is_named_and_does_not_come_back(tmp_path: Path) -> None:
    import shutil

    config = TrainConfig().with_options({"run.output": tmp_path / "run"})
    with new_run(config.run, "scenes-gat", silent) as folder:
        begin(folder, config)
        shutil.rmtree(folder.path)
        with pytest.raises(InputError, match="run was removed during the run"):
            folder.write_curves([{"epoch": 0}])
        with pytest.raises(InputError, match="was removed"):
            folder.finish()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("environment", "refused"),
    [
        ({"WORLD_SIZE": "4", "RANK": "1"}, "WORLD_SIZE=4"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_SIZE=2"),
        ({"PMI_SIZE": "2"}, "PMI_SIZE=2"),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8"}, "SLURM_STEP_NUM_TASKS=8"),
        ({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}, ""),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, ""),  # sbatch, without srun
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"}, ""),
        ({"WORLD_SIZE": ""}, ""),
    ],
)
def test_one_of_several_processes_is_refused(
    environment: dict[str, str], refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if not refused:
        refuse_several_processes()
        return
    with pytest.raises(InputError, match=f"{refused}: several processes"):
        refuse_several_processes()

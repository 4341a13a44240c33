"""Commands on paths that are missing, of another kind, endless, too long or of no text."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatlabel.cli import main
from gatlabel.graph import Cooccurrence

# not writable however mighty the user is, and no device that a mistake would replace
NOWHERE = Path("/proc/self/nowhere")


@pytest.fixture(autouse=True)
def _no_hanging() -> Iterator[None]:
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("still waiting"))
    signal.alarm(120)
    yield
    signal.alarm(0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with counts and a graph, and with files that are not runs, images or data."""
    home = tmp_path_factory.mktemp("home")
    counts = Cooccurrence.from_targets(
        [[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1]], ["a", "b", "c"]
    )
    counts.save(home / "counts.json")
    counts.graph("conditional").save(home / "graph.json")
    (home / "empty").mkdir()
    (home / "file").write_text("x")
    (home / "loop").symlink_to(home / "loop")
    for name in ("pipe", "pipe.json", "pipe.png", "pipe.csv"):
        os.mkfifo(home / name)
    return home


PATHS = {
    "missing": "none",
    "empty folder": "empty",
    "file": "file",
    "below a file": "file/below",
    "loop": "loop",
    "pipe": "pipe",
    "json pipe": "pipe.json",
    "image pipe": "pipe.png",
    "csv pipe": "pipe.csv",
    "long": "x" * 300,
    "longer": "x/" * 3000,
    "not UTF-8": os.fsdecode(b"caf\xe9"),
    "half a pair": "a\ud800",
    "device": "/dev/zero",
    "escape": "a\x1b[31m\n",
}
COMMANDS = (
    "predict {path} file",
    "evaluate {path}",
    "explain {path}",
    "export {path} --output out",
    "graph show {path}",
    "graph build {path} out.json",
    "graph compare {path}",
    "graph compare graph.json {path}",
    "graph build counts.json out.json --graph knn:vectors={path}",
    "benchmark summary {path} --output out",
    "train --resume {path}",
    "train --config {path}",
    "train --data csv --root {path} --output out",
    "train --data voc --root {path} --output out",
    "train --data csv --root empty --data.annotations {path} --output out",
    "train --data json --root empty --data.annotations {path} --output out",
    "train --data coco --root empty --data.train-set {path} --output out",
)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_read(command: str, path: str, home: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(home)
    before = sorted(home.iterdir())
    words = [word.replace("{path}", path) for word in command.split()]
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert "\x1b" not in out + err
    assert [line.startswith("gatlabel: ") for line in err.splitlines()].count(True) == 1
    assert err.splitlines()[-1].startswith("gatlabel: ")
    assert sorted(home.iterdir()) == before


OUTPUTS = {
    "folder": "empty",
    "below a file": "file/out.png",
    "pipe": "pipe.png",
    "device": "/dev/null",
    "loop": "loop/out.png",
    "nowhere": str(NOWHERE / "out.png"),
    "long": "x" * 300 + ".png",
    "half a pair": "a\ud800.png",
}


@pytest.mark.parametrize("path", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize(
    "command",
    [
        "graph build counts.json {path}",
        "graph show graph.json --draw {path}",
        "graph compare graph.json graph.json --draw {path}",
        "evaluate run --output {path}",
        "explain run --output {path}",
        "explain run --draw {path}",
    ],
)
def test_what_cannot_be_written(command: str, path: str, home: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(home)
    assert main([word.replace("{path}", path) for word in command.split()]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("gatlabel: ")
    assert Path("/dev/null").is_char_device()
    assert (home / "pipe.png").is_fifo()
    assert not list((home / "empty").iterdir())


@pytest.mark.parametrize("words", [["show", "graph.json"], ["compare", "counts.json"]])
def test_a_drawing_of_no_format_is_refused_before_the_work(
    words, home, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(home)
    assert main(["graph", *words, "--draw", "graph.bmp"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "graph.bmp: use the suffix .png, .svg or .pdf" in printed.err


def test_names_that_are_not_utf8_are_files_like_others(home: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(home)
    odd = os.fsdecode(b"caf\xe9.json")
    assert main(["graph", "build", "counts.json", odd]) == 0
    assert main(["graph", "show", odd]) == 0
    assert main(["graph", "compare", odd, "graph.json"]) == 0
    assert "caf\\udce9" in capsys.readouterr().out
    Path(odd).unlink()


def test_a_run_and_its_images_may_be_in_folders_that_are_not_utf8(
    tiny_csv: Path, tmp_path: Path, capsys
) -> None:
    root, run = (tmp_path / os.fsdecode(name) for name in (b"d\xe4ta", b"r\xfcn"))
    tiny_csv.rename(root)
    words = ["train", "--data", "csv", "--root", str(root), "--output", str(run), "--epochs", "1"]
    words += ["--backbone", "mobilenet_v3_small", "--weights", "none", "--image-size", "32"]
    assert main([*words, "--no-progress"]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["explain", str(run)]) == 0
    capsys.readouterr()
    image = str(root / "images" / "3.png")
    assert main(["predict", str(run), image, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["source"] == image


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--graph random:seed=-1", "seed=-1: must be at least 0"),
        ("--graph npmi:top_k=0", "top_k=0: must be at least 1"),
        ("--graph npmi:min_support=-1", "min_support=-1: must be at least 1"),
        ("--graph npmi:threshold=1e300", "threshold=1e+300: must be at most 1"),
    ],
)
def test_numbers_out_of_range(words: str, message: str, home: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(home)
    assert main(["graph", "build", "counts.json", "built.json", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert not (home / "built.json").exists()

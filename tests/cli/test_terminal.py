"""Output of every command on a terminal of 80 columns, and through a pipe."""

import io
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from rich.cells import cell_len

from gatlabel.cli import COMMANDS, main
from gatlabel.cli.output import add_row, make_table, show, show_table
from gatlabel.graph import Cooccurrence
from gatlabel.printing import fitted, note
from tests.colours import write_colours

WIDTH = 80
NAME = "a-folder-with-a-name-that-is-rather-long-for-a-terminal-of-eighty-columns"
ENCODER = ("--backbone", "squeezenet1_1", "--weights", "none", "--image-size", "32")
#: Subcommands, and commands whose output is a script.
SUBCOMMANDS = {
    "graph": ("build", "show", "compare"),
    "benchmark": ("graphs", "heads", "methods", "summary"),
}
#: A colour code, or a control sequence of a progress bar.
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Stream(io.StringIO):
    """Standard output or error, as a terminal or a pipe."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Output:
    """What a command printed to both streams."""

    def __init__(self, code: object, out: str, err: str) -> None:
        self.code = code
        self.out, self.err = (ESCAPE.sub("", text) for text in (out, err))

    def lines(self) -> list[str]:
        text = self.out + self.err
        return re.split(r"[\n\r]", text)


def run(*words: object, terminal: bool = True) -> Output:
    streams = Stream(terminal=terminal), Stream(terminal=terminal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(WIDTH))
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        try:
            code: object = main(list(map(str, words)))
        except SystemExit as stop:
            code = stop.code
    return Output(code, streams[0].getvalue(), streams[1].getvalue())


def too_wide(output: Output) -> list[str]:
    """Lists the lines that are wider than the terminal, except for those of one path."""
    wide = [line for line in output.lines() if cell_len(line) > WIDTH]
    return [line for line in wide if " " in line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, and a run whose name is almost as long as a line."""
    folder = tmp_path_factory.mktemp("terminal")
    data = write_colours(folder / "data")
    rows = (data / "labels.csv").read_text().splitlines()
    kinds = ["image,split,labels,kind", *(f"{row},{'ab'[k % 2]}" for k, row in enumerate(rows[1:]))]
    (data / "kinds.csv").write_text("\n".join(kinds) + "\n")
    for k in range(3):
        (folder / NAME).mkdir(exist_ok=True)
        Image.new("RGB", (40, 32), (70 * k, 90, 90)).save(folder / NAME / f"image-{k}.png")
    words = ("train", "--recipe", "plain", "--data", "csv", "--root", data, *ENCODER)
    words = (*words, "--epochs", "2", "--batch-size", "8", "--folds", "2", "--no-progress")
    trained = run(*words, "--head.hidden", "8", "--output", folder / NAME / "run")
    assert trained.code == 0
    assert too_wide(trained) == []
    assert "report:" in trained.out
    return folder


def commands(folder: Path) -> Iterator[tuple[object, ...]]:
    """Yields one command line per kind of output."""
    data, own, out = folder / "data", folder / NAME / "run", folder / "out"
    images = sorted((folder / NAME).glob("*.png"))
    given = ("--data", "csv", "--root", data)
    frozen = (*given, *ENCODER, "--images.cache-folder", folder / "cache", "--no-progress")
    quick = (*frozen, "--seeds", "1", "--trials", "1", "--workers", "1", "--frozen-epochs", "1")
    graphs = ("--heads", "gat:hidden=8", "--graphs", "conditional:top_k=1")
    edges = (*("--draw", out / "edges.svg"), *("--label", "red"))
    few = ("--shots", "1,2", "--episodes", "2", "--split", "val", "--similarity", "none")
    tasks = ("--task", "things=labels:labels", "--task", "kind=class:kind")
    several = (*given, *("--data.annotations", data / "kinds.csv"), *ENCODER, "--no-progress")
    yield from (
        ("evaluate", own),
        ("decide", own, "--aim", "miss-rate=0.1", "--confidence", "0.9"),
        ("predict", own, *images, folder / "missing.png"),
        ("explain", own, images[0]),
        ("explain", own, "--edges", "2", *edges),
        ("export", own, "--format", "pt2", "--output", folder / NAME / "bundle"),
        ("graph", "build", own, out / "graph.json", "--graph", "npmi:top_k=2"),
        ("graph", "show", own),
        ("graph", "compare", own),
        ("fewshot", own, "--novel", "red", *few),
        ("extend", own, "--label", "violet", "--output", out / "more", "--images", *images),
        ("suggest", own, folder / NAME, "--count", "5"),
        ("suggest", own, data, "--count", "5", "--by", "images"),
        ("train", *several, *tasks, "--epochs", "1", "--output", out / "tasks"),
        ("evaluate", out / "tasks"),
        ("predict", out / "tasks", *images),
        ("train", "--resume", own),
        ("benchmark", "graphs", *quick, *graphs, "--output", folder / NAME / "first"),
    )
    shutil.copytree(folder / NAME / "first", folder / NAME / "second")
    both = (folder / NAME / "first", folder / NAME / "second")
    yield ("benchmark", "summary", *both, "--output", out / "summary")


def test_every_command_fits_the_terminal(folder: Path) -> None:
    found = {}
    for words in commands(folder):
        output = run(*words)
        assert output.code == 0, output.err
        found[words] = too_wide(output)
    assert {words: lines for words, lines in found.items() if lines} == {}
    tested = {words[0] for words in found}
    assert tested == set(COMMANDS) - {"pretrain", "completion"}  # one line, and a script


def test_every_error_fits_the_terminal(folder: Path) -> None:
    wrong: list[tuple[object, ...]] = [
        ("evaluate", folder / NAME / "run", "--split", "tset"),
        ("train", "--hed", "gat"),
        ("predict", folder / NAME, "image.png"),
        ("graph", "show", folder / NAME / "run.txt"),
    ]
    for words in wrong:
        output = run(*words)
        assert output.code == 2
        assert too_wide(output) == []
        piped = run(*words, terminal=False)
        assert piped.err.count("\n") == 1
        assert " ".join(output.err.split()) == " ".join(piped.err.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_the_terminal_and_lists_the_options_of_every_command(command: str) -> None:
    assert too_wide(run(command, "--help")) == []
    for words in [(command, name) for name in SUBCOMMANDS.get(command, ())] or [(command,)]:
        output = run(*words, "--help")
        assert output.code == 0
        assert too_wide(output) == []
        for option in ("--quiet", "--verbose", "--debug"):
            assert re.search(rf"^  {option} ", output.out, re.MULTILINE), words


def test_a_pipe_gets_whole_lines(folder: Path) -> None:
    own, image = folder / NAME / "run", folder / NAME / "image-0.png"
    piped = run("evaluate", own, terminal=False).out.splitlines()
    assert piped[0] == f"{own} on val"
    wrapped = run("evaluate", own).out
    assert any(len(line) > WIDTH for line in piped[1:])
    assert " ".join(wrapped.split()) == " ".join(" ".join(piped).split())
    line = run("predict", own, image, "--format", "table", terminal=False).out
    assert line.startswith(f"{image}  ")
    assert line.count("\n") == 1


def test_quiet_and_verbose_before_and_after_the_command(folder: Path) -> None:
    own = folder / NAME / "run"
    build = ("graph", "build", own, folder / "graph.json")
    for words in ((*build, "--verbose"), ("--verbose", *build), ("graph", "--verbose", *build[1:])):
        assert "done in" in run(*words).err
    train = ("train", "--data", "csv", "--root", folder / "data", *ENCODER, "--head", "ridge")
    train = (*train, "--epochs", "0", "--freeze", "encoder")
    train = (*train, "--images.cache-folder", folder / "cache")
    for place, words in enumerate((("--quiet", *train), (*train, "--quiet"))):
        quiet = run(*words, "--output", folder / f"quiet-{place}", terminal=False)
        assert quiet.code == 0
        assert quiet.err == ""
        assert "mAP" in quiet.out


def test_a_line_is_wrapped_at_blanks_and_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("gatlabel.printing.on_terminal", lambda stream: True)
    path = "/a/path/that/is/longer/than/the/whole/terminal/x.png"
    assert fitted("short", "stdout") == "short"
    assert fitted(f"the report {path} is there", "stdout") == f"the report\n  {path}\n  is there"
    assert fitted(f"{path}  red 0.85, blue 0.71", "stdout") == f"{path}\n  red 0.85, blue 0.71"
    lines = fitted("  " + "some-hyphenated words " * 5, "stderr").split("\n")
    assert all(len(line) <= 40 for line in lines)
    assert [line[:4] == "    " for line in lines[1:]] == [True] * (len(lines) - 1)
    assert set(" ".join(lines).split()) == {"some-hyphenated", "words"}


def test_a_table_that_is_too_wide_is_stacked(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    def printed() -> str:
        table = make_table(("image", "label", "probability"), f"images of {NAME}", left=2)
        add_row(table, f"{NAME}.png", "dining table", "0.25")
        show_table(table)
        return ESCAPE.sub("", capsys.readouterr().out)

    monkeypatch.setenv("COLUMNS", "60")
    assert f"│ {NAME}.png │ dining table │        0.25 │" in printed()
    monkeypatch.setattr("gatlabel.cli.output.on_terminal", lambda stream: True)
    monkeypatch.setattr("gatlabel.printing.on_terminal", lambda stream: True)
    stacked = f"images of\n  {NAME}\n{NAME}.png\n  label dining table,  probability 0.25\n"
    assert printed() == stacked


def test_notes_and_results_are_wrapped(folder: Path) -> None:
    text = "word " * 40
    for function, stream in ((show, "stdout"), (note, "stderr")):
        output = Stream(terminal=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", str(WIDTH))
            patch.setattr(sys, stream, output)
            function(text)
        assert max(map(len, output.getvalue().split("\n"))) <= WIDTH


def test_graphs_are_compared_as_markdown_in_a_pipe(tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    Cooccurrence.from_targets([[1, 1, 0], [0, 1, 1]], ["cat", "dog", "cow"]).save(counts)
    assert run("graph", "compare", counts, terminal=False).out.startswith("| graph ")
    assert "isolated 3 of 3" in run("graph", "compare", counts).out

"""Names in data, runs and folders of others do nothing to the terminal, the report or a table."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from gatlabel.cli import main
from gatlabel.experiments.store import Store
from gatlabel.graph import LabelGraph
from gatlabel.graph.drawing import MissingGlyphsWarning, draw_graphs

# the writing direction, no width, markup of consoles and pages, formulas, maths; a name of a label
# cannot hold control characters, but those of files, folders and data sets can
LABELS = [
    "red\u202eder", "\u2066blue\u2069", "[bold]\u200bx", "=cmd()!A0", "$x_{", "<b>&", ":cat:",
]  # fmt: skip
ODD = "\x1b]0;title\x07\u202e[red]"
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
ENCODER = ("--backbone", "mobilenet_v3_small", "--weights", "none", "--image-size", "32")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and a run on them, whose labels, files and folders have such names."""
    home = tmp_path_factory.mktemp("home")
    root = home / f"data{ODD}"
    root.mkdir()
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "split", "labels"])
        for k in range(21):
            name = f"{k}{ODD}.png"
            Image.new("RGB", (32, 32), (11 * k, 250 - 11 * k, 77)).save(root / name)
            shown = [label for place, label in enumerate(LABELS) if (k * 5 + place) % 7 < 3]
            writer.writerow([name, "train" if k < 14 else "val", "|".join(shown)])
    words = ["train", "--data", "csv", "--root", str(root), "--output", str(home / f"run{ODD}")]
    words += [*ENCODER, "--epochs", "1", "--batch-size", "7", "--head.hidden", "8", "--no-progress"]
    assert main(words) == 0
    return home


Words = Callable[[Path, Path, list[str], Path], list[object]]
OUTPUTS: dict[str, tuple[Words, int]] = {
    "train": (
        lambda root, run, images, out: [
            *("train", "--data", "csv", "--root", root, "--output", out / f"r{ODD}", *ENCODER),
            *("--epochs", "1", "--no-progress", "--graph", "npmi:top_k=1"),
        ],
        0,
    ),
    "evaluate": (lambda root, run, images, out: ["evaluate", run], 0),
    "evaluate, json": (lambda root, run, images, out: ["evaluate", run, "--json"], 0),
    "predict": (lambda root, run, images, out: ["predict", run, *images], 0),
    "predict, json": (lambda root, run, images, out: ["predict", run, *images, "--json"], 0),
    "predict, bad": (lambda root, run, images, out: ["predict", run, out / f"bad{ODD}.png"], 2),
    "predict, skip": (
        lambda root, run, images, out: [
            *("predict", run, out / f"bad{ODD}.png", images[0], "--on-error", "skip"),
        ],
        0,
    ),
    "predict, none": (lambda root, run, images, out: ["predict", f"no{ODD}", images[0]], 2),
    "explain": (
        lambda root, run, images, out: [
            *("explain", run, "--output", out / "edges.csv", "--draw", out / "edges.svg"),
        ],
        0,
    ),
    "explain, label": (lambda root, run, images, out: ["explain", run, "--label", LABELS[0]], 0),
    "explain, none": (lambda root, run, images, out: ["explain", run, "--label", f"re{ODD}"], 2),
    "graph show": (
        lambda root, run, images, out: ["graph", "show", run, "--draw", out / "graph.png"],
        0,
    ),
    "graph build": (
        lambda root, run, images, out: ["graph", "build", root, out / f"g{ODD}.json"],
        0,
    ),
    "graph compare": (
        lambda root, run, images, out: ["graph", "compare", out / f"h{ODD}\n|.json", run],
        0,
    ),
    "option": (lambda root, run, images, out: ["train", f"--bac{ODD}", "x"], 2),
    "value": (lambda root, run, images, out: ["train", "--epochs", ODD], 2),
    "command": (lambda root, run, images, out: [f"train{ODD}"], 2),
}


@pytest.mark.parametrize(("words", "code"), OUTPUTS.values(), ids=OUTPUTS)
def test_nothing_reaches_the_terminal(
    words: Words, code: int, home: Path, tmp_path: Path, capsys
) -> None:
    root, run = home / f"data{ODD}", home / f"run{ODD}"
    shutil.copy(run / "graph.json", tmp_path / f"h{ODD}\n|.json")
    (tmp_path / f"bad{ODD}.png").write_bytes(b"no image")
    images = sorted(str(path) for path in root.glob("*.png"))[:2]
    assert main(list(map(str, words(root, run, images, tmp_path)))) == code
    out, err = capsys.readouterr()
    assert not UNSAFE.search(out + err)
    assert "Traceback" not in err
    assert "\N{CAT}" not in out  # :cat: stays what it is
    if code == 2:
        assert err.count("\n") == 1
        assert "\\" in err


def test_json_keeps_the_names(home: Path, capsys) -> None:
    image = next((home / f"data{ODD}").glob("*.png"))
    assert main(["predict", str(home / f"run{ODD}"), str(image), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["source"] == str(image)
    assert set(found["probabilities"]) == set(LABELS)


def test_the_report_has_no_control_characters(home: Path) -> None:
    page = (home / f"run{ODD}" / "report.html").read_text(encoding="utf-8")
    assert not UNSAFE.search(page)
    tags: set[str] = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.add(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert "b>&" not in tags
    assert "=cmd" in page


def test_tables_hold_no_formulas(home: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "edges.csv"
    assert main(["explain", str(home / f"run{ODD}"), "--output", str(path)]) == 0
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert {row[0] for row in rows[1:]} == {
        r"red\u202eder", r"\u2066blue\u2069", r"[bold]\u200bx", "'=cmd()!A0", "$x_{", "<b>&",
        ":cat:",
    }  # fmt: skip
    assert all(float(cell) == float(cell) for row in rows[1:] for cell in row[2:])


def test_a_benchmark_and_its_summary(home: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    graph = tmp_path / "=1+1.json"
    shutil.copy(home / f"run{ODD}" / "graph.json", graph)
    out = tmp_path / f"out{ODD}"
    words = ["benchmark", "graphs", "--data", "csv", "--root", str(home / f"data{ODD}")]
    words += ["--output", str(out), "--images.cache-folder", str(tmp_path / "cache"), *ENCODER]
    words += [
        "--seeds",
        "1",
        "--trials",
        "2",
        "--tuning-seeds",
        "1",
        "--workers",
        "1",
    ]
    words += ["--heads", "gat:hidden=8", "--no-progress", "--frozen-epochs", "1", "--graphs"]
    monkeypatch.chdir(tmp_path)  # so that the name of a graph begins with =
    assert main([*words, graph.name]) == 0
    summary = [
        "benchmark",
        "summary",
        str(out),
        "--output",
        str(tmp_path / "s"),
        "--no-progress",
    ]
    assert main(summary) == 0
    printed = capsys.readouterr()
    assert not UNSAFE.search(printed.out + printed.err)
    for page in (out / "report.html", tmp_path / "s" / "report.html", out / "table.md"):
        assert not UNSAFE.search(page.read_text(encoding="utf-8"))
    for table in (out / "results.csv", out / "tuning.csv", tmp_path / "s" / "comparisons.csv"):
        text = table.read_text(encoding="utf-8")
        assert not UNSAFE.search(text)
        assert not re.search(r"(^|[,\"])[=@]", text, re.MULTILINE)
    store = Store(out)
    store.load()
    assert {key[0].graph for key in store.runs} == {"", "=1+1.json"}  # as it was given
    assert main([*words, graph.name]) == 0  # and gone on with
    assert "runs already exist" in capsys.readouterr().err


def test_drawings_show_names_as_text(tmp_path: Path) -> None:
    names = ["$x_{", "\u200b", "\u202eb", r"\frac"]
    graph = LabelGraph.from_edges([(names[0], names[1], 1.0)], names)
    path = tmp_path / "graph.svg"
    draw_graphs({"$\\bad{ \x1b title\nof two lines": graph}, path)
    assert path.stat().st_size > 1000


def test_many_graphs_are_drawn_as_wide_as_can_be(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gatlabel.graph.drawing._WIDEST", 700)
    graph = LabelGraph.from_edges([("a", "b", 1.0)], ["a", "b"])
    draw_graphs({str(k): graph for k in range(3)}, tmp_path / "graphs.png")
    with Image.open(tmp_path / "graphs.png") as image:
        assert 690 < image.width <= 700


def test_characters_missing_in_a_font_are_reported_once(tmp_path: Path) -> None:
    graph = LabelGraph.from_edges([("猫", "狗", 1.0)], ["猫", "狗", "cat"])
    with pytest.warns(
        MissingGlyphsWarning, match=r"lacks 2 characters of the names \(狗猫\)"
    ) as all_:
        draw_graphs({"a": graph}, tmp_path / "graph.png")
    assert len(all_) == 1

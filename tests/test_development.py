"""The examples of docs/development.md join the common testers, as the page says.

Its code is executed here, and the test classes in it are collected by pytest. Then each example is
put where the page says, into a copy of the package: two files, one of them the test, and a name in
the dictionary; the command line has it with its options.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gatlabel

PAGE = Path(__file__).resolve().parent.parent / "docs" / "development.md"
SECTIONS = ("Add a head", "Add a loss", "Add a graph variant", "Add a reader")


def blocks_of(section: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def defines(code: str) -> bool:
    return bool(re.search(r"^(@dataclass.*\n)?(class|def) ", code, re.MULTILINE))


found: dict[str, object] = {"__name__": __name__}
for title in SECTIONS:
    for block in filter(defines, blocks_of(title)):  # not the examples, which write files
        exec(compile(block, str(PAGE), "exec"), found)
globals().update({name: value for name, value in found.items() if name.startswith("Test")})


def test_each_example_has_its_test() -> None:
    joined = {name for name in found if name.startswith("Test")}
    assert joined == {"TestMeanHead", "TestBrierLoss", "TestJaccard", "TestReadLines"}


def added(place: Path, imported: str, dictionary: str, line: str) -> None:
    """Adds a name to a dictionary, and its import."""
    text = place.read_text(encoding="utf-8")
    text = text.replace("from __future__ import annotations\n", f"\\g<0>{imported}\n", 1).replace(
        "\\g<0>", "from __future__ import annotations\n\n"
    )
    opened = re.search(rf"^{dictionary}: .* = \{{$", text, re.MULTILINE)
    assert opened is not None, f"{place} has no dictionary {dictionary}"
    place.write_text(text[: opened.end()] + f"\n    {line}," + text[opened.end() :], "utf-8")


def program_of(section: str) -> str:
    return next(filter(defines, blocks_of(section)))


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the four examples, each in a file of its own."""
    root = tmp_path_factory.mktemp("extended")
    package = root / "gatlabel"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(gatlabel.__file__).parent, package, ignore=ignored)
    for section, file, table, imported, dictionary, line in (
        ("Add a head", "nn/heads/mean.py", "nn/heads/table.py",
         "from gatlabel.nn.heads.mean import MeanHead", "HEADS", '"mean": MeanHead'),
        ("Add a loss", "losses/brier.py", "losses/table.py",
         "from gatlabel.losses.brier import BrierLoss", "LOSSES", '"brier": BrierLoss'),
        ("Add a reader", "data/lines_reader.py", "data/readers.py",
         "from gatlabel.data.lines_reader import read_lines", "READERS", '"lines": read_lines'),
        ("Add a graph variant", "graph/jaccard.py", "graph/variants.py",
         "from gatlabel.graph.jaccard import Jaccard", "VARIANTS", '"jaccard": Jaccard'),
    ):  # fmt: skip
        (package / file).write_text(program_of(section), encoding="utf-8")
        added(package / table, imported, dictionary, line)
    return root


def run(root: Path, *words: str) -> str:
    code = "import sys; from gatlabel.cli import main; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    result = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True, text=True, env=environment, cwd=root, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_the_command_line_has_each_with_its_options(extended: Path) -> None:
    given = {
        "head": {"name": "mean", "share": 0.5},
        "loss": {"name": "brier", "power": 3.0},
        "data": {"name": "lines", "file": "list.txt"},
    }
    words = ["--graph", "jaccard:threshold=0.2", "--data.root", "photos"]
    for group, options in given.items():
        words += [f"--{group}", str(options["name"])]
        words += [w for k, v in options.items() if k != "name" for w in (f"--{group}.{k}", str(v))]
    config = yaml.safe_load(run(extended, "train", *words, "--print-config"))
    assert config["graph"] == "jaccard:threshold=0.2"
    for group, options in given.items():
        assert {name: config[group][name] for name in options} == options
    assert "Exponent of the error." in run(extended, "train", "--help", "loss")
    assert "Initial value of s." in run(extended, "train", "--help", "head")


def test_help_still_needs_no_torch(extended: Path) -> None:
    code = (
        "import sys; import gatlabel.training.parts; "
        "assert not {'torch', 'numpy'} & sys.modules.keys()"
    )
    environment = {**os.environ, "PYTHONPATH": str(extended)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=extended)


@pytest.mark.slow
def test_one_run_trains_with_all_four(extended: Path, tiny_csv: Path, tmp_path: Path) -> None:
    rows = [line.split(",") for line in (tiny_csv / "labels.csv").read_text().splitlines()[1:]]
    lines = [f"{image} {labels.replace('|', ' ')}\n" for image, _, labels in rows]
    (tiny_csv / "labels.txt").write_text("".join(lines))
    quick = "--encoder.backbone shufflenet_v2_x0_5 --weights none --image-size 32 --epochs 1"
    four = "--head mean --loss brier --data lines --graph jaccard"
    output = tmp_path / "run"
    run(
        extended, "train", "--recipe", "plain", *four.split(), *quick.split(),
        *("--root", str(tiny_csv), "--output", str(output), "--workers", "0"),
    )  # fmt: skip
    assert yaml.safe_load((output / "config.yaml").read_text())["loss"]["name"] == "brier"
    assert (output / "model.safetensors").is_file()

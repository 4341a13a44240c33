"""How soon is there a first model? What ``gatlabel train`` takes until it prints one.

    python benchmarks/studies/first_model.py --root ../shared/data

Counted are processor seconds of one thread, from the end of start-up (everything is imported, and
one run was made before) to the line with the first model's validation figures. They are divided
by those of one pass of the same encoder over the same training and validation images at the same
resolution, in a plain loop of its own. Both are repeated, interleaved. A second `train` with
another head, and a third with another graph, on the features that the first one kept, are counted
to their ends. Scenes are image files, drawn beforehand. Written to
benchmarks/results/first_model.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import torch
from peer_study.clock import Clock, limit_threads
from peer_study.sets import SCENES, SEED, draw_scenes
from torch import nn

import gatlabel.training.run  # noqa: F401 - start-up is not counted
from gatlabel.cli import main as main_of_the_command_line
from gatlabel.data import ImageDataset, ImageSource
from gatlabel.encoders import Preprocessing
from gatlabel.files import write_json
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.data import read_data
from gatlabel.training.run_folder import RunFolder

RESULTS = Path(__file__).resolve().parents[1] / "results" / "first_model.json"
SIZE = 160
SETS = ("voc2007-part", "coco-part", "scenes")


class Watched(io.StringIO):
    """Output that notes when the figures of the first model pass."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.seconds = float("nan")

    def write(self, text: str) -> int:
        """Takes a text."""
        if "first model" in text:
            self.seconds = self.clock.seconds
        return super().write(text)


def run(place: Path, *options: str) -> tuple[float, float]:
    """Runs ``gatlabel train`` in this process, in the current folder.

    Args:
        place: The folder of the set.
        options: Further words of the command.

    Returns:
        Processor seconds until the first model's figures were printed, and until the end.
    """
    words = ["train", "--output", "run", "--overwrite", "true", "--progress", "false"]
    words += ["--image-size", str(SIZE), "--epochs", "0", *options]
    words += ["--data", "csv", "--root", str(place), "--data.annotations", "labels.csv"]
    words += ["--data.classes", str(place / "classes.txt")]
    watched = Watched()
    with contextlib.redirect_stdout(watched), contextlib.redirect_stderr(watched):
        code = main_of_the_command_line(words)
    if code:
        raise SystemExit(f"gatlabel {' '.join(words)} ended with {code}")
    return watched.seconds, watched.clock.seconds


@torch.inference_mode()
def seconds_of_a_pass(encoder: nn.Module, sources: list[ImageSource], size: int) -> float:
    """Processor seconds of decoding, resizing and encoding all images once."""
    clock = Clock()
    for source in sources:
        images = ImageDataset(source, Preprocessing(size).transform())
        for at in range(0, len(images), 32):
            rows = range(at, min(at + 32, len(images)))
            batch = torch.stack([images[row][0] for row in rows])
            encoder(encoder.normalize(batch).contiguous(memory_format=torch.channels_last))  # type: ignore[operator]
    return clock.seconds


def measure(data: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Measures one set."""
    first, passes, heads, graphs = [], [], [], []
    for _ in range(repeats + 1):  # the first warms up: imports, torch's own preparations
        # features are kept below the current folder
        with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
            first.append(run(folder)[0])
            model = MultiLabelClassifier.from_pretrained("run")
            splits = read_data(RunFolder(Path("run")).read_config())
            sources = [splits.train, splits.val]
            passes.append(seconds_of_a_pass(model.encoder.eval(), sources, SIZE))
            heads.append(run(folder, "--head", "linear")[1])
            graphs.append(run(folder, "--graph", "npmi")[1])
    images = sum(map(len, sources))
    first, passes, heads, graphs = first[1:], passes[1:], heads[1:], graphs[1:]
    row = {"set": data, "images": images, "px": SIZE, "first model": first, "pass": passes}
    ratio = statistics.median(a / b for a, b in zip(first, passes, strict=True))
    row |= {"ratio": round(ratio, 3), "another head": heads, "another graph": graphs}
    print(f"{data}: {images} images, {SIZE} px, first model {ratio:.2f} of a pass, ", end="")
    print(f"another head on kept features {statistics.median(heads):.1f} s, ", end="")
    print(f"another graph {statistics.median(graphs):.1f} s", flush=True)
    return row


def main() -> None:
    """Measures all sets that are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=SETS)
    options = parser.parse_args()
    limit_threads()
    options.root = options.root.resolve()
    with tempfile.TemporaryDirectory() as drawn:
        folders = {name: options.root / name for name in options.sets}
        if "scenes" in folders:
            folders["scenes"] = draw_scenes(Path(drawn) / "scenes", SEED, SCENES)
        there = {name: folder for name, folder in folders.items() if folder.is_dir()}
        rows = [measure(name, folder, options.repeats) for name, folder in there.items()]
    write_json(RESULTS, {"protocol": (__doc__ or "").split("\n\n", 1)[1], "sets": rows})


if __name__ == "__main__":
    main()

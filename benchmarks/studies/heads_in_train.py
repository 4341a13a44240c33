"""Does `gatlabel train` lose anything by its default head, gat, against linear?

    python benchmarks/studies/heads_in_train.py --root ../shared/data --out /elsewhere/heads
    python benchmarks/studies/heads_in_train.py --out /elsewhere/heads --figures

Every cell is one run of the command line: a set, a share of the labels that is known, a seed, and
a head, with the defaults of the recipe auto at 160 px, one thread. Frozen: ``--freeze encoder``.
End to end: six epochs for the encoder too, kept where the validation images say that they pay.
Training images are drawn by seed. Shares: *all* labels known; *15 %* of the training images have
labels, the others none; *quarter*: every label with a chance of 1/4 has no known target in
training. Judged on the test images of the set, the same for both heads of a seed. A finished cell
is a file below ``--out``; ``--figures`` writes benchmarks/results/heads-in-train.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # `python -m` starts elsewhere

import numpy as np
import torch
from numpy.typing import NDArray
from peer_study.comparing import Measured, holm, measure, pooled, subtract
from peer_study.sets import StudySet, read_set, write_table
from study import write_result

from gatlabel.cli import main as command_line
from gatlabel.data import FileImages
from gatlabel.inference import predict_logits
from gatlabel.labels import LabelSet
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.run_folder import RunFolder

IMAGES = {"voc2007-part": 500, "coco-part": 100, "scenes": 500}
SHARES = ("all", "15 %", "quarter")
HEADS = ("gat", "linear")
FROZEN = ("--freeze", "encoder")
END_TO_END = ("--freeze", "norms", "--epochs", "6")


@dataclass(frozen=True)
class Cell:
    """One run."""

    data: str
    mode: str
    share: str
    seed: int
    head: str

    def place(self, out: Path) -> Path:
        """Returns where its logits are kept."""
        share = self.share.replace(" %", "")
        return out / f"{self.data}~{self.mode}~{share}~{self.head}~{self.seed}.npy"


def unknown_entries(share: str, seed: int, images: int, labels: int) -> NDArray[np.bool_]:
    """Draws which training targets are unknown, ``(images, labels)``."""
    draw = np.random.default_rng([seed, 29])
    unknown = np.zeros((images, labels), bool)
    if share == "15 %":
        unknown[draw.permutation(images)[round(0.15 * images) :]] = True
    if share == "quarter":
        unknown[:, draw.random(labels) < 0.25] = True
    return unknown


def write_rows(data: StudySet, cell: Cell, folder: Path) -> list[str]:
    """Writes the annotations of a cell; returns the options that name them."""
    train, val = data.draw(IMAGES[cell.data], cell.seed)
    hidden = unknown_entries(cell.share, cell.seed, len(train), len(data.labels))
    rows = []
    for split, which in (("train", train), ("val", val)):
        for k, image in enumerate(which):
            row = hidden[k] if split == "train" else np.zeros(len(data.labels), bool)
            found = np.flatnonzero((data.present[image] == 1) & ~row)
            names = ["|".join(data.labels[i] for i in own) for own in (found, np.flatnonzero(row))]
            rows.append([data.names[image], split, *names])
    write_table(folder / "table.csv", ("image", "split", "labels", "unknown"), rows)
    (folder / "classes.txt").write_text("\n".join(data.labels) + "\n", encoding="utf-8")
    files = ["--data.annotations", str(folder / "table.csv")]
    return [*files, "--data.classes", str(folder / "classes.txt"), "--root", str(data.root)]


def run(data: StudySet, cell: Cell, out: Path) -> dict[str, Any]:
    """Runs a cell, keeps its logits, and returns what the run has chosen."""
    folder = out / "work"
    folder.mkdir(exist_ok=True)
    words = ["train", "--data", "csv", *write_rows(data, cell, folder), "--head", cell.head]
    words += ["--image-size", "160", "--seed", str(cell.seed), "--workers", "0"]
    words += ["--output", str(folder / "run"), "--overwrite", "true", "--progress", "false"]
    words += FROZEN if cell.mode == "frozen" else END_TO_END
    printed = io.StringIO()
    # features are kept below the current folder: the runs of a set share them
    with contextlib.redirect_stdout(printed), contextlib.chdir(out):
        code = command_line(words)
    if code:
        raise SystemExit(f"gatlabel {' '.join(words)} ended with {code}\n{printed.getvalue()}")
    model = MultiLabelClassifier.from_pretrained(folder / "run")
    names = [data.names[k] for k in data.test]
    source = FileImages(data.root, LabelSet(model.labels), names, data.present[data.test])
    logits = predict_logits(model, source).numpy()
    config = RunFolder(folder / "run").read_config()
    shutil.rmtree(folder)
    np.save(cell.place(out), logits)
    return {"epochs": config.run.epochs, "similarity": getattr(config.head, "similarity", None)}


def cells(mode: str, sets: list[str], seeds: int) -> list[Cell]:
    """Returns the cells, heads interleaved, seeds first."""
    shares = SHARES if mode == "frozen" else SHARES[:1]
    return [
        Cell(data, mode, share, seed, head)
        for seed in range(seeds)
        for data in sets
        for share in shares
        for head in (HEADS if seed % 2 else HEADS[::-1])
    ]


def judged(data: StudySet, share: str, seed: int, part: str) -> NDArray[np.float32]:
    """Returns test targets ``(N, L)``; of a part of the labels, the others are unknown."""
    targets = data.judged[data.test].copy()
    if share == "quarter":
        hidden = unknown_entries(share, seed, 1, len(data.labels))[0]
        targets[:, hidden if part == "with" else ~hidden] = -1
    return targets


def measured(data: StudySet, cell: Cell, part: str, seeds: int, out: Path) -> Measured:
    """Measures one head on the labels with or without known positives."""
    each = []
    for seed in range(seeds):
        own = Cell(cell.data, cell.mode, cell.share, seed, cell.head)
        logits = np.load(own.place(out), allow_pickle=False)
        each.append(measure([logits], judged(data, cell.share, seed, part)))
    return Measured(
        np.concatenate([m.points for m in each]), np.concatenate([m.images for m in each])
    )


def figures(root: Path, out: Path, seeds: int, sets: list[str]) -> None:
    """Computes differences, prints them and writes the results."""
    read = {name: read_set(name, root, out) for name in sets}
    rows, by_question = [], {}
    for mode in ("frozen", "end to end"):
        for share in SHARES if mode == "frozen" else SHARES[:1]:
            for part in ("with", "without") if share == "quarter" else ("with",):
                found = []
                for name in sets:
                    cell = Cell(name, mode, share, 0, "gat")
                    there = sum(
                        all(Cell(name, mode, share, s, h).place(out).is_file() for h in HEADS)
                        for s in range(seeds)
                    )
                    if not there:
                        continue
                    gat = measured(read[name], cell, part, there, out)
                    other = Cell(name, mode, share, 0, "linear")
                    linear = measured(read[name], other, part, there, out)
                    found.append(subtract(gat, linear))
                    rows.append(_row(name, mode, share, part, gat, linear))
                if len(found) > 1:
                    by_question[f"{mode}, {share}, {part} positives"] = found
    pooled_rows = []
    for question, found in by_question.items():
        estimate = pooled([[d] for d in found])
        low, high = estimate.interval()
        p = estimate.p_different()
        pooled_rows.append(
            {"question": question, "value": estimate.value, "low": low, "high": high, "p": p}
        )
    for row, corrected in zip(pooled_rows, holm([r["p"] for r in pooled_rows]), strict=True):
        row["corrected p"] = corrected
    chosen = (out / "chosen.tsv").read_text(encoding="utf-8").splitlines()
    write_result(
        "heads-in-train",
        {"protocol": (__doc__ or "").split("\n\n", 2)[2], "rows": rows, "pooled": pooled_rows,
         "chosen": chosen},
    )  # fmt: skip
    for row in rows:
        print({k: v for k, v in row.items() if not isinstance(v, list)})
    for row in pooled_rows:
        print(row)


def _row(
    name: str, mode: str, share: str, part: str, gat: Measured, linear: Measured
) -> dict[str, Any]:
    estimate = pooled([[subtract(gat, linear)]])
    low, high = estimate.interval()
    return {
        "set": name,
        "mode": mode,
        "share": share,
        "labels": f"{part} positives",
        "gat": gat.points.tolist(),
        "linear": linear.points.tolist(),
        "difference": estimate.value,
        "low": low,
        "high": high,
    }


def main() -> None:
    """Runs cells, or computes the figures of those that are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("..") / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs") / "heads-in-train")
    parser.add_argument("--modes", nargs="+", default=["frozen", "end to end"])
    parser.add_argument("--sets", nargs="+", default=list(IMAGES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figures", action="store_true", help="compute, and write the results")
    options = parser.parse_args()
    root, out = options.root.resolve(), options.out.resolve()
    if not root.is_dir():
        print(f"no {options.root}, left out")
        return
    out.mkdir(parents=True, exist_ok=True)
    if options.figures:
        figures(root, out, options.seeds, options.sets)
        return
    torch.set_num_threads(1)
    for mode in options.modes:
        for cell in cells(mode, options.sets, options.seeds):
            if cell.place(out).is_file():
                continue
            chosen = run(read_set(cell.data, root, out), cell, out)
            with (out / "chosen.tsv").open("a", encoding="utf-8") as file:
                file.write(f"{cell.place(out).stem}\t{chosen}\n")
            print(cell.place(out).stem, chosen, flush=True)


if __name__ == "__main__":
    main()

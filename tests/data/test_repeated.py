"""Images in several rows of a CSV file: refused, or averaged over annotators."""

from pathlib import Path

import numpy as np
import pytest

from gatlabel.data.csv_reader import read_csv
from gatlabel.errors import InputError


def written(root: Path, header: str, rows: list[str]) -> Path:
    lines = (root / "labels.csv").read_text().splitlines()
    splits = {line.split(",")[0]: line.split(",")[1] for line in lines[1:]}
    text = [header, *(f"images/{row}" for row in rows)]
    for number in range(10, 24):  # of both splits, once each
        cells = ",".join(["0"] * (header.count(",") - 1)) if "red" in header else ""
        text.append(f"images/{number}.png,{splits[f'images/{number}.png']},{cells}")
    (root / "labels.csv").write_text("\n".join(text) + "\n")
    return root


def targets_of(root: Path, image: str, **options) -> dict[str, float]:
    splits = read_csv(root, repeated="average", **options)
    row = splits.train.ids.index(f"images/{image}")
    found = np.asarray(splits.train.targets)[row].tolist()
    return dict(zip(splits.labels, [round(value, 4) for value in found], strict=True))


def test_annotators_are_averaged_over_known_labels(tiny_csv: Path) -> None:
    rows = [
        "0.png,train,1,0,-1",
        "0.png,train,1,1,-1",
        "1.png,train,0.5,1,0",
        "0.png,train,0,-1,-1",
    ]
    root = written(tiny_csv, "image,split,red,green,blue", rows)
    found = targets_of(root, "0.png")
    assert found == {"red": pytest.approx(2 / 3, abs=1e-4), "green": 0.5, "blue": -1}
    assert targets_of(root, "1.png") == {"red": 0.5, "green": 1, "blue": 0}
    notes = read_csv(root, repeated="average").notes
    assert "1 images in several rows: their targets are averaged" in notes


def test_a_label_that_one_annotator_lists_is_half_present(tiny_csv: Path) -> None:
    rows = ["0.png,train,red|green", "0.png,train,red", "1.png,train,blue"]
    root = written(tiny_csv, "image,split,labels", rows)
    assert targets_of(root, "0.png") == {"blue": 0, "green": 0.5, "red": 1}


def test_repeated_images_are_refused_otherwise(tiny_csv: Path) -> None:
    root = written(tiny_csv, "image,split,labels", ["0.png,train,red", "0.png,train,green"])
    with pytest.raises(InputError, match="line 3"):
        read_csv(root)
    root = written(tiny_csv, "image,split,labels", ["0.png,train,red", "0.png,val,green"])
    with pytest.raises(
        InputError, match=r"line 3: the image .* has another split than at .*line 2"
    ):
        read_csv(root, repeated="average")

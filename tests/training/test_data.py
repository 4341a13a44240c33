"""The options of a run reach the readers, each under the reader's own name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gatlabel.cli import main
from gatlabel.data.options import CSV, DATA
from gatlabel.data.splits import FRACTIONS
from gatlabel.errors import InputError
from gatlabel.training import TrainConfig
from gatlabel.training.config import read_options
from gatlabel.training.data import read_data
from gatlabel.training.recipes import config_from
from tests.data.sample_images import save_image
from tests.data.test_coco_reader import write_coco
from tests.data.test_voc_reader import SETS, write_voc


def config(**options: Any) -> TrainConfig:
    """As it comes back from a run folder: through YAML."""
    text = yaml.safe_dump(TrainConfig().with_options(options).to_dict())
    return config_from(yaml.safe_load(text))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = ["image;kind;cat;dog;note;unsure;hard"]
    for k in range(12):
        save_image(tmp_path / f"{k}.png")
        rows.append(f"{k}.png;{'train' if k < 6 else 'val'};{k % 2};1;0;{'cat' * (k == 2)};")
    rows[1] = "0.png;train;0;1;0;;cat"
    (tmp_path / "list.csv").write_text("\n".join(rows))
    return tmp_path


def test_csv_options(table: Path) -> None:
    options = {
        "data.annotations": Path("list.csv"),
        "data.delimiter": ";",
        "data.image_column": "image",
    }
    options |= {
        "data.split_column": "kind",
        "data.unknown_column": "unsure",
        "data.difficult_column": "hard",
    }
    splits = read_data(
        config(
            **options, **{"data": "csv", "data.root": table, "data.label_columns": ("cat", "dog")}
        )
    )
    assert splits.labels.names == ("cat", "dog")
    np.testing.assert_array_equal(
        np.asarray(splits.train.targets)[:4], [[-1, 1], [1, 1], [-1, 1], [1, 1]]
    )
    negative = read_data(
        config(
            **options,
            **{
                "data": "csv",
                "data.root": table,
                "data.label_columns": ("cat",),
                "data.difficult": "negative",
            },
        )
    )
    assert np.asarray(negative.train.targets)[0, 0] == 0


def test_groups_stay_together(table: Path) -> None:
    options = {
        "data.annotations": Path("list.csv"),
        "data.delimiter": ";",
        "data.image_column": "image",
    }
    options |= {"data.label_columns": ("dog",), "data.group_column": "cat"}
    fractions = (0.5, 0.5, 0.0)
    halves = config(
        **options,
        **{
            "data": "csv",
            "data.root": table,
            "data.split_column": None,
            "data.fractions": fractions,
        },
    )
    splits = read_data(halves)
    assert [set(splits.train.groups), set(splits.val.groups)] in ([{"0"}, {"1"}], [{"1"}, {"0"}])
    own = read_data(
        config(**options, **{"data": "csv", "data.root": table, "data.split_column": "kind"})
    )
    assert any("2 groups have images in train and in val ('0', '1')" in n for n in own.notes)
    with pytest.raises(InputError, match="group_column=cat: not for data=voc, only for csv, json"):
        read_data(config(**{"data": "voc", "data.root": table, "data.group_column": "cat"}))


def test_fractions_where_the_data_has_no_split(table: Path) -> None:
    options = {
        "data.annotations": Path("list.csv"),
        "data.delimiter": ";",
        "data.image_column": "image",
    }
    halves = config(
        **options,
        **{
            "data": "csv",
            "data.root": table,
            "data.label_columns": ("cat",),
            "data.split_column": None,
            "data.unknown_column": "unsure",
            "data.fractions": (0.5, 0.25, 0.25),
        },
    )
    assert [len(source) for _, source in read_data(halves).items()] == [6, 3, 3]
    assert CSV.fractions == FRACTIONS


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.5, -0.25, -0.25)])
def test_fractions_are_shares(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match=r"^fractions"):
        CSV(root="photos", fractions=fractions)


def test_voc_image_sets(tmp_path: Path) -> None:
    write_voc(tmp_path / "VOCdevkit" / "VOC2007", SETS)
    splits = read_data(config(**{"data": "voc", "data.root": tmp_path}))
    assert [len(source) for _, source in splits.items()] == [2, 1, 1]
    splits = read_data(
        config(
            **{
                "data": "voc",
                "data.root": tmp_path,
                "data.train_set": "trainval",
                "data.val_set": "test",
                "data.test_set": "x",
            }
        )
    )
    assert [len(source) for _, source in splits.items()] == [3, 1]
    with pytest.raises(InputError, match=r"trainvl.*'trainval'"):
        read_data(config(**{"data": "voc", "data.root": tmp_path, "data.train_set": "trainvl"}))


def test_voc_validation_images_cut_from_training(tmp_path: Path) -> None:
    images = {f"{k:06}": [("dog", 0)] for k in range(20)}
    write_voc(tmp_path / "VOCdevkit" / "VOC2007", {"trainval": images})
    splits = read_data(
        config(
            **{
                "data": "voc",
                "data.root": tmp_path,
                "data.train_set": "trainval",
                "data.val_set": "no",
            }
        )
    )
    assert len(splits.train) + len(splits.val) == 20
    assert 0 < len(splits.val) < 10


def test_coco_files_crowds_and_empty_images(tmp_path: Path) -> None:
    write_coco(tmp_path)
    whole = read_data(config(**{"data": "coco", "data.root": tmp_path, "data.crowd": "unknown"}))
    np.testing.assert_array_equal(whole.train.targets, [[1, -1, 0], [0, 0, 0]])
    assert (
        len(
            read_data(
                config(**{"data": "coco", "data.root": tmp_path, "data.drop_empty": True})
            ).train
        )
        == 1
    )
    (tmp_path / "train2017").rename(tmp_path / "photos")
    train = "annotations/instances_train2017.json"
    named = config(
        **{"data": "coco", "data.root": tmp_path, "data.images": "photos", "data.train_set": train}
    )
    halves = named.with_options({"data.fractions": (0.5, 0.5, 0.0)})
    splits = read_data(halves)
    assert {*splits.train.ids, *splits.val.ids} == {"photos/a.jpg", "photos/b.jpg"}


def test_json_lists(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("val", 2), ("test", 1)):
        entries = [{"img_path": f"{part}{k}.png", "gt_label": ["cat"]} for k in range(count)]
        (tmp_path / f"{part}.json").write_text(json.dumps(entries))
        for entry in entries:
            save_image(tmp_path / "photos" / str(entry["img_path"]))
    files = {f"data.{part}_set": f"{part}.json" for part in ("train", "val", "test")}
    splits = read_data(
        config(**files, **{"data": "json", "data.root": tmp_path, "data.images": "photos"})
    )
    assert [len(source) for _, source in splits.items()] == [4, 2, 1]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (name, other)
        for name in sorted({n for kind in DATA.values() for n in kind.__dataclass_fields__})
        if (other := next((o for o, kind in DATA.items() if not hasattr(kind, name)), ""))
    ],
)
def test_an_option_of_other_data_is_refused(name: str, other: str, tmp_path: Path) -> None:
    root = {} if other == "scenes" else {"data.root": tmp_path}
    with pytest.raises(InputError, match=rf"^data\.{name}=7: not for data={other}, only for"):
        TrainConfig().with_options({"data": other, **root, f"data.{name}": 7})


def test_evaluate_takes_the_options_of_the_data(table: Path, capsys: Any) -> None:
    quick = ["--backbone", "mobilenet_v3_small", "--weights", "none", "--image-size", "32"]
    words = [
        "--data.annotations",
        "list.csv",
        "--data.delimiter",
        ";",
        "--data.image-column",
        "image",
    ]
    words += ["--data.split-column", "kind", "--data.label-columns", "[cat,dog]"]
    words += ["--data.unknown-column", "unsure", "--data", "csv", "--root", str(table)]
    run = table / "run"
    made = ["train", *words, *quick, "--epochs", "1", "--no-progress", "--output", str(run)]
    assert main(made) == 0
    assert read_options(run / "config.yaml")["data"]["label_columns"] == ["cat", "dog"]
    capsys.readouterr()
    assert main(["evaluate", str(run), *words, "--split", "train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["split"] == "train"


def test_scenes_options_and_label_noise() -> None:
    small = {"data.train_images": 60, "data.test_images": 8}
    plain = read_data(config(**small))
    changed = read_data(
        config(**small, **{"data.hidden": 0.0, "data.size": 48, "data.strength": 0.5})
    )
    assert changed.train.load(0).shape == (3, 48, 48)
    assert any("hidden 0.0" in note for note in changed.notes)
    noisy = read_data(config(**small, **{"missing.label_noise": 0.3}))
    assert (np.asarray(noisy.train.targets) != plain.train.targets).any()
    np.testing.assert_array_equal(noisy.val.targets, plain.val.targets)
    np.testing.assert_array_equal(
        np.asarray(noisy.train.targets).sum(0), np.asarray(plain.train.targets).sum(0)
    )
    assert any(note.startswith("30% of each label's") for note in noisy.notes)
    assert config(**small, **{"data.size": 48}).resolved().images.size == 48


def test_training_images_without_any_known_label_are_refused(
    tiny_csv: Path,
) -> None:
    lines = (tiny_csv / "labels.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    text = "image,split,red,blue\n"
    text += "".join(f"{row[0]},{row[1]},{',' if row[1] == 'train' else '1,0'}\n" for row in rows)
    (tiny_csv / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=r"no label is known for any of the \d+ training images"):
        read_data(config(**{"data": "csv", "data.root": str(tiny_csv)}))

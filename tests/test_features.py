"""Features on disk: equal to the encoder's output, resumed, and recomputed after changes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gatlabel.data import read_csv
from gatlabel.encoders import Encoder, Preprocessing
from gatlabel.features import extract
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead
from tests.data.sample_images import save_image


@pytest.fixture
def model() -> MultiLabelClassifier:
    trunk = nn.Conv2d(3, 5, 8, stride=8)
    encoder = Encoder.from_module(trunk, 5, image_size=32)
    return MultiLabelClassifier(encoder, LinearHead(5, 3), ["blue", "green", "red"]).eval()


@pytest.mark.parametrize("kind", ["pooled", "map"])
def test_features_are_what_the_model_computes(
    model, tiny_csv: Path, tmp_path: Path, kind: str
) -> None:
    source = read_csv(tiny_csv).train
    array = extract(model, source, kind, tmp_path).open()
    resize = Preprocessing(32, "squash").transform()
    pixels = torch.stack([resize(source.load(row)) for row in range(len(source))])
    with torch.no_grad():
        maps = model.encoder(model.encoder.normalize(pixels))
    expected = maps if kind == "map" else maps.mean((2, 3))
    np.testing.assert_allclose(np.array(array, np.float32), expected.numpy(), atol=2e-3)
    assert array.dtype == (np.float16 if kind == "map" else np.float32)


def test_the_cache_is_used(model, tiny_csv: Path, tmp_path: Path, monkeypatch) -> None:
    source = read_csv(tiny_csv).train
    first = extract(model, source, "pooled", tmp_path)
    monkeypatch.setattr(source, "load", None)
    ready = []
    assert extract(model, source, "pooled", tmp_path, ready.append) == first
    assert sum(ready) == len(source)
    assert [path.name for path in tmp_path.glob("*.npy")] == [first.path.name]


def test_other_weights_images_and_kinds_are_other_files(
    model, tiny_csv: Path, tmp_path: Path
) -> None:
    splits = read_csv(tiny_csv)
    files = {extract(model, splits.train, kind, tmp_path).path for kind in ("pooled", "map")}
    files.add(extract(model, splits.val, "pooled", tmp_path).path)
    image = tiny_csv / splits.train.ids[0]
    save_image(image, (1, 2, 3))
    files.add(extract(model, splits.train, "pooled", tmp_path).path)
    with torch.no_grad():
        next(model.encoder.parameters()).add_(1)
    files.add(extract(model, splits.train, "pooled", tmp_path).path)
    assert len(files) == 5


def test_an_interrupted_extraction_continues(
    model, tiny_csv: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("gatlabel.features.BATCH", 6)
    source = read_csv(tiny_csv).train
    whole = extract(model, source, "pooled", tmp_path / "whole").open()
    load, seen = source.load, []

    def failing(index: int) -> torch.Tensor:
        if index == 13 and 13 not in seen:
            seen.append(index)
            raise KeyboardInterrupt
        seen.append(index)
        return load(index)

    monkeypatch.setattr(source, "load", failing)
    monkeypatch.setattr(source, "load_at_least", lambda index, side: failing(index))
    with pytest.raises(KeyboardInterrupt):
        extract(model, source, "pooled", tmp_path / "cut")
    assert not [path for path in (tmp_path / "cut").iterdir() if "part" not in path.name]
    again = extract(model, source, "pooled", tmp_path / "cut").open()
    np.testing.assert_allclose(again, whole, atol=2e-3)
    assert seen.count(0) == 1
    assert {path.suffix for path in (tmp_path / "cut").iterdir()} == {".npy", ".json"}


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)


def archived(path: Path) -> None:
    array = np.array(np.load(path))
    with path.open("wb") as file:
        np.savez(file, array)


DAMAGE = {
    "a flipped bit": flipped,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "no array": lambda path: path.write_text("hello"),
    "a header of nothing": lambda path: path.write_bytes(path.read_bytes().replace(b"<f", b"\0'")),
    "an archive": lambda path: archived(path),
    "fewer rows": lambda path: np.save(path, np.load(path)[:-1]),
    "another type": lambda path: np.save(path, np.load(path).astype(np.float64)),
    "another shape": lambda path: np.save(path, np.load(path)[..., None]),
    "no note": lambda path: path.with_suffix(".json").unlink(),
    "another note": lambda path: path.with_suffix(".json").write_text('{"done": 99, "sum": 0}'),
    "a note of nothing": lambda path: path.with_suffix(".json").write_text("[1]"),
}


@pytest.mark.parametrize("kind", ["pooled", "map"])
@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_features_are_extracted_again(
    model, tiny_csv: Path, tmp_path: Path, name: str, kind: str, caplog
) -> None:
    source = read_csv(tiny_csv).train
    file = extract(model, source, kind, tmp_path / "cache")
    whole = np.array(file.open())
    DAMAGE[name](file.path)
    again = extract(model, source, kind, tmp_path / "cache")
    assert again == file
    np.testing.assert_array_equal(again.open(), whole)
    assert "damaged" in caplog.text


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_part_of_an_extraction_is_not_used(
    model, tiny_csv: Path, tmp_path: Path, name: str
) -> None:
    source = read_csv(tiny_csv).train
    file = extract(model, source, "pooled", tmp_path / "cache")
    whole = np.array(file.open())
    for path in (file.path, file.path.with_suffix(".json")):
        path.rename(path.with_suffix(f".part{path.suffix}"))
    DAMAGE[name](file.path.with_suffix(".part.npy"))
    again = extract(model, source, "pooled", tmp_path / "cache")
    np.testing.assert_array_equal(again.open(), whole)


def test_two_at_once_extract_once(model, tiny_csv: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gatlabel.features.BATCH", 2)
    source = read_csv(tiny_csv).train
    load, seen = source.load_at_least, []
    monkeypatch.setattr(
        source, "load_at_least", lambda index, side: (seen.append(index), load(index, side))[1]
    )
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: extract(model, source, "pooled", tmp_path), range(2)))
    assert both[0] == both[1]
    assert sorted(seen) == list(range(len(source)))

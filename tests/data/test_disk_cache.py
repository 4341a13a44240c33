"""Pictures kept on disk are the pictures, found again by later runs, and never stale."""

import os
import pickle
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from gatlabel.data import FileImages, ImageDataset, evaluation_transform, loader
from gatlabel.data.disk_cache import DiskCache
from gatlabel.data.scenes import read_scenes
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from tests.data.pictures import DrawnImages, save_picture


@pytest.fixture
def source(tmp_path: Path) -> FileImages:
    names = [f"{k}.png" for k in range(7)]
    for k, name in enumerate(names):
        save_picture(tmp_path / "photos" / name, (40 * k, 30, 60), 30 + k)
    targets = torch.eye(7, 2).numpy()
    return FileImages(tmp_path / "photos", LabelSet(["a", "b"]), names, targets)


def dataset(source: FileImages, folder: Path) -> ImageDataset:
    return ImageDataset(source, evaluation_transform(16), cache="disk", folder=folder)


def sums(args: tuple[DiskCache, int]) -> int:
    cache, index = args
    return int(cache.get(index, lambda k: pytest.fail("decoded twice"), 16).sum())


def test_items_equal_those_of_the_memory_cache(source: FileImages, tmp_path: Path) -> None:
    memory = ImageDataset(source, evaluation_transform(16), cache="memory")
    disk = dataset(source, tmp_path / "cache")
    for index in (3, 0, 6):
        assert torch.equal(disk[index][0], memory[index][0])
    assert disk.cache is not None
    assert memory.cache is not None
    assert disk.cache.bytes == memory.cache.bytes


def test_a_later_run_decodes_nothing(source: FileImages, tmp_path: Path, monkeypatch) -> None:
    first = dataset(source, tmp_path / "cache")
    first.fill_cache()
    expected = [first[k][0] for k in range(7)]
    monkeypatch.setattr(FileImages, "load_at_least", lambda *_: pytest.fail("decoded again"))
    again = dataset(source, tmp_path / "cache")
    again.fill_cache()
    assert all(torch.equal(again[k][0], expected[k]) for k in range(7))


def test_a_changed_picture_or_size_makes_another_file(source: FileImages, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    dataset(source, cache).fill_cache()
    save_picture(source.path(2), size=50)
    os.utime(source.path(2), ns=(1, 1))
    changed = dataset(source, cache)
    assert changed.cache is not None
    assert not changed.cache.filled
    assert changed[2][0].shape == (3, 16, 16)
    assert changed.cache.get(2, source.load, 16).shape == (3, 16, 18)
    larger = ImageDataset(source, evaluation_transform(24), cache="disk", folder=cache)
    assert larger.cache is not None
    assert not larger.cache.filled


def test_worker_processes_share_the_file(source: FileImages, tmp_path: Path) -> None:
    cache = DiskCache(source, 16, tmp_path / "cache")
    cache.fill(source.load, 16, threads=2)
    here = [sums((cache, k)) for k in range(7)]
    with get_context("spawn").Pool(1) as pool:
        assert pool.map(sums, [(cache, k) for k in range(7)]) == here
    assert len(pickle.dumps(cache)) < 2000


def test_batches_come_from_the_cache(source: FileImages, tmp_path: Path) -> None:
    batches = list(loader(dataset(source, tmp_path / "cache"), 4, train=False))
    assert [len(images) for images, _, _ in batches] == [4, 3]
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".npz", ".u8"]


def test_a_failed_fill_leaves_nothing(source: FileImages, tmp_path: Path) -> None:
    source.path(4).write_bytes(b"no picture")
    broken = dataset(source, tmp_path / "cache")
    with pytest.raises(InputError, match=r"4\.png"):
        broken.fill_cache()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_cache_is_made_again(source: FileImages, tmp_path: Path) -> None:
    cache = DiskCache(source, 16, tmp_path / "cache")
    cache.fill(source.load, 16, threads=1)
    whole = cache.get(5, source.load, 16)
    cache.pixels.write_bytes(cache.pixels.read_bytes()[:-1])
    again = DiskCache(source, 16, tmp_path / "cache")
    assert not again.filled
    assert torch.equal(again.get(5, source.load, 16), whole)


def test_a_damaged_index_is_made_again(source: FileImages, tmp_path: Path) -> None:
    cache = DiskCache(source, 16, tmp_path / "cache")
    cache.fill(source.load, 16, threads=1)
    cache.index.write_bytes(cache.index.read_bytes()[:-30])
    again = DiskCache(source, 16, tmp_path / "cache")
    assert not again.filled
    assert torch.equal(again.get(1, source.load, 16), cache.get(1, source.load, 16))


def test_scenes_are_cached_by_what_they_are_drawn_from(tmp_path: Path) -> None:
    one = read_scenes("voc", train=4, val=2, test=2, seed=0, size=48).train
    others = [
        read_scenes("voc", train=4, val=2, test=2, seed=1, size=48).train,
        read_scenes("voc", train=4, val=2, test=2, seed=0, size=64).train,
        read_scenes("voc", train=2, val=4, test=2, seed=0, size=48).val,
        one.subset([0, 1]),
    ]
    assert one.fingerprint() == one.subset(range(4)).fingerprint()
    assert len({source.fingerprint() for source in (one, *others)}) == 5
    cached = ImageDataset(one, evaluation_transform(48), cache="disk", folder=tmp_path)
    assert torch.equal(cached[3][0], one.load(3))


def test_what_cannot_be_cached_is_said() -> None:
    drawn = DrawnImages(torch.eye(3).numpy())
    with pytest.raises(InputError, match="DrawnImages cannot tell when its pictures change"):
        ImageDataset(drawn, evaluation_transform(8), cache="disk", folder="x")
    with pytest.raises(InputError, match="folder"):
        ImageDataset(drawn, evaluation_transform(8), cache="disk")


def test_a_folder_that_cannot_be_written_is_named(source: FileImages, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        dataset(source, tmp_path / "file" / "cache").fill_cache()

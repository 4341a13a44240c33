"""Images kept on disk are the images, found again by later runs, and never stale."""

import errno
import os
import pickle
import shutil
import time
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.data import FileImages, ImageDataset, disk_cache, loader
from gatlabel.data.disk_cache import _FOOTER, _MAGIC, DiskCache
from gatlabel.data.scenes import read_scenes
from gatlabel.data.sole_writer import sole_writer
from gatlabel.encoders import Preprocessing
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from tests.data.sample_images import DrawnImages, save_image


@pytest.fixture
def source(tmp_path: Path) -> FileImages:
    names = [f"{k}.png" for k in range(7)]
    for k, name in enumerate(names):
        save_image(tmp_path / "photos" / name, (40 * k, 30, 60), 30 + k)
    targets = torch.eye(7, 2).numpy()
    return FileImages(tmp_path / "photos", LabelSet(["a", "b"]), names, targets)


def dataset(source: FileImages, folder: Path) -> ImageDataset:
    return ImageDataset(source, Preprocessing(16).transform(), cache="disk", folder=folder)


def sums(args: tuple[DiskCache, int]) -> int:
    cache, index = args
    return int(cache.get(index, lambda k: pytest.fail("decoded twice"), 16).sum())


def test_items_equal_those_of_the_memory_cache(source: FileImages, tmp_path: Path) -> None:
    memory = ImageDataset(source, Preprocessing(16).transform(), cache="memory")
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


def test_a_changed_image_or_size_makes_another_file(source: FileImages, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    dataset(source, cache).fill_cache()
    save_image(source.path(2), size=50)
    os.utime(source.path(2), ns=(1, 1))
    changed = dataset(source, cache)
    assert changed.cache is not None
    assert not changed.cache.filled
    assert changed[2][0].shape == (3, 16, 16)
    assert changed.cache.get(2, source.load, 16).shape == (3, 16, 18)
    larger = ImageDataset(source, Preprocessing(24).transform(), cache="disk", folder=cache)
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
    assert [len(batch) for batch in batches] == [4, 3]
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".u8"]


def test_a_failed_fill_leaves_nothing(source: FileImages, tmp_path: Path) -> None:
    source.path(4).write_bytes(b"no image")
    broken = dataset(source, tmp_path / "cache")
    with pytest.raises(InputError, match=r"4\.png"):
        broken.fill_cache()
    assert list((tmp_path / "cache").iterdir()) == []


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGE = {
    "cut": lambda data: data[:-1],
    "without its end": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "other": lambda data: b"another file" * 40,
    "footer": lambda data: flipped(data, len(data) - 5),
    "count": lambda data: flipped(data, len(data) - 40),
    "table": lambda data: flipped(data, len(data) - 50),
    "longer": lambda data: data[:300] + data,
    "sides below zero": lambda data: below_zero(data),
}


def below_zero(data: bytes) -> bytes:
    """The same file, right in itself, whose first image has -height and -width."""
    end = len(data) - _FOOTER.size
    table = np.frombuffer(data[end - 7 * 24 : end], "<i8").reshape(7, 3).copy()
    table[0, :2] *= -1
    content = table.tobytes()
    return data[: end - 7 * 24] + content + _FOOTER.pack(_MAGIC, 7, sha256(content).digest())


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_cache_is_made_again_with_a_note(
    source: FileImages, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = DiskCache(source, 16, tmp_path / "cache")
    cache.fill(source.load, 16, threads=1)
    whole = [cache.get(k, source.load, 16) for k in range(7)]
    content = cache.path.read_bytes()
    cache.path.write_bytes(DAMAGE[kind](content))
    again = DiskCache(source, 16, tmp_path / "cache")
    assert not again.filled
    assert "is damaged and is rebuilt" in caplog.text
    assert all(torch.equal(again.get(k, source.load, 16), whole[k]) for k in range(7))
    assert again.path.read_bytes() == content


@pytest.mark.parametrize("place", [0, 5000, -400])
@pytest.mark.parametrize("when", ["before", "while open"])
def test_damaged_pixels_are_never_served(
    source: FileImages, tmp_path: Path, place: int, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = DiskCache(source, 16, tmp_path / "cache")
    cache.fill(source.load, 16, threads=1)
    whole = [cache.get(k, source.load, 16) for k in range(7)]
    content = cache.path.read_bytes()
    with cache.path.open("r+b") as file:
        file.write(flipped(content, place))
    if when == "before":
        cache = DiskCache(source, 16, tmp_path / "cache")
    assert cache.filled
    for _ in range(2):
        assert all(torch.equal(cache.get(k, source.load, 16), whole[k]) for k in range(7))
    assert caplog.text.count("is damaged: its images are decoded") == 1
    again = DiskCache(source, 16, tmp_path / "cache")
    again.fill(source.load, 16, threads=1)
    assert again.path.read_bytes() == content


def test_a_cache_that_is_cut_off_while_it_is_open(source: FileImages, tmp_path: Path) -> None:
    cached = dataset(source, tmp_path / "cache")
    expected = [cached[k][0] for k in range(7)]
    assert cached.cache is not None
    with cached.cache.path.open("r+b") as file:
        file.truncate(100)  # mapped into memory, this would end the process
    assert all(torch.equal(cached[k][0], expected[k]) for k in range(7))


def test_a_changed_image_of_the_same_size_and_time_is_noticed(
    source: FileImages, tmp_path: Path
) -> None:
    path = tmp_path / "photos" / "2.bmp"
    save_image(path, (10, 20, 30))
    before = path.stat()
    source = FileImages(source.root, source.labels, ["2.bmp"], source.targets.take([0]))
    old = dataset(source, tmp_path / "cache")[0][0]
    with path.open("r+b") as file:  # in place: not even the inode changes
        file.seek(54)
        file.write(bytes(3 * 200))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    new = dataset(source, tmp_path / "cache")[0][0]
    assert not torch.equal(new, old)
    memory = ImageDataset(source, Preprocessing(16).transform(), cache="memory")
    assert torch.equal(new, memory[0][0])


def test_a_copy_elsewhere_uses_the_same_cache(source: FileImages, tmp_path: Path) -> None:
    dataset(source, tmp_path / "cache").fill_cache()
    shutil.copytree(source.root, tmp_path / "moved")
    moved = FileImages(tmp_path / "moved", source.labels, source.ids, source.targets)
    cached = dataset(moved, tmp_path / "cache").cache
    assert cached is not None
    assert cached.filled
    backwards = dataset(moved.subset(range(6, -1, -1)), tmp_path / "cache").cache
    assert backwards is not None
    assert not backwards.filled


def test_an_image_that_changes_while_the_cache_is_filled(
    source: FileImages, tmp_path: Path
) -> None:
    cache = DiskCache(source, 16, tmp_path / "cache")

    def decode(index: int) -> torch.Tensor:
        if index == 6:
            save_image(source.path(6), (1, 2, 3))
        return source.load(index)

    with pytest.raises(InputError, match="images changed while they were written to the cache"):
        cache.fill(decode, 16, threads=1)
    assert list((tmp_path / "cache").iterdir()) == []


def test_another_version_of_a_decoder_makes_another_file(
    source: FileImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = DiskCache(source, 16, tmp_path).path
    monkeypatch.setattr(disk_cache, "version", lambda name: "0.0")
    assert DiskCache(source, 16, tmp_path).path != one


def fill_slowly(source: FileImages, folder: Path, log: Path) -> None:
    def decode(index: int) -> torch.Tensor:
        with log.open("a") as file:
            file.write(f"{index}\n")
        time.sleep(0.02)
        return source.load(index)

    cache = DiskCache(source, 16, folder)
    cache.fill(decode, 16, threads=1)
    assert cache.filled


def test_of_two_processes_one_fills_and_the_other_waits(source: FileImages, tmp_path: Path) -> None:
    context = get_context("fork")
    log, folder = tmp_path / "log", tmp_path / "cache"
    both = [context.Process(target=fill_slowly, args=(source, folder, log)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert len(log.read_text().splitlines()) == 7
    assert len(list(folder.iterdir())) == 1


def test_a_killed_fill_leaves_no_file_that_looks_complete(
    source: FileImages, tmp_path: Path
) -> None:
    log, folder = tmp_path / "log", tmp_path / "cache"
    process = get_context("fork").Process(target=fill_slowly, args=(source, folder, log))
    process.start()
    while not log.exists() or len(log.read_text().splitlines()) < 4:
        time.sleep(0.005)
    process.kill()
    process.join()
    (leftover,) = folder.iterdir()
    assert leftover.name.endswith(".partial")
    other = DiskCache(source.subset([0]), 16, folder)
    assert not DiskCache(source, 16, folder).filled
    other.fill(source.load, 16, threads=1)
    assert list(folder.iterdir()) == [other.path]  # what the other left is gone


def test_what_another_process_is_writing_is_not_cleared(source: FileImages, tmp_path: Path) -> None:
    other = tmp_path / "images-other.u8"
    with sole_writer(other, lambda: False) as file:
        assert file is not None
        file.write(b"123")
        DiskCache(source, 16, tmp_path).fill(source.load, 16, threads=1)
    assert other.read_bytes() == b"123"


def test_a_full_disk_is_one_line_and_leaves_nothing(
    source: FileImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = DiskCache(source, 16, tmp_path / "cache")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = r"cannot write the image cache .*No space left on device; give another cache folder"
    with pytest.raises(InputError, match=message):
        cache.fill(source.load, 16, threads=1)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_made_or_read(source: FileImages, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="cannot write the image cache"):
        dataset(source, tmp_path / "cache").fill_cache()
    with pytest.raises(InputError, match="cannot write the image cache"):
        dataset(source, tmp_path / ("a" * 300)).fill_cache()
    with pytest.raises(InputError, match=r"'.*a\\x00b' is not a valid folder name"):
        dataset(source, tmp_path / "a\0b")


def test_open_files_are_closed(source: FileImages, tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        assert dataset(source, tmp_path / "cache")[0][0].shape == (3, 16, 16)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


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
    cached = ImageDataset(one, Preprocessing(48).transform(), cache="disk", folder=tmp_path)
    assert torch.equal(cached[3][0], one.load(3))


def test_images_that_cannot_be_cached_are_reported() -> None:
    drawn = DrawnImages(torch.eye(3).numpy())
    with pytest.raises(InputError, match="DrawnImages cannot detect changes of its images"):
        ImageDataset(drawn, Preprocessing(8).transform(), cache="disk", folder="x")
    with pytest.raises(InputError, match="folder"):
        ImageDataset(drawn, Preprocessing(8).transform(), cache="disk")


def test_a_folder_that_cannot_be_written_is_named(source: FileImages, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        dataset(source, tmp_path / "file" / "cache").fill_cache()

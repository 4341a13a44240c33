import doctest
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gatlabel.data
from gatlabel.batch import Batch
from gatlabel.data import (
    FileImages,
    ImageCache,
    ImageDataset,
    ImageLoader,
    check_images,
    loader,
    training_transform,
)
from gatlabel.data.cache import decoded_in_order, shrink
from gatlabel.encoders import Preprocessing
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from tests.data.sample_images import DrawnImages, mosaic, save_image, write_csv


def drawn(N: int = 10, L: int = 3) -> DrawnImages:
    targets = np.random.default_rng(0).integers(-1, 2, (N, L)).astype(np.float32)
    return DrawnImages(targets)


def test_items_are_image_target_and_position() -> None:
    source = drawn()
    image, target, index = ImageDataset(source, Preprocessing(16).transform())[4]
    assert (image.shape, image.dtype) == ((3, 16, 16), torch.uint8)
    assert target.dtype == torch.float32
    assert target.tolist() == source.targets.rows(4).tolist()
    assert index == 4


def test_large_jpegs_are_decoded_smaller_but_the_result_is_the_same(tmp_path: Path) -> None:
    Image.fromarray(mosaic(512, 640)).save(tmp_path / "a.jpg", quality=95)
    source = FileImages(tmp_path, LabelSet(["x"]), ["a.jpg"], np.ones((1, 1), dtype=np.float32))
    sizes = []

    def watched(image: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(image.shape[1:]))
        return Preprocessing(64).transform()(image)

    full = ImageDataset(source, watched)[0][0]
    watched.decode_side = 64  # type: ignore[attr-defined]
    small = ImageDataset(source, watched)[0][0]
    assert sizes == [(512, 640), (128, 160)]
    assert (full.float() - small.float()).abs().mean() < 1


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_have_the_colours_side_by_side(workers: int) -> None:
    dataset = ImageDataset(drawn(), Preprocessing(16).transform())
    batch = next(iter(loader(dataset, 4, train=False, workers=workers)))
    images, targets, indices = batch.inputs["image"], batch.targets["labels"], batch.index
    assert images.shape == (4, 3, 16, 16)
    assert images.stride() == (3 * 16 * 16, 1, 3 * 16, 3)
    assert torch.equal(images, torch.stack([dataset[k][0] for k in range(4)]))
    assert torch.equal(targets, dataset.targets.rows(slice(4)))
    assert indices.tolist() == [0, 1, 2, 3]
    assert indices.dtype == torch.int64


def test_cached_items_equal_uncached_ones_and_decode_once() -> None:
    plain, source = drawn(), drawn()
    cached = ImageDataset(source, Preprocessing(32).transform(), cache="memory")
    expected = ImageDataset(plain, Preprocessing(32).transform())
    for _ in range(2):
        for index in (7, 0, 9):
            assert torch.equal(cached[index][0], expected[index][0])
    assert sorted(source.asked) == list(range(10))
    assert cached.cache is not None
    assert cached.cache.bytes == sum(plain.load(k).numel() for k in range(10))


def test_cached_images_are_shrunk_to_the_side_needed() -> None:
    cached = ImageDataset(drawn(), Preprocessing(10).transform(), cache="memory")
    cached.fill_cache()
    assert cached.cache is not None
    image = cached.cache.get(3, lambda index: pytest.fail("decoded twice"), 10)
    assert image.shape == (3, 10, 30 * 10 // 23)
    assert shrink(image, 10) is image
    assert shrink(image, None) is image


def test_cache_over_several_blocks() -> None:
    photos = [torch.full((3, 2, 1 + k % 3), k % 256, dtype=torch.uint8) for k in range(600)]
    cache = ImageCache(600)
    cache.fill(photos.__getitem__, None, threads=3)
    for k in (0, 255, 256, 511, 599):
        assert torch.equal(cache.get(k, photos.__getitem__, None), photos[k])


def test_a_failed_fill_leaves_an_empty_cache_that_can_be_filled() -> None:
    def decode(index: int) -> torch.Tensor:
        raise InputError("broken")

    cache = ImageCache(3)
    with pytest.raises(InputError, match="broken"):
        cache.fill(decode, None, threads=2)
    cache.fill(lambda index: torch.full((3, 1, 1), index, dtype=torch.uint8), None, threads=1)
    assert cache.get(2, decode, None).flatten().tolist() == [2, 2, 2]


def test_a_memory_cache_that_is_full_decodes_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[int] = []

    def decode(index: int) -> torch.Tensor:
        asked.append(index)
        return torch.full((3, 2, 5), index, dtype=torch.uint8)

    cache = ImageCache(10, most=125)  # of 30 bytes each
    cache.fill(decode, None, threads=2)
    assert cache.filled
    assert cache.bytes == 120
    assert "contains 4 of 10 images" in caplog.text
    for _ in range(2):
        asked.clear()
        for index in range(10):
            assert torch.equal(cache.get(index, decode, None), decode(index))
        assert [asked.count(index) for index in range(10)] == [1] * 4 + [2] * 6


def test_a_cache_decodes_only_a_few_images_ahead() -> None:
    asked: list[int] = []

    def decode(index: int) -> torch.Tensor:
        asked.append(index)
        return torch.zeros(3, 1, 1, dtype=torch.uint8)

    images = decoded_in_order(decode, 1000, None, threads=2)
    next(images)
    images.close()  # type: ignore[attr-defined]
    assert len(asked) < 10


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("change", ["gone", "broken", "pipe"])
def test_a_file_that_fails_after_the_check_is_one_error(
    tmp_path: Path, workers: int, change: str
) -> None:
    names = [f"{k}.png" for k in range(6)]
    for name in names:
        save_image(tmp_path / name)
    source = FileImages(tmp_path, LabelSet(["x"]), names, np.ones((6, 1), np.float32))
    checked, _ = check_images(source, "skip")
    batches = loader(
        ImageDataset(checked, Preprocessing(8).transform()), 2, train=False, workers=workers
    )
    assert len(list(batches)) == 3
    path = tmp_path / "3.png"
    if change == "broken":
        path.write_bytes(path.read_bytes()[:60])
    else:
        path.unlink()
    if change == "pipe":
        os.mkfifo(path)
    with pytest.raises(InputError, match=r"^(?!.*Traceback)[^\n]*3\.png[^\n]*\Z"):
        list(batches)
    path.unlink(missing_ok=True)
    save_image(path)
    assert len(list(batches)) == 3  # the loader can be used on


def epoch(batches: Iterable[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
    images, indices = zip(*((batch.inputs["image"], batch.index) for batch in batches), strict=True)
    return torch.cat(images), torch.cat(indices)


def test_seed_and_epoch_alone_decide_order_and_augmentation() -> None:
    def make(seed: int = 3, cache: str = "none", workers: int = 0) -> ImageLoader:
        dataset = ImageDataset(drawn(), training_transform(24, "strong"), cache=cache)  # type: ignore[arg-type]
        return loader(dataset, 5, train=True, seed=seed, workers=workers)

    batches = make()
    first, second = epoch(batches), epoch(batches)
    assert first[1].tolist() != second[1].tolist()
    same = make(cache="memory")
    torch.rand(5)  # what else is drawn in the process has no say
    for expected in (first, second):
        got = epoch(same)
        assert torch.equal(got[1], expected[1])
        assert torch.equal(got[0], expected[0])
    resumed = make()
    resumed.sampler.set_epoch(1)  # type: ignore[attr-defined]
    assert torch.equal(epoch(resumed)[0], second[0])
    assert epoch(make(seed=4))[1].tolist() != first[1].tolist()


def test_workers_change_nothing() -> None:
    dataset = ImageDataset(drawn(), training_transform(24, "strong"), cache="memory")
    alone = loader(dataset, 4, train=True, seed=1)
    helped = loader(dataset, 4, train=True, seed=1, workers=2)
    for _ in range(2):
        (ours, order), (theirs, their_order) = epoch(alone), epoch(helped)
        assert torch.equal(order, their_order)
        assert torch.equal(ours, theirs)


def test_augmentation_leaves_the_global_generator_alone() -> None:
    batches = loader(ImageDataset(drawn(), training_transform(24, "strong")), 5, train=True)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    next(iter(batches.dataset[index] for index in [(1, 77)]))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("N", "batches"), [(10, 2), (4, 1), (3, 1), (1, 1)])
def test_training_never_has_an_empty_epoch(N: int, batches: int) -> None:
    dataset = ImageDataset(drawn(N), Preprocessing(8).transform())
    assert len(list(loader(dataset, 4, train=True))) == batches
    in_order = torch.cat([batch.index for batch in loader(dataset, 4, train=False)])
    assert in_order.tolist() == list(range(N))


def test_batches_have_documented_types() -> None:
    dataset = ImageDataset(drawn(), Preprocessing(8).transform())
    batch = next(iter(loader(dataset, 4, train=False)))
    images, targets, indices = batch.inputs["image"], batch.targets["labels"], batch.index
    assert (images.shape, images.dtype) == ((4, 3, 8, 8), torch.uint8)
    assert (targets.shape, targets.dtype) == ((4, 3), torch.float32)
    assert (indices.tolist(), indices.dtype) == ([0, 1, 2, 3], torch.int64)


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="unknown cache 'memry'; did you mean 'memory'"):
        ImageDataset(drawn(), Preprocessing(8).transform(), cache="memry")  # type: ignore[arg-type]
    dataset = ImageDataset(drawn(), Preprocessing(8).transform())
    with pytest.raises(InputError, match="batch size 0"):
        loader(dataset, 0, train=True)
    with pytest.raises(InputError, match="no images"):
        loader(ImageDataset(drawn().subset([]), Preprocessing(8).transform()), 4, train=False)


def test_the_example_of_the_package_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ["train,cat", "train,dog", "train,cat|sofa", "train,", "val,dog"]
    rows = "".join(f"{k}.png,{row}\n" for k, row in enumerate(labels))
    write_csv(tmp_path / "photos", "image,split,labels\n" + rows)
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(gatlabel.data)
    assert outcome.attempted >= 6
    assert outcome.failed == 0


def test_importing_the_package_loads_neither_torchvision_nor_pillow() -> None:
    code = (
        "import sys, gatlabel.data as d; d.training_transform; "
        "print([m for m in ('torchvision', 'PIL', 'lightning', 'matplotlib', 'torch_geometric') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Batches: made of items, moved as a whole."""

import pytest
import torch
from lightning.pytorch.utilities import move_data_to_device
from torch.utils.data import DataLoader

from gatlabel.batch import Batch, Item, stack_images


def items(count: int = 3) -> list[Item]:
    torch.manual_seed(0)
    return [
        (torch.randint(256, (3, 5, 7), dtype=torch.uint8), torch.rand(4), 10 + k)
        for k in range(count)
    ]


def test_a_batch_is_made_of_its_items() -> None:
    given = items()
    batch = Batch.collate(given)
    assert len(batch) == 3
    assert torch.equal(batch.inputs["image"], torch.stack([image for image, _, _ in given]))
    assert torch.equal(batch.targets["labels"], torch.stack([target for _, target, _ in given]))
    assert batch.index.tolist() == [10, 11, 12]
    assert (batch.index.dtype, batch.weight) == (torch.int64, None)


def test_images_in_planes_are_stacked_with_colours_side_by_side() -> None:
    images = [image for image, _, _ in items()]
    batch = stack_images(images)
    assert torch.equal(batch, torch.stack(images))
    assert batch.is_contiguous(memory_format=torch.channels_last)


def everything(batch: Batch) -> list[torch.Tensor]:
    assert batch.weight is not None
    return [*batch.inputs.values(), *batch.targets.values(), batch.index, batch.weight]


def full() -> Batch:
    rows = torch.arange(6.0).view(2, 3)
    inputs = {"image": rows, "text": rows.long()}
    return Batch(inputs, {"labels": rows, "age": rows[:, 0]}, torch.arange(2), torch.ones(2))


@pytest.mark.parametrize("move", [Batch.to, move_data_to_device])
def test_every_part_moves(move) -> None:
    moved = move(full(), torch.device("meta"))
    assert isinstance(moved, Batch)
    assert {part.device.type for part in everything(moved)} == {"meta"}
    assert (list(moved.inputs), list(moved.targets)) == (["image", "text"], ["labels", "age"])
    assert {part.device.type for part in everything(full().to("cpu"))} == {"cpu"}


@pytest.mark.gpu
def test_loaders_pin_every_part() -> None:
    (batch,) = DataLoader([full()], batch_size=None, pin_memory=True)
    assert all(part.is_pinned() for part in everything(batch))
    assert {part.device.type for part in everything(batch.to("cuda"))} == {"cuda"}

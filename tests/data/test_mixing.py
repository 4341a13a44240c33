"""Several data sets mixed: which items come, in which order, and with which targets."""

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from gatlabel.data.mixing import MIXINGS, MixedDataset, MixedSampler, mixed_loader
from gatlabel.errors import InputError
from gatlabel.nn import LinearHead
from gatlabel.tasks import MultiClassTask, MultiLabelTask, RegressionTask

SIZES = [100, 25, 4]


def positions(mixing: str, epoch: int, seed: int = 3) -> list[int]:
    sampler = MixedSampler(SIZES, seed, mixing)
    sampler.set_epoch(epoch)
    return [position for position, _ in sampler]


def part_of(position: int) -> int:
    return 0 if position < 100 else 1 if position < 125 else 2


@pytest.mark.parametrize(
    ("mixing", "counts"),
    [
        ("proportional", [100, 25, 4]),
        ("sqrt", [76, 38, 15]),  # 129 in proportion 10 : 5 : 2
        ("round_robin", [43, 43, 43]),
    ],
)
def test_every_epoch_has_its_share_of_each_data_set(mixing: str, counts: list[int]) -> None:
    for epoch in range(4):
        found = Counter(map(part_of, positions(mixing, epoch)))
        assert [found[part] for part in range(3)] == counts


@pytest.mark.parametrize("mixing", MIXINGS)
def test_all_of_a_data_set_comes_before_an_item_comes_again(mixing: str) -> None:
    seen: dict[int, Counter] = {part: Counter() for part in range(3)}
    for epoch in range(7):
        for position in positions(mixing, epoch):
            seen[part_of(position)][position] += 1
    for part, size in enumerate(SIZES):
        times = list(seen[part].values())
        assert len(times) == size
        assert max(times) - min(times) <= 1


@pytest.mark.parametrize("mixing", MIXINGS)
def test_the_order_is_a_function_of_seed_and_epoch(mixing: str) -> None:
    """It does not depend on earlier draws, so a resumed run has the same batches."""
    whole = MixedSampler(SIZES, 3, mixing)
    epochs = [list(whole) for _ in range(3)]
    for epoch in (2, 0, 1):
        again = MixedSampler(SIZES, 3, mixing)
        again.set_epoch(epoch)
        assert list(again) == epochs[epoch]
    assert epochs[0] != epochs[1]
    assert list(MixedSampler(SIZES, 4, mixing)) != epochs[0]
    seeds = [seed for epoch in epochs for _, seed in epoch]
    assert len(set(seeds)) == len(seeds)  # chance of its own every time an item comes


def test_round_robin_takes_the_data_sets_in_turn() -> None:
    assert [part_of(position) for position in positions("round_robin", 1)[:9]] == [0, 1, 2] * 3


class Numbers(Dataset):
    def __init__(self, count: int, target) -> None:
        self.count, self.target = count, target

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple:
        noise = torch.randint(200, (3, 2, 2), dtype=torch.uint8)
        return noise, self.target(index), index


TASKS = {
    task.name: task
    for task in (
        MultiLabelTask("things", ["a", "b"], LinearHead(2, ["a", "b"])),
        RegressionTask("count", ["n"], nn.Identity()),
        MultiClassTask("place", ["in", "out"], nn.Identity()),
    )
}


class Broken(Numbers):
    def __getitem__(self, item: int):
        raise InputError("the image 3.png cannot be read")


@pytest.mark.filterwarnings("ignore:.*worker processes in total.*")  # on one core
@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_one_line(workers: int) -> None:
    loader = mixed_loader(
        MixedDataset([(Broken(4, float), "count")]), TASKS, 2, train=True, workers=workers
    )
    with pytest.raises(InputError) as error:
        next(iter(loader))
    assert str(error.value) == "the image 3.png cannot be read"


def mixture() -> MixedDataset:
    things = Numbers(6, lambda k: torch.tensor([1.0, float(k)]))
    count = Numbers(4, lambda k: float(k))
    both = Numbers(2, lambda k: {"place": k, "count": torch.tensor([10.0 + k])})
    return MixedDataset([(things, "things"), (count, "count"), (both, None)])


def test_targets_of_other_tasks_are_absent() -> None:
    (batch,) = mixed_loader(mixture(), TASKS, 12, train=False)
    assert batch.inputs["image"].shape == (12, 3, 2, 2)
    assert batch.index.tolist() == list(range(12))
    absent: dict[str, Tensor] = {name: ~task.known(batch.targets[name]).reshape(12, -1).all(1)
                                 for name, task in TASKS.items()}  # fmt: skip
    assert absent["things"].tolist() == [False] * 6 + [True] * 6
    assert absent["count"].tolist() == [True] * 6 + [False] * 6
    assert absent["place"].tolist() == [True] * 10 + [False] * 2
    assert batch.targets["count"][6:, 0].tolist() == [0, 1, 2, 3, 10, 11]
    assert batch.targets["place"][10:].tolist() == [0, 1]
    assert batch.targets["things"][4].tolist() == [1, 4]


def test_batches_are_the_same_whenever_they_are_drawn() -> None:
    """Images too: their chance depends on seed, epoch and position."""

    def batches(skip: int) -> list[Tensor]:
        loader = mixed_loader(mixture(), TASKS, 4, train=True, mixing="sqrt", seed=1)
        for _ in range(skip):
            torch.rand(5)
        loader.sampler.set_epoch(2)
        return [each.inputs["image"] for each in loader]

    assert all(torch.equal(one, two) for one, two in zip(batches(0), batches(3), strict=True))


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="mixing"):
        MixedSampler(SIZES, 0, "square-root")
    with pytest.raises(InputError, match="no data sets"):
        MixedDataset([])
    with pytest.raises(InputError, match="data set 0 of the mixed ones has no items"):
        MixedDataset([(Numbers(0, float), "count")])
    with pytest.raises(InputError, match="batch size 0"):
        mixed_loader(mixture(), TASKS, 0, train=True)

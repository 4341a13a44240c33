"""The user's own data set, encoder, loss, callbacks and loggers in a run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.data.torch_datasets import DatasetImages, splits_of
from gatlabel.errors import InputError
from gatlabel.losses import binary_cross_entropy
from gatlabel.model import MultiLabelClassifier
from gatlabel.training import plain, resume, train
from gatlabel.training.data import read_data

NAMES = ["bright", "large", "red"]


class Squares(torch.utils.data.Dataset):
    """Squares that are bright or dark, large or small, red or grey."""

    def __init__(self, count: int = 48, form: str = "tensor", unknown: bool = False) -> None:
        self.labels, self.form, self.count, self.unknown = NAMES, form, count, unknown

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple:
        bright, large, red = (bool(index >> bit & 1) for bit in range(3))
        image = torch.zeros(3, 16, 16, dtype=torch.uint8)
        image[: 1 if red else 3, : 12 if large else 5, :12] = 220 if bright else 90
        target = torch.tensor([bright, large, red]).float()
        if self.unknown and index % 5 == 0:
            target[0] = -1
        if self.form == "pil":
            return Image.fromarray(image.permute(1, 2, 0).numpy()), target, index
        if self.form == "array":
            return image.permute(1, 2, 0).numpy(), target.tolist()
        return image, target


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())


def options(folder: Path, **changes):
    given = {
        "head": "linear",
        "images.size": 16,
        "images.augmentation": "none",
        "run.epochs": 3,
        "run.batch_size": 8,
        "run.progress": False,
        "run.output": folder,
        "encoder.pooling": "average",
        "optimizer.encoder_lr": 1.0,
        **changes,
    }
    return plain().with_options(given)


class Steps(Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, module, outputs, batch, index) -> None:
        self.losses.append(float(outputs["loss"]))


def growing(logits: Tensor, targets: Tensor, epoch: int) -> Tensor:
    growing.seen.add(epoch)
    return (1 + epoch) * binary_cross_entropy(logits, targets)


growing.seen = set()


def test_all_user_objects_are_used_in_a_run(tmp_path: Path) -> None:
    steps, logger = Steps(), CSVLogger(tmp_path / "logs")
    growing.seen.clear()
    result = train(
        options(tmp_path / "run", **{"head": "gat", "head.hidden": 8, "head.heads": 2}),
        data=Squares(unknown=True),
        encoder=network(),
        loss=growing,
        callbacks=[steps],
        loggers=[logger],
    )
    assert growing.seen == {0, 1, 2}
    assert len(steps.losses) == 3 * 4
    assert (Path(logger.log_dir) / "metrics.csv").read_text().count("\n") > 3
    assert list(result.model.labels) == NAMES
    assert [len(each.source) for each in result.evaluations] == [7, 7]
    folder = result.folder
    loaded = MultiLabelClassifier.from_pretrained(folder, encoder=encoder_like(result.model))
    images = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(loaded(images), result.model(images))
    with pytest.raises(InputError, match="data=python: the data set is a Python object"):
        read_data(options(folder, data="python"))


def encoder_like(model: MultiLabelClassifier):
    from gatlabel.encoders import Encoder

    return Encoder.from_module(network(), image_size=model.image_size)


def test_an_own_loss_and_encoder_decide_what_is_learned(tmp_path: Path) -> None:
    """The same loss as the built-in one gives the same weights; another gives others."""

    def weights(name: str, **given) -> dict[str, Tensor]:
        config = options(tmp_path / name, **{"run.compare": "no"})
        data = {"train": Squares(), "val": Squares(8)}
        return train(config, data=data, encoder=network(), **given).model.state_dict()

    usual, same = weights("usual"), weights("same", loss=binary_cross_entropy)
    other = weights("other", loss=lambda z, y: F.mse_loss(z.sigmoid(), y))
    assert all(torch.equal(value, same[name]) for name, value in usual.items())
    assert not torch.equal(usual["head.linear.weight"], other["head.linear.weight"])


class StopError(Exception):
    pass


class Stopping(Callback):
    def on_train_epoch_start(self, trainer, module) -> None:
        if trainer.current_epoch == 2:
            raise StopError


def test_such_a_run_resumes(tmp_path: Path) -> None:
    parts = {"data": Squares(), "loss": binary_cross_entropy}
    whole = train(options(tmp_path / "whole"), encoder=network(), **parts)
    with pytest.raises(StopError):
        train(options(tmp_path / "run"), encoder=network(), callbacks=[Stopping()], **parts)
    with pytest.raises(InputError, match="the data set is a Python object"):
        resume(tmp_path / "run")
    again = resume(tmp_path / "run", encoder=network(), **parts)
    state = again.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.model.state_dict().items())


@pytest.mark.parametrize("form", ["tensor", "pil", "array"])
def test_images_may_come_as_tensors_arrays_and_of_pil(form: str) -> None:
    source = DatasetImages(Squares(10, form))
    assert torch.equal(source.load(5), Squares(10).__getitem__(5)[0])
    assert torch.equal(source.targets.to_dense()[5], torch.tensor([1.0, 0, 1]))
    part = source.subset([3, 5]).subset([1])
    assert torch.equal(part.load(0), source.load(5))
    assert part.fingerprint() == DatasetImages(Squares(10)).subset([3, 5]).subset([1]).fingerprint()
    assert part.fingerprint() != source.subset([4]).fingerprint()


def test_targets_of_an_attribute_need_no_image() -> None:
    class Lazy(Squares):
        targets = np.eye(3)

        def __getitem__(self, index: int) -> tuple:
            raise AssertionError

    assert torch.equal(DatasetImages(Lazy(3)).targets.to_dense(), torch.eye(3))


def test_a_part_of_a_data_set_keeps_its_groups() -> None:
    whole = DatasetImages(Squares(4))
    whole.groups = ("ann", "ann", "bob", "eve")
    assert whole.subset([3, 1, 0]).subset([0, 2]).groups == ("eve", "ann")
    assert DatasetImages(Squares(4)).subset([1]).groups is None


class Float(Squares):
    def __getitem__(self, index: int) -> tuple:
        image, target = super().__getitem__(index)
        return image / 255, target


class Nameless(Squares):
    def __init__(self) -> None:
        super().__init__()
        del self.labels


class Uneven(Squares):
    def __getitem__(self, index: int) -> tuple:
        image, target = super().__getitem__(index)
        return image, target[: 1 + index % 2]


def refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Nameless(), "no attribute labels"),
        (Uneven(), "with the same L for all items"),
        (Squares(0), "no items"),
        (7, "is a int: give a map-style data set"),
        ([1, 2], "no attribute labels"),
        ({"training": Squares()}, "'training' is not a split"),
        ({"val": Squares()}, "no train split"),
    ],
)
def test_bad_data_sets_are_refused(data: object, message: str) -> None:
    refused(lambda: splits_of(data), message)


def test_bad_images_are_refused() -> None:
    refused(lambda: DatasetImages(Float()).load(0), "image 0 is torch.float32 .*uint8")
    refused(lambda: DatasetImages(Squares(), labels=["a"]), "3 targets per item, but 1 labels")


@pytest.mark.parametrize(
    ("given", "changes", "message"),
    [
        ({"encoder": "resnet"}, {}, "str is not a torch.nn.Module"),
        ({"encoder": nn.Linear(3, 4)}, {}, "encoder: Linear fails on an image"),
        ({"encoder": network()}, {"encoder.weights": "imagenet"}, "encoder.weights=imagenet"),
        ({"loss": "bce"}, {}, "str cannot be called"),
        ({"loss": lambda z: z.sum()}, {}, "loss: fails on logits"),
        ({"loss": lambda z, y: (z - y).square()}, {}, "must return a scalar"),
        ({"loss": lambda z, y: z.sum().detach()}, {}, "must return a scalar"),
        ({"loss": lambda z, y: (z - y).square().sum().log() * torch.inf}, {}, "not finite"),
        ({"loss": F.binary_cross_entropy_with_logits}, {"loss": "asl"}, "loss.name=asl"),
        ({"callbacks": [print]}, {}, "is not a Callback"),
        ({"loggers": ["tensorboard"]}, {}, "str is not a Logger"),
        ({"data": Squares()}, {"run.devices": 2}, "devices=2: not with data"),
        ({"labels": NAMES}, {}, "labels: only for data"),
        ({"data": Squares(unknown=True), "loss": lambda z, y: (z - y).square().mean()}, {},
         "targets are unknown"),
    ],
)  # fmt: skip
def test_invalid_options_are_refused_before_anything_is_written(
    tmp_path: Path, given: dict, changes: dict, message: str
) -> None:
    refused(lambda: train(options(tmp_path / "run", **changes), **given), message)
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())

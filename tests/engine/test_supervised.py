"""Supervised learning of several tasks: gradients against a union by hand, balancing, resuming."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from gatlabel.batch import Batch
from gatlabel.encoders import Encoder
from gatlabel.engine.balancing import BALANCERS, create_balancer
from gatlabel.engine.checkpoints import read_checkpoint
from gatlabel.engine.fitting import fit
from gatlabel.engine.loop import train
from gatlabel.engine.options import OneCycle, OptimizerOptions
from gatlabel.engine.specs import FitSpec
from gatlabel.engine.supervised import Supervised
from gatlabel.errors import InputError
from gatlabel.model import Model
from gatlabel.nn import LinearHead
from gatlabel.tasks import MultiLabelTask, RegressionTask

D, N = 8, 24
NAMES = ("voc", "coco", "count")


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, D, 3, stride=4)
        self.norm = nn.BatchNorm2d(D)
        self.drop = nn.Dropout(0.2)

    def forward(self, images: Tensor) -> Tensor:
        return self.drop(self.norm(self.conv(images)).tanh())


def make_model() -> Model:
    torch.manual_seed(0)
    tasks = [
        MultiLabelTask("voc", [*"ab"], LinearHead(D, [*"ab"])),
        MultiLabelTask("coco", [*"xyz"], LinearHead(D, [*"xyz"])),
        RegressionTask("count", ["n"], LinearHead(D, ["n"]), offset=[2], scale=[1.5]),
    ]
    return Model({"image": Encoder.from_module(Tiny(), image_size=12)}, tasks)


class Images(Dataset[tuple[Tensor, dict[str, Tensor], int]]):
    """Images of which a third is labelled for each task, and each first for two."""

    def __init__(self, model: Model) -> None:
        generator = torch.Generator().manual_seed(1)
        self.images = torch.randint(256, (N, 3, 12, 12), generator=generator, dtype=torch.uint8)
        self.targets = {
            "voc": torch.randint(2, (N, 2), generator=generator).float(),
            "coco": torch.randint(2, (N, 3), generator=generator).float(),
            "count": torch.rand(N, 1, generator=generator) * 5,
        }
        absent = {name: task.absent(N) for name, task in model.tasks.items()}
        for number, name in enumerate(NAMES):
            rows = torch.arange(N)
            off = (rows % 3 != number) & (rows % 9 != (number + 1) % 3)
            self.targets[name][off] = absent[name][off]

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor], int]:
        return self.images[index], {n: t[index] for n, t in self.targets.items()}, index


def collate(items: list) -> Batch:
    images, targets, index = zip(*items, strict=True)
    by_task = {name: torch.stack([each[name] for each in targets]) for name in NAMES}
    return Batch({"image": torch.stack(images)}, by_task, torch.tensor(index))


def loader(model: Model, size: int = 8) -> DataLoader:
    return DataLoader(Images(model), batch_size=size, collate_fn=collate)


def by_hand(model: Model, batch: Batch) -> Tensor:
    """The losses of the union, on the labelled rows only."""
    features = model.features(batch.inputs)
    total = torch.zeros(())
    for name, task in model.tasks.items():
        targets = batch.targets[name]
        rows = (~targets.isnan() if name == "count" else targets >= 0).any(1)
        if not rows.any():
            continue
        outputs = features[rows] @ task.head.linear.weight.T + task.head.linear.bias
        if name == "count":
            total = total + F.mse_loss(outputs, (targets[rows] - 2) / 1.5)
        else:
            total = total + F.binary_cross_entropy_with_logits(outputs, targets[rows])
    return total


def gradients(model: Model) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_gradients_are_those_of_the_union_by_hand() -> None:
    model, other = make_model(), make_model()
    batch = next(iter(loader(model, N)))
    objective = Supervised()
    torch.manual_seed(5)
    losses = objective.step(model, batch, 0)
    assert list(losses) == list(NAMES)
    objective.total(losses).backward()
    torch.manual_seed(5)
    by_hand(other, batch).backward()
    expected = gradients(other)
    assert gradients(model).keys() == expected.keys()
    for name, value in gradients(model).items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize("balancer", [None, *sorted(BALANCERS)])
def test_a_task_without_targets_in_the_batch_gets_gradients_of_exactly_0(
    balancer: str | None,
) -> None:
    model = make_model()
    batch = next(iter(loader(model, N)))
    batch.targets["coco"] = model.tasks["coco"].absent(N)
    objective = Supervised(balancer=None if balancer is None else create_balancer(balancer, NAMES))
    losses = objective.step(model, batch, 0)
    assert losses["coco"].item() == 0
    objective.total(losses).backward()
    for parameter in model.tasks["coco"].head.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.any()
    assert all(value.isfinite().all() for value in gradients(model).values())
    assert model.encoders["image"].trunk.conv.weight.grad.abs().sum() > 0


def test_training_is_the_same_without_validation(tmp_path: Path) -> None:
    weights = []
    for validates in (True, False):
        model = make_model()
        batches = (loader(model), loader(model) if validates else None)
        options = OptimizerOptions(lr=0.01, encoder_lr=1.0)
        rows = fit(model, batches, Supervised(), options, FitSpec(epochs=2), checkpoints=tmp_path)
        assert all(("val_score" in row) == validates for row in rows)
        assert all("train_loss" in row for row in rows)
        weights.append(model.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize("wanted", [{"patience": 2}, {"keep": "best"}])
def test_a_choice_of_epochs_needs_validation(wanted: dict) -> None:
    model = make_model()
    with pytest.raises(InputError, match="need a loader of validation images"):
        fit(
            model,
            (loader(model), None),
            Supervised(),
            OptimizerOptions(lr=0.01),
            FitSpec(epochs=2, **wanted),
        )


def test_weights_multiply_losses() -> None:
    model, other = make_model(), make_model()
    batch = next(iter(loader(model, N)))
    for one, objective in (
        (model, Supervised(weights={"voc": 2.0, "count": 0.0})),
        (other, Supervised(balancer=create_balancer("fixed", NAMES, fixed={"voc": 2, "count": 0}))),
    ):
        torch.manual_seed(5)
        objective.total(objective.step(one, batch, 0)).backward()
    for name, value in gradients(other).items():
        torch.testing.assert_close(gradients(model)[name], value, msg=name)


OPTIMIZER = OptimizerOptions(lr=0.01, encoder_lr=1.0, ema=0.9)


def fitted(folder: Path | None, name: str | None, *, resume: int | None = None) -> tuple:
    model = make_model()
    balancer = None if name is None else create_balancer(name, NAMES)
    objective = Supervised(balancer=balancer)
    checkpoint = None
    if folder is not None:
        folder.mkdir(exist_ok=True)
    if resume is not None and folder is not None:
        checkpoint = read_checkpoint(folder / "last.ckpt")
        assert checkpoint.epoch == resume
    batches = loader(model), loader(model)
    spec = FitSpec(epochs=3, device="cpu")
    rows = fit(model, batches, objective, OPTIMIZER, spec, checkpoints=folder, resume=checkpoint)
    return model, objective, rows


@pytest.mark.parametrize("name", ["cagrad", "famo", "fairgrad", "gradnorm", "gradvac", "upgrad"])
def test_balancers_learn_in_mixed_precision(name: str) -> None:
    found = []
    for amp in ("off", "on"):
        objective = Supervised(balancer=create_balancer(name, NAMES))
        model = make_model()
        batches = loader(model), loader(model)
        rows = fit(model, batches, objective, OPTIMIZER, FitSpec(epochs=2, device="cpu", amp=amp))
        found.append((objective.balancer.weights, rows[-1]["train_loss"]))
    (weights, loss), (mixed, other) = found
    torch.testing.assert_close(mixed, weights, atol=0, rtol=0.02)
    assert other == pytest.approx(loss, rel=0.01)
    assert not torch.equal(mixed, weights)  # it was on


class StopError(Exception):
    pass


@pytest.mark.parametrize("name", sorted(BALANCERS))
def test_an_interrupted_run_goes_on_bit_for_bit(
    tmp_path: Path, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatlabel.engine.epoch_checkpoints import EpochCheckpoints

    whole, objective, rows = fitted(None, name)
    saved = EpochCheckpoints.on_train_epoch_end

    def interrupted(self: EpochCheckpoints, trainer: object, module: object) -> None:
        saved(self, trainer, module)
        if trainer.current_epoch == 1:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(EpochCheckpoints, "on_train_epoch_end", interrupted)
        with pytest.raises(StopError):
            fitted(tmp_path, name)
    resumed, again, curves = fitted(tmp_path, name, resume=1)
    assert curves == rows
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    for key, value in objective.state_dict().items():
        torch.testing.assert_close(
            value, again.state_dict()[key], rtol=0, atol=0, equal_nan=True, msg=key
        )


@pytest.mark.parametrize("name", ["uncertainty", "dwa", "famo", "gradnorm"])
def test_the_model_is_averaged_and_the_balancer_is_not(tmp_path: Path, name: str) -> None:
    model, objective, _ = fitted(tmp_path, name)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    averaged, current = state["state_dict"], state["current_model_state"]
    for key, value in model.state_dict().items():
        assert torch.equal(averaged[f"model.{key}"], value)
        moved = value.is_floating_point() and key.endswith(("weight", "running_mean"))
        assert not moved or not torch.equal(current[f"model.{key}"], value), key
    own = objective.state_dict()
    assert own.keys()
    for key, value in own.items():
        for saved in (averaged, current):
            torch.testing.assert_close(
                saved[f"objective.{key}"], value, rtol=0, atol=0, equal_nan=True, msg=key
            )
    if name == "famo":  # one step of its optimiser in each of the 9 of the run
        assert own["balancer.adam.steps"] == 9


def test_the_rate_of_an_epoch_is_that_of_its_last_step() -> None:
    model, steps = make_model(), 4  # one per epoch; the schedule moves on after each
    batches = loader(model, 2 * N), loader(model)
    options = replace(OPTIMIZER, lr=0.01, schedule=OneCycle(warmup=0.5))
    rows = fit(model, batches, Supervised(), options, FitSpec(epochs=steps, device="cpu"))
    rates = [row["lr"] for row in rows]
    assert rates == pytest.approx([0.01 / 25, 0.01, 0.005, 0.01 / 25e4], abs=1e-6)


def test_the_figures_of_several_tasks() -> None:
    model, objective, rows = fitted(None, None)
    assert objective.monitor == "val_score"
    names = {"val_loss", "val_voc_mAP", "val_coco_mAP", "val_count_R2", "val_score"}
    assert set(rows[-1]) == {"epoch", "train_loss", "lr", *names}
    data = Images(model)
    outputs = model({"image": data.images})
    scores = {
        name: task.score(outputs[name], data.targets[name]) for name, task in model.tasks.items()
    }
    assert rows[-1]["val_count_R2"] == pytest.approx(scores["count"], abs=1e-5)
    assert rows[-1]["val_score"] == pytest.approx(sum(scores.values()) / 3, abs=1e-5)
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


def test_the_parameters_of_a_balancer_learn_without_decay() -> None:
    _, objective, _ = fitted(None, "uncertainty")
    assert objective.balancer.log_variance.abs().min() > 0


@pytest.mark.parametrize("name", [None, "dwa", "famo", "upgrad"])
def test_the_plain_loop_takes_the_same_steps(name: str | None) -> None:
    """Without dropout, clipping and schedule both are plain SGD."""
    model, other = make_model(), make_model()
    for each in (model, other):
        each.encoders["image"].trunk.drop.p = 0.0
    options = OptimizerOptions(
        name="sgd", lr=0.1, encoder_lr=1.0, ema=0.0, clip_gradient=0.0, weight_decay=0.0,
        schedule="constant",
    )  # fmt: skip
    batches = loader(model)
    one, two = (
        Supervised(balancer=None if name is None else create_balancer(name, NAMES))
        for _ in range(2)
    )
    fit(model, (batches, batches), one, options, FitSpec(epochs=4, device="cpu"))
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    constant = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    train(other, two, lambda epoch: batches, optimizer, constant, 4)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"vok": 1.0}}, "no task 'vok'"),
        ({"weights": {"voc": -1.0}}, "weight -1.0"),
        ({"balancer": create_balancer("dwa", ["voc", "things"])}, "no task 'things'"),
        ({"weights": {"voc": 1.0}, "balancer": create_balancer("dwa", NAMES)}, "both given"),
    ],
)
def test_invalid_arguments_are_refused(options: dict, message: str) -> None:
    model = make_model()
    with pytest.raises(InputError, match=message):
        Supervised(**options).prepare(model, loader(model))

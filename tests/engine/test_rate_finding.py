"""A ramp finds the learning rate: against a slow definition, and without leaving a trace."""

import copy
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

from gatlabel.baselines.ridge import ridge_start
from gatlabel.batch import IMAGE, LABELS, Batch
from gatlabel.data import ImageDataset, loader
from gatlabel.encoders import Preprocessing
from gatlabel.engine import rate_finding
from gatlabel.engine.optimizers import make_optimizer
from gatlabel.engine.ramp import Ramp
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.missing import Completion, make_completion
from gatlabel.model import Network
from gatlabel.nn import LinearHead
from gatlabel.tasks import MultiLabelTask
from gatlabel.training import TrainConfig, plain
from gatlabel.training.building import build_graph, build_model
from gatlabel.training.fitting import objective_of, optimizer_of, set_loss, spec_of
from gatlabel.training.rate_finding import find_rate
from tests.data.sample_images import DrawnImages

N, D, L, B = 160, 6, 4, 16


class FeatureModel(Network):
    """A head on features that stand for images."""

    has_loss = True  # binary cross-entropy

    def __init__(self) -> None:
        super().__init__()
        self.head = LinearHead(D, L)
        self.labels = [f"label {i}" for i in range(L)]

    @property
    def tasks(self) -> dict[str, MultiLabelTask]:
        return {LABELS: MultiLabelTask(LABELS, [*"abcd"], self.head)}

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return inputs[IMAGE]


def drawn() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=generator)
    noise = torch.randn(N, L, generator=generator)
    y = (x @ torch.randn(D, L, generator=generator) + noise > 0.5).float()
    return x, y


def features_loader(x: Tensor, y: Tensor) -> DataLoader:
    def collate(items: list[Any]) -> Batch:
        return Batch.of_images(*default_collate(items))

    data = TensorDataset(x, y, torch.arange(len(x)))
    return DataLoader(data, batch_size=B, collate_fn=collate)


def options(**changes) -> TrainConfig:
    given = {"head": "linear", "encoder.freeze": "encoder", "images.size": 32, **changes}
    return plain().with_options(given).resolved()


def model_at_zero() -> FeatureModel:
    model = FeatureModel()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def ramp(
    model: nn.Module,
    config: TrainConfig,
    batches: DataLoader,
    completion: Completion | None = None,
    steps: int = rate_finding.STEPS,
) -> Ramp:
    """The engine's ramp, as the options of a run have it."""
    model = copy.deepcopy(model)
    set_loss(model, config, batches, completion)
    objective = objective_of(config, tuple(model.tasks[LABELS].outputs), completion)
    fitting = objective, optimizer_of(config), spec_of(config)
    return rate_finding.ramp(model, *fitting, batches, steps=steps)


def slow_verdict(
    rates: list[float], start: list[float], losses: list[list[float]]
) -> tuple[bool, float]:
    """Whether a start is fitted, and the largest good rate, in plain numbers."""
    smooth = []
    for k in range(len(losses)):
        near = [losses[j] for j in range(len(losses)) if abs(j - k) <= 2]
        smooth.append([sum(column) / len(near) for column in zip(*near, strict=True)])
    means = [sum(row) / len(row) for row in smooth]
    lowest = min(means)
    best = smooth[means.index(lowest)]
    spread = sum((value - lowest) ** 2 for value in best) / (len(best) - 1)
    noise = (spread / len(best)) ** 0.5
    good = [rate for rate, mean in zip(rates, means, strict=True) if mean <= lowest + noise]
    return sum(start) / len(start) - lowest <= 3 * noise, max(good)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fall", [0.0, 0.5])
def test_the_verdict_is_that_of_the_slow_definition(seed: int, fall: float) -> None:
    rng = np.random.default_rng(seed)
    rates = np.geomspace(1e-5, 1, 30).tolist()
    curve = np.maximum(np.log10(rates) + 3, 0) ** 2 * 0.05 + 0.3
    losses = curve[:, None] + rng.normal(0, 0.03, (30, 12)) + rng.normal(0, 0.1, 12)
    found = Ramp(losses[0] + fall, rates, list(losses))
    expected = slow_verdict(rates, found.start.tolist(), losses.tolist())
    assert (found.is_fitted(), found.largest_good()) == expected
    assert expected[0] == (fall == 0)
    assert rates[9] < expected[1] < rates[-1]
    assert found.collapsed()
    assert not Ramp(found.start, rates[:20], list(losses[:20])).collapsed()


def test_a_random_start_is_ramped_again_from_its_lowest_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ramps: list[tuple[nn.Module, Ramp]] = []
    original = rate_finding.ramp

    def spy(model, *arguments, **options):
        found = original(model, *arguments, **options)
        ramps.append((copy.deepcopy(model), found))
        return found

    monkeypatch.setattr(rate_finding, "ramp", spy)
    torch.manual_seed(0)
    model = FeatureModel()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=2.0)
    x, y = drawn()
    rate = find_rate(model, options(**{"optimizer.clip_gradient": 0.0}), features_loader(x, y))
    (_, first), (settled, second) = ramps
    means = [losses.mean() for losses in first.losses]
    logits = settled.head(x[:64]).detach()
    expected = torch.where(y[:64] == 1, -logits, logits).exp().log1p().mean(1)
    np.testing.assert_allclose(first.losses[int(np.argmin(means))], expected, rtol=1e-3)
    np.testing.assert_allclose(second.start, expected, rtol=1e-3)
    taken = second.rates[-1] / 8 if second.collapsed() else second.largest_good() / 2
    assert rate == pytest.approx(taken, rel=5e-3)


def test_the_ramp_is_that_of_the_slow_definition() -> None:
    """SGD with momentum, written out: the gradient of mean BCE is (p - y) x / (B L)."""
    x, y = drawn()
    config = options(
        **{"optimizer.name": "sgd", "optimizer.clip_gradient": 0.0, "optimizer.weight_decay": 0.0}
    )
    found = ramp(model_at_zero(), config, features_loader(x, y), steps=12)
    rates, start, losses = found.rates, found.start, found.losses
    weight, bias = torch.zeros(L, D), torch.zeros(L)
    speed, bias_speed = torch.zeros(L, D), torch.zeros(L)
    probe = x[:64], y[:64]  # four batches of the first epoch; the ramp trains on the others
    order = [*range(4, 10), *range(10), *range(10)]
    assert start == pytest.approx(np.full(64, np.log(2)))
    for step, rate in enumerate(rates):
        rows = slice(order[step] * B, order[step] * B + B)
        error = (torch.sigmoid(x[rows] @ weight.T + bias) - y[rows]) / (B * L)
        speed = 0.9 * speed + error.T @ x[rows]
        bias_speed = 0.9 * bias_speed + error.sum(0)
        weight, bias = weight - rate * speed, bias - rate * bias_speed
        logits = probe[0] @ weight.T + bias
        expected = torch.where(probe[1] == 1, -logits, logits).exp().log1p().mean(1)
        np.testing.assert_allclose(losses[step], expected, rtol=1e-3)
    assert np.diff(np.log(rates)) == pytest.approx(np.log(1e6) / 11, abs=0.1)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_fitted_start_is_not_destroyed(optimizer: str) -> None:
    x, y = drawn()
    model = FeatureModel()
    start = ridge_start(x, y)
    model.head.init_linear(start.weight, start.bias)
    batches = features_loader(x, y)
    config = options(**{"optimizer.name": optimizer, "optimizer.clip_gradient": 0.0})
    rate = find_rate(model, config, batches)

    @torch.no_grad()
    def mean_loss(model: FeatureModel) -> float:
        return float(nn.functional.binary_cross_entropy_with_logits(model.head(x), y))

    def loss_after(rate: float) -> float:
        trained = copy.deepcopy(model)
        steps = make_optimizer(
            trained, optimizer_of(config.with_options({"optimizer.lr": rate})), spec_of(config)
        )
        for batch in [*batches, *batches]:
            steps.zero_grad()
            logits = trained.head(batch.inputs["image"])
            loss = nn.functional.binary_cross_entropy_with_logits(logits, batch.targets["labels"])
            loss.backward()
            steps.step()
        return mean_loss(trained)

    before = mean_loss(model)
    assert loss_after(rate) < before * 1.25
    assert loss_after(30 * rate) > before * 1.5


class ExplosiveModel(FeatureModel):
    """Its features grow exponentially with a parameter, and overflow at high rates."""

    def __init__(self) -> None:
        super().__init__()
        self.growth = nn.Parameter(torch.tensor(0.01))

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return inputs[IMAGE] * torch.cosh(100 * self.growth)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_ramp_ends_before_nan(optimizer: str) -> None:
    config = options(**{"optimizer.name": optimizer, "optimizer.clip_gradient": 0.0})
    torch.manual_seed(0)
    model, batches = ExplosiveModel(), features_loader(*drawn())
    found = ramp(model, config, batches)
    assert np.isfinite(found.losses).all()
    assert len(found.rates) == len(found.losses) < rate_finding.STEPS
    assert 1e-5 < find_rate(model, config, batches) < found.rates[-1]


def test_a_batch_that_is_not_finite_takes_no_step() -> None:
    x, y = drawn()
    x[5 * B] = torch.nan  # in the second batch of the ramp
    config = options(**{"optimizer.name": "sgd", "optimizer.clip_gradient": 0.0})
    losses = ramp(model_at_zero(), config, features_loader(x, y), steps=12).losses
    assert len(losses) == 12
    assert (losses[1] == losses[0]).all()
    assert (losses[2] != losses[1]).any()


def images_model(**changes) -> tuple[nn.Module, TrainConfig, DataLoader]:
    targets = np.random.default_rng(0).integers(0, 2, (20, 3)).astype(np.float32)
    source = DrawnImages(targets)
    small = {
        "encoder.backbone": "shufflenet_v2_x0_5",
        "encoder.weights": "none",
        "run.batch_size": 4,
        **changes,
    }
    config = options(**small)
    counts = Cooccurrence.from_targets(source.targets, source.labels)
    torch.manual_seed(0)
    model = build_model(config, build_graph(config, counts))
    dataset = ImageDataset(source, Preprocessing(32, "squash").transform())
    return model, config, loader(dataset, config.run.batch_size, train=True, seed=config.run.seed)


class EndedError(Exception):
    """Raised in the midst of a ramp."""


def everything(model: nn.Module, batches: DataLoader) -> list:
    states = [*model.state_dict().values(), torch.get_rng_state()]
    states += [torch.from_numpy(np.random.get_state()[1].astype(np.int64))]  # noqa: NPY002
    modes = [module.training for module in model.modules()]
    return [*(state.clone() for state in states), modes, random.getstate(), batches.sampler.epoch]


@pytest.mark.parametrize("end", [None, EndedError, KeyboardInterrupt])
@pytest.mark.parametrize("freeze", ["none", "norms"])
def test_nothing_is_changed(
    end: type[BaseException] | None, freeze: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, config, batches = images_model(
        **{"encoder.freeze": freeze, "head": "query", "head.hidden": 8, "head.heads": 2}
    )
    batches.sampler.set_epoch(7)
    before = everything(model, batches)
    if end is None:
        find_rate(model, config, batches, steps=6)
    else:
        original = rate_finding.clip_gradients

        def clip(*arguments):
            random.random()
            np.random.rand()  # noqa: NPY002
            if torch.rand(()) >= 0 and next(count) == 2:
                raise end
            return original(*arguments)

        count = iter(range(9))
        monkeypatch.setattr(rate_finding, "clip_gradients", clip)
        with pytest.raises(end):
            find_rate(model, config, batches, steps=6)
    after = everything(model, batches)
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list:
    """The modules that ramps have trained, with their optimisers' groups."""
    found: list = []
    original = rate_finding.make_optimizer

    def make(model, *arguments):
        optimizer = original(model, *arguments)
        found.append((model, copy.deepcopy(model.state_dict()), optimizer.param_groups))
        return optimizer

    monkeypatch.setattr(rate_finding, "make_optimizer", make)
    return found


@pytest.mark.parametrize("freeze", ["encoder", "norms", "none"])
def test_what_is_frozen_stays_and_the_encoder_keeps_its_factor(freeze: str, trained) -> None:
    model, config, batches = images_model(**{"encoder.freeze": freeze})
    if freeze != "encoder":
        config = config.with_options({"optimizer.encoder_lr": 0.05})
    find_rate(model, config, batches, steps=6)
    ramped, before, groups = trained[0]
    changed = {name for name, value in ramped.state_dict().items() if (value != before[name]).any()}
    statistics = {name for name in changed if "running_" in name}
    assert {name for name in changed if name.startswith("head.")}
    assert bool(changed - statistics - {n for n in changed if n.startswith("head.")}) == (
        freeze != "encoder"
    )
    assert bool(statistics) == (freeze == "none")
    rates = {group["name"].split(",")[0]: group["lr"] for group in groups}
    assert rates["head"] == 10.0
    if freeze != "encoder":
        assert rates["encoder"] == pytest.approx(0.5)


def test_the_seed_decides_and_nothing_else() -> None:
    model, config, batches = images_model(**{"head": "query", "head.hidden": 8, "head.heads": 2})
    first = ramp(model, config, batches, steps=6)
    torch.rand(5)
    again = ramp(model, config, batches, steps=6)
    other = ramp(model, config.with_options({"run.seed": 1}), batches, steps=6)
    assert np.array_equal(first.losses, again.losses)
    assert not np.array_equal(first.losses, other.losses)


def test_completed_targets_are_taken_as_they_stand() -> None:
    x, y = drawn()
    hidden = y.clone()
    hidden[:, 0] = -1
    completion = make_completion("prior", hidden)
    before = copy.deepcopy(completion.state_dict())
    batches, config = features_loader(x, hidden), options(**{"optimizer.clip_gradient": 0.0})
    found = ramp(model_at_zero(), config, batches, completion=completion, steps=40)
    assert torch.equal(completion.state_dict()["targets"], before["targets"])
    direct = ramp(model_at_zero(), config, features_loader(x, completion.targets), steps=40)
    assert np.array_equal(found.losses, direct.losses)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("images", "lr=find: the loss is not finite before the first step"),
        ("targets", "lr=find: .* have no known label"),
        ("steps", "steps=4"),
    ],
)
def test_what_cannot_be_ramped_is_one_line(change: str, message: str) -> None:
    x, y = drawn()
    if change == "images":
        x[3] = torch.nan
    elif change == "targets":
        y[:] = -1
    with pytest.raises(InputError, match=message):
        find_rate(model_at_zero(), options(), features_loader(x, y), steps=4 + (change != "steps"))

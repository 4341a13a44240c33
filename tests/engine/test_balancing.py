"""Balancers give the losses, weights and gradients of their papers, and save all of their state."""

import copy

import pytest
import torch
from torch import Tensor, nn

from gatlabel.engine.balancing import (
    BALANCERS,
    AveragedRates,
    Balancer,
    Famo,
    FixedWeights,
    GradNorm,
    Uncertainty,
    create_balancer,
)
from gatlabel.engine.balancing.aggregation import CLASSES, feature_gradients
from gatlabel.engine.balancing.base import AdamState
from gatlabel.errors import InputError

TASKS = ("labels", "count", "kind")
GRADIENT_METHODS = sorted(CLASSES)


class Shared(nn.Module):
    """An encoder and three heads, in float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.encoder = nn.Linear(6, 5).double()
        self.heads = nn.ModuleList(nn.Linear(5, 2).double() for _ in TASKS)

    def losses(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = torch.tanh(self.encoder(images))
        values = [(head(features) - row).pow(2).mean() for row, head in enumerate(self.heads)]
        return features, dict(zip(TASKS, values, strict=True))


@pytest.fixture
def images() -> Tensor:
    return torch.randn(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def weighted(weights: Tensor, images: Tensor) -> dict[str, Tensor]:
    """Gradients of heads from the plain sum, and of the encoder from the weighted sum."""
    model, other = Shared(), Shared()
    sum(model.losses(images)[1].values()).backward()
    losses = torch.stack(list(other.losses(images)[1].values()))
    (weights.double() * losses).sum().backward()
    of_heads, of_encoder = gradients(model), gradients(other)
    return {n: (of_encoder if n.startswith("encoder") else of_heads)[n] for n in of_heads}


def require_same(found: dict[str, Tensor], expected: dict[str, Tensor], atol: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=atol, rtol=0, msg=name)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_the_encoder_gets_torchjd_s_aggregate_and_heads_the_plain_sum(
    method: str, images: Tensor
) -> None:
    model = Shared()
    balancer = create_balancer(method, TASKS)
    features, losses = model.losses(images)
    torch.manual_seed(3)
    total = balancer(losses, features)
    total.backward()
    torch.testing.assert_close(total, sum(losses.values()))
    require_same(gradients(model), weighted(balancer.weights, images), 1e-6)
    # the weights are those of torchjd's aggregator of the Jacobian itself
    from torchjd import aggregation

    from gatlabel.engine.balancing.aggregation import ARGUMENTS

    features, losses = model.losses(images)
    jacobian = feature_gradients(torch.stack(list(losses.values())), features)
    name = CLASSES[method].removesuffix("Weighting")
    torch.manual_seed(3)
    expected = getattr(aggregation, name)(**ARGUMENTS.get(method, {}))(jacobian)
    torch.testing.assert_close(balancer.weights @ jacobian, expected, atol=1e-5, rtol=1e-3)


def shared(model: Shared, balancer: Balancer, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """As ``model.losses``, with heads that take what the balancer gives them."""
    features = torch.tanh(model.encoder(images))
    own = balancer.share(features, dict.fromkeys(TASKS, features))
    heads = zip(TASKS, model.heads, strict=True)
    values = [(head(own[name]) - row).pow(2).mean() for row, (name, head) in enumerate(heads)]
    return features, dict(zip(TASKS, values, strict=True))


@pytest.mark.parametrize("name", sorted(BALANCERS))
@pytest.mark.parametrize("scale", [1.0, 1024.0, 1 / 3])
def test_one_backward_pass_gives_what_a_pass_per_head_gives(
    name: str, scale: float, images: Tensor
) -> None:
    """Whatever the loss is multiplied by, as scaling and accumulation of gradients do."""
    model, other = Shared(), Shared()
    balancer, before = create_balancer(name, TASKS), create_balancer(name, TASKS)
    for step, present in enumerate([TASKS, TASKS[1:], TASKS]):
        for each in (model, other):
            each.zero_grad()
        features, losses = shared(model, balancer, images + step)
        losses = {n: loss if n in present else loss * 0 for n, loss in losses.items()}
        torch.manual_seed(step)
        total = balancer(losses, features, present)
        (scale * total).backward()
        features, losses = other.losses(images + step)
        losses = {n: loss if n in present else loss * 0 for n, loss in losses.items()}
        torch.manual_seed(step)
        expected = before(losses, features, present)
        (scale * expected).backward()
        torch.testing.assert_close(total, expected)
        torch.testing.assert_close(balancer.weights, before.weights, atol=1e-5, rtol=1e-4)
        require_same(
            {n: g / scale for n, g in gradients(model).items()},
            {n: g / scale for n, g in gradients(other).items()},
            1e-5,
        )


def test_adapters_and_evaluation_take_features_as_they_are() -> None:
    balancer = create_balancer("upgrad", TASKS)
    features = torch.ones(2, 3, requires_grad=True)
    own = dict.fromkeys(TASKS, features * 2)
    assert balancer.share(features, own) is own
    with torch.no_grad():
        own = dict.fromkeys(TASKS, features * 2)
        assert balancer.share(own["count"], own) is own


def test_upgrad_and_mgda_do_not_worsen_any_task() -> None:
    for method in ("upgrad", "mgda"):
        balancer = create_balancer(method, TASKS[:2])
        features = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
        pulls = torch.tensor([[1.0, 0.2], [-1.0, 0.4]], dtype=torch.float64)  # in conflict
        values = {name: (features * row).sum() for name, row in zip(TASKS, pulls, strict=False)}
        balancer(values, features).backward()
        assert bool((pulls @ features.grad[0] >= -1e-6).all())


@pytest.mark.parametrize("name", sorted(BALANCERS))
def test_absent_tasks_change_nothing(name: str, images: Tensor) -> None:
    """An absent task, of loss 0 and gradient 0, gives what a balancer without it gives."""
    model, other = Shared(), Shared()
    balancer, smaller = create_balancer(name, TASKS), create_balancer(name, TASKS[:2])
    features, losses = model.losses(images)
    losses["kind"] = losses["kind"] * 0
    torch.manual_seed(0)
    balancer(losses, features, present=TASKS[:2]).backward()
    features, losses = other.losses(images)
    torch.manual_seed(0)
    smaller({key: losses[key] for key in TASKS[:2]}, features).backward()
    for key, value in gradients(other).items():
        torch.testing.assert_close(gradients(model)[key], value)
        assert value.abs().sum() > 0
    assert all(p.grad is None or not p.grad[2:].any() for p in balancer.parameters())


@pytest.mark.parametrize("name", sorted(BALANCERS))
def test_one_task_is_left_as_it_is(name: str, images: Tensor) -> None:
    model, plain = Shared(), Shared()
    features, losses = model.losses(images)
    create_balancer(name, TASKS)({"count": losses["count"]}, features).backward()
    plain.losses(images)[1]["count"].backward()
    expected = plain.encoder.weight.grad
    found = model.encoder.weight.grad
    cosine = torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), dim=0)
    assert cosine > 1 - 1e-9


def train(model: Shared, balancer: Balancer, images: Tensor, steps: range) -> None:
    parameters = [*model.parameters(), *balancer.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for step in steps:
        torch.manual_seed(step)
        optimizer.zero_grad()
        features, losses = model.losses(images + step / 10)
        if step % 3 == 2:
            losses.pop("kind")
        balancer(losses, features).backward()
        optimizer.step()
        if balancer.needs_second_losses:
            with torch.no_grad():
                balancer.after_step(model.losses(images + step / 10)[1])
        if step % 2:
            balancer.end_epoch({key: value.item() for key, value in losses.items()})


@pytest.mark.parametrize("name", sorted(BALANCERS))
def test_state_is_saved_whole(name: str, images: Tensor) -> None:
    """Continuing from a saved state equals an uninterrupted run, bit for bit."""
    model, balancer = Shared(), create_balancer(name, TASKS)
    train(model, balancer, images, range(7))
    resumed, restored = Shared(), create_balancer(name, TASKS)
    resumed.load_state_dict(model.state_dict())
    restored.load_state_dict(copy.deepcopy(balancer.state_dict()))
    train(model, balancer, images, range(7, 14))
    train(resumed, restored, images, range(7, 14))
    for one, two in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(balancer.weights, restored.weights)


def test_uncertainty_is_torchjd_s_but_for_the_half_of_classification(images: Tensor) -> None:
    from torchjd.scalarization import UW

    values = {"labels": torch.tensor(0.3), "count": torch.tensor(2.0), "kind": torch.tensor(0.9)}
    ours = Uncertainty(TASKS, regression=TASKS)
    theirs = UW(3)
    with torch.no_grad():
        drawn = torch.tensor([0.1, -0.4, 0.7])
        ours.log_variance.copy_(drawn)
        theirs.log_var.copy_(drawn)
    torch.testing.assert_close(ours(values), theirs(torch.stack(list(values.values()))))
    half = Uncertainty(TASKS[:1])({"labels": torch.tensor(0.3)})
    torch.testing.assert_close(half, torch.tensor(0.3))


def test_averaged_rates_are_torchjd_s() -> None:
    from torchjd.scalarization import DWA

    ours, theirs = AveragedRates(TASKS), DWA()
    for epoch in range(4):
        values = torch.tensor([1.0 / (epoch + 1), 2.0, 0.5 + 0.1 * epoch])
        named = dict(zip(TASKS, values, strict=True))
        torch.testing.assert_close(ours(named), theirs(values))
        ours.end_epoch({key: float(value) for key, value in named.items()})
        theirs.step() if hasattr(theirs, "step") else theirs.update(values)


def test_famo_is_torchjd_s() -> None:
    from torchjd.scalarization import FAMO

    ours, theirs = Famo(TASKS), FAMO(3)
    for step in range(5):
        values = torch.tensor([1.0 / (step + 1), 2.0, 0.5 + 0.1 * step])
        after = values * torch.tensor([0.9, 0.99, 1.01])
        torch.testing.assert_close(ours(dict(zip(TASKS, values, strict=True))), theirs(values))
        ours.after_step(dict(zip(TASKS, after, strict=True)))
        theirs.update(after)


def test_famo_refuses_losses_without_a_logarithm() -> None:
    with pytest.raises(InputError, match="loss of task 'count' is not above 0"):
        Famo(TASKS)({"labels": torch.tensor(1.0), "count": torch.tensor(0.0)})


def test_gradnorm_s_gradient_is_that_of_its_loss(images: Tensor) -> None:
    """The weights' gradient by autograd from equation 2 of the paper, targets constant."""
    model, balancer = Shared(), GradNorm(TASKS, alpha=1.5)
    features, losses = model.losses(images)
    balancer(losses, features)
    features, losses = model.losses(images * 1.3)
    before = balancer.weights.clone()
    weights = before.clone().requires_grad_()
    values = torch.stack(list(losses.values())).detach().float()
    norms = feature_gradients(torch.stack(list(losses.values())), features).norm(dim=1)
    rates = values / balancer.first
    target = (weights * norms).mean() * (rates / rates.mean()) ** 1.5
    (expected,) = torch.autograd.grad((weights * norms - target.detach()).abs().sum(), weights)
    adam = copy.deepcopy(balancer.adam)
    balancer(losses, features)
    adam.step(before, expected)
    torch.testing.assert_close(balancer.weights, before * 3 / before.sum())


def test_adam_is_torch_s() -> None:
    ours = torch.tensor([1.0, -2.0])
    theirs = ours.clone().requires_grad_()
    state = AdamState(2, 0.05, 1e-3)
    optimizer = torch.optim.Adam([theirs], lr=0.05, weight_decay=1e-3)
    for step in range(6):
        gradient = torch.tensor([0.3 * step, 1.0 - step])
        state.step(ours, gradient)
        theirs.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(ours, theirs.detach())


def test_gradients_are_scale_equivariant_and_survive_half_precision(images: Tensor) -> None:
    """The scale of a gradient scaler changes the length of the gradient alone."""
    for scale in (1.0, 1024.0):
        model = Shared()
        features, losses = model.losses(images)
        balancer = create_balancer("upgrad", TASKS)
        (balancer(losses, features) * scale).backward()
        require_same(
            {n: g / scale for n, g in gradients(model).items()},
            weighted(balancer.weights, images),
            1e-6,
        )
    features = torch.ones(1, 2, dtype=torch.float16, requires_grad=True)
    values = torch.stack([(features * 3e-8).sum(), features.sum()])
    assert bool((feature_gradients(values, features) > 0).all())


def test_a_task_at_its_minimum_does_not_stop_the_others(images: Tensor) -> None:
    """MGDA with a row of zeros would return the zero vector."""
    model = Shared()
    features, losses = model.losses(images)
    losses["kind"] = losses["kind"] * 0
    create_balancer("mgda", TASKS)(losses, features).backward()
    assert model.encoder.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: create_balancer("upgrd", TASKS), "upgrad"),
        (lambda: FixedWeights(TASKS, {"labels": -1.0}), "weight -1.0 of task 'labels'"),
        (lambda: FixedWeights(TASKS, {"lables": 1.0}), "weight of 'lables'"),
        (lambda: FixedWeights(()), "one unique name per task"),
        (lambda: AveragedRates(TASKS, temperature=0), "temperature 0"),
        (lambda: FixedWeights(TASKS)({"other": torch.tensor(1.0)}), "loss of 'other'"),
        (lambda: GradNorm(TASKS)({"labels": torch.tensor(1.0)}), "needs the shared features"),
    ],
)
def test_mistakes_are_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()

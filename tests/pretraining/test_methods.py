"""Views depend only on seed, epoch and image; losses agree with their papers."""

import copy
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gatlabel.data import FileImages
from gatlabel.encoders import Preprocessing
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.pretraining.methods import METHODS, Dino, Method
from gatlabel.pretraining.views import ViewDataset, make_transform


@pytest.fixture
def source(tiny_csv) -> FileImages:
    names = [f"images/{k}.png" for k in range(6)]
    return FileImages(tiny_csv, LabelSet(["any"]), names, np.full((6, 1), -1, np.float32))


def encoder() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.mark.parametrize("name", sorted(METHODS))
def test_views_depend_on_seed_and_image_alone(name: str, source: FileImages) -> None:
    transform = make_transform(name, Preprocessing(32, "squash"), 0.4, 0.5, 0.2)
    views = ViewDataset(source, transform)
    first, index = views[4, 2]
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    again, _ = views[4, 2]
    assert index == 4
    assert len(first) == (4 if name == "dino" else 2)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert first[0].shape == (3, 32, 32)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], views[4, 3][0][0])
    # the generators of the process are as before
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_batch_holds_the_views_by_name(source: FileImages) -> None:
    views = ViewDataset(source, make_transform("dcl", Preprocessing(32, "squash"), 0.4, 0.5, 0.2))
    batch = ViewDataset.collate([views[1, 0], views[3, 0]])
    assert {name: tuple(each.shape) for name, each in batch.inputs.items()} == {
        "view0": (2, 3, 32, 32),
        "view1": (2, 3, 32, 32),
    }
    assert batch.index.tolist() == [1, 3]
    assert batch.targets == {}


def test_views_have_the_normalisation_of_the_encoder(source: FileImages) -> None:
    class Whole(nn.Module):
        def forward(self, image: object) -> list[Tensor]:
            return make_transform("simclr", plain, 1.0, 0.5, 0.2)(image)

    plain = Preprocessing(32, "squash", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    view = ViewDataset(source, Whole())[0, 0][0][0]
    assert 0 <= float(view.min()) <= float(view.max()) <= 1


def test_colours_change_as_strongly_as_asked() -> None:
    plain = Preprocessing(32, "squash", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    colour = torch.tensor([200, 50, 100]) / 255
    image = Image.new("RGB", (32, 32), (200, 50, 100))

    def furthest(strength: float) -> float:
        transform = make_transform("simclr", plain, 0.4, strength, 0.0)
        views = [view for _ in range(8) for view in transform(image)]
        return max(float((view.mean(dim=(1, 2)) - colour).abs().max()) for view in views)

    torch.manual_seed(0)
    assert furthest(0.0) < 1e-6
    assert 0.02 < furthest(0.2) < furthest(1.0)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_views_may_lose_their_colours(name: str) -> None:
    plain = Preprocessing(32, "squash", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    image = Image.new("RGB", (32, 32), (200, 50, 100))
    for view in make_transform(name, plain, 0.4, 0.5, 1.0)(image):
        assert torch.equal(view[0], view[1])
        assert torch.equal(view[0], view[2])


def test_no_images_are_refused(source: FileImages) -> None:
    with pytest.raises(InputError, match="no images to learn from"):
        ViewDataset(source.subset([]), None)


def learn(method: Method, network: nn.Module, steps: int) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(12, 3, 1, 1, generator=generator) * 4 - 2
    method.prepare(network)
    parameters = [*network.parameters(), *(p for p in method.parameters() if p.requires_grad)]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    losses = []
    for step in range(steps):
        views = [
            colours + 0.3 * torch.randn(12, 3, 16, 16, generator=generator)
            for _ in range(4 if isinstance(method, Dino) else 2)
        ]
        optimizer.zero_grad()
        loss = method.loss(network, views, step / steps)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", sorted(METHODS))
def test_learning_lowers_the_loss_and_keeps_views_of_an_image_together(name: str) -> None:
    network = encoder()
    torch.manual_seed(1)
    losses = learn(METHODS[name](8), network, 40)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_the_decoupled_loss_is_the_paper_s() -> None:
    """Yeh et al., eq. 6: -log of the pair, plus log of the sum over all other images' views."""
    from lightly.loss import DCLLoss

    first, second = torch.randn(2, 5, 7, dtype=torch.float64).unbind(0)
    a, b = nn.functional.normalize(first, dim=1), nn.functional.normalize(second, dim=1)
    total = 0.0
    for z, other in ((a, b), (b, a)):
        for i in range(5):
            rest = [j for j in range(5) if j != i]
            negatives = torch.cat([z[i] @ z[rest].T, z[i] @ other[rest].T]) / 0.2
            total += float(-(z[i] @ other[i]) / 0.2 + negatives.logsumexp(0)) / 10
    assert float(DCLLoss(temperature=0.2)(first, second)) == pytest.approx(total)


def test_the_teacher_follows_the_student_without_gradients() -> None:
    network = encoder()
    method = Dino(8)
    method.prepare(network)
    before = copy.deepcopy(method.teacher.state_dict())
    learn(method, network, 3)
    moved = method.teacher.state_dict()
    assert not torch.equal(before["0.weight"], moved["0.weight"])
    assert all(p.grad is None for p in method.teacher.parameters())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_state_of_a_method_is_whole(name: str) -> None:
    """A copy that loads the state gives the same next loss."""
    network = encoder()
    torch.manual_seed(1)
    method = METHODS[name](8)
    learn(method, network, 3)
    other = METHODS[name](8)
    other.prepare(encoder())
    other.load_state_dict(method.state_dict())
    views = [torch.randn(6, 3, 16, 16) for _ in range(2)]
    twin = copy.deepcopy(network)
    assert torch.equal(method.loss(network, views, 0.5), other.loss(twin, views, 0.5))

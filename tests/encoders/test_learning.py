import copy
import pickle

import pytest
import torch
from torch import nn

from gatlabel.encoders import Encoder, create_encoder, freeze, parameter_groups, unfreeze


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        trunk = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.Dropout()
        )
        self.encoder = Encoder.from_module(trunk, 4, image_size=16)
        self.head = nn.Linear(4, 2)

    def forward(self, images):
        return self.head(self.encoder(images).mean((2, 3)))


def test_frozen_encoder_stays_as_it_is_while_the_head_learns():
    model = Model()
    freeze(model.encoder)
    model.train()
    assert model.training
    assert model.head.training
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model(torch.randn(8, 3, 16, 16)).square().sum().backward()
    optimizer.step()
    after = model.state_dict()
    for key, value in before.items():
        assert torch.equal(value, after[key]) == key.startswith("encoder"), key


def test_frozen_survives_train_copies_and_pickles():
    model = Model()
    freeze(model.encoder)
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for twin in twins:
        assert not any(part.training for part in twin.train().encoder.modules())
        assert not any(p.requires_grad for p in twin.encoder.parameters())


def test_freezing_a_part():
    model = Model()
    freeze(model.encoder.trunk[1])
    model.train()
    assert not model.encoder.trunk[1].training
    assert model.encoder.trunk[3].training
    assert model.encoder.trunk[0].weight.requires_grad


def test_unfreezing_undoes_it_all():
    model = Model()
    freeze(model.encoder.trunk[1])
    freeze(model.encoder)
    unfreeze(model.encoder)
    model.train()
    assert all(part.training for part in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_groups_hold_each_trainable_parameter_once():
    model = Model()
    groups = parameter_groups(model, 0.2, encoder_lr_scale=0.5, weight_decay=0.01)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters())
    settings = {g["name"]: (g["lr"], g["weight_decay"], len(g["params"])) for g in groups}
    assert settings == {
        "encoder": (0.1, 0.01, 2),
        "encoder, no decay": (0.1, 0.0, 4),
        "head": (0.2, 0.01, 1),
        "head, no decay": (0.2, 0.0, 1),
    }
    torch.optim.AdamW(groups, lr=1.0).step()


def test_frozen_parameters_are_in_no_group():
    model = Model()
    freeze(model.encoder)
    assert {group["name"] for group in parameter_groups(model, 0.1)} == {"head", "head, no decay"}


@pytest.mark.gpu
def test_bytes_are_normalised_where_the_encoder_is():
    encoder = create_encoder("squeezenet1_1").cuda()
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    assert encoder(encoder.normalize(pixels)).is_cuda


def test_each_quarter_of_the_encoder_learns_at_a_share_of_the_next() -> None:
    encoder = create_encoder("resnet18", None)
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(512, 3)})
    groups = parameter_groups(model, 0.1, encoder_lr_scale=0.5, depth_decay=0.2, weight_decay=0.01)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    convolutions = [p for p in encoder.parameters() if p.ndim > 1]
    found = [rates[id(p)] for p in convolutions]
    assert found == sorted(found)
    assert [found.count(rate) for rate in dict.fromkeys(found)] == [5] * 4  # resnet18 has 20
    assert list(dict.fromkeys(found)) == pytest.approx([0.0004, 0.002, 0.01, 0.05])
    # a norm learns with the convolution before it
    assert rates[id(encoder.trunk[1].weight)] == found[0]
    assert {rates[id(p)] for p in model["head"].parameters()} == {0.1}
    assert {g["weight_decay"] for g in groups} == {0.0, 0.01}

"""Truncated encoders: their outputs, and the errors if an encoder cannot be truncated."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gatlabel.encoders import create_encoder
from gatlabel.encoders.cutting import cut
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier

PIXELS = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_the_map_is_that_of_the_whole_network_at_its_layer() -> None:
    torch.manual_seed(0)
    whole = create_encoder("resnet18").eval()
    seen = []
    whole.trunk.layer3.register_forward_hook(lambda module, inputs, result: seen.append(result))
    whole(PIXELS)
    torch.manual_seed(0)
    short = create_encoder("resnet18", stride=16).eval()
    assert short.out_features == 256
    assert torch.equal(short(PIXELS), seen[0])
    names = set(short.trunk.state_dict())
    assert names == {n for n in whole.trunk.state_dict() if not n.startswith("layer4")}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121", "inception_v3"])
@pytest.mark.parametrize("stride", [8, 16])
@torch.no_grad()
def test_every_stride_of_torchvision(name, stride) -> None:
    encoder = create_encoder(name, stride=stride).eval()
    side = 128
    result = encoder(torch.zeros(1, 3, side, side))
    assert result.shape[1] == encoder.out_features
    assert abs(result.shape[-1] - side / stride) <= 3  # inception does not pad
    assert encoder.config["stride"] == stride


@torch.no_grad()
def test_timm_stages() -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0, global_pool="").eval()
    expected = network.forward_intermediates(PIXELS, indices=[3], intermediates_only=True)[0]
    short = cut(network, 16, "lite")
    assert torch.equal(short(PIXELS), expected)
    assert sum(p.numel() for p in short.parameters()) < 1e6


def test_the_own_stride_keeps_the_whole_network() -> None:
    whole = create_encoder("resnet18")
    assert cut(whole.trunk, 32, "resnet18") is whole.trunk


@pytest.mark.parametrize(
    ("name", "stride", "known"),
    [
        ("mobilenet_v3_small", 256, "2, 4, 8, 16, 32"),  # one cell, where channels are weighed
        ("convnext_tiny", 2, "4, 8, 16, 32"),  # channels last, inside a block
    ],
)
def test_maps_inside_a_block_are_not_used_for_truncation(name, stride, known) -> None:
    with pytest.raises(InputError, match=f"stride {stride}: it has {known}$"):
        create_encoder(name, stride=stride)


def test_unknown_strides_are_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="stride 64: it has 2, 4, 8, 16, 32"):
        create_encoder("resnet18", stride=64)
    with pytest.raises(InputError, match="stride 8: it has none that is known"):
        cut(nn.Identity(), 8, "nothing")


def test_a_cut_model_is_saved_and_loaded(tmp_path) -> None:
    model = MultiLabelClassifier.create(
        "mobilenet_v3_small", "csra", labels=["a", "b"], stride=8, image_size=64
    ).eval()
    model.save_pretrained(tmp_path)
    again = MultiLabelClassifier.from_pretrained(tmp_path)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model(images), again(images))
    assert again.encoder.config["stride"] == 8

import copy
import json
import pickle

import pytest
import torch
from torch import nn
from torchvision import models

from gatlabel.encoders import Encoder, create_encoder, torchvision_names
from gatlabel.errors import InputError

# one small member of each family whose last map is pooled and classified
POOLED = [
    "resnet18",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "densenet121",
            "efficientnet_b0",
            "googlenet",
            "inception_v3",
            "mnasnet0_5",
            "mobilenet_v2",
            "regnet_x_400mf",
        )
    ),
]
# in these the classifier begins before pooling, or normalises after it
OTHERS = ["squeezenet1_1"] + [
    pytest.param(name, marks=pytest.mark.slow) for name in ("alexnet", "convnext_tiny")
]


def torchvision_network(name: str) -> nn.Module:
    plain = name in ("googlenet", "inception_v3")
    options = {"aux_logits": False, "init_weights": False} if plain else {}
    return models.get_model(name, weights=None, **options).eval()


@pytest.mark.parametrize("name", POOLED)
def test_map_is_what_torchvision_classifies(name):
    encoder = create_encoder(name).eval()
    network = torchvision_network(name)
    state, ours = network.state_dict(), encoder.trunk.state_dict()
    assert {key.split(".")[0] for key in state.keys() - ours.keys()} <= {"fc", "classifier"}
    assert ours.keys() < state.keys()
    state.update(ours)
    network.load_state_dict(state)
    linear = next(part for part in network.modules() if isinstance(part, nn.Linear))
    seen = []
    linear.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    images = torch.randn(2, 3, 80, 96)
    with torch.no_grad():
        network(images)
        features = encoder(images)
    assert features.shape[:2] == (2, encoder.out_features)
    if name.startswith("mobilenet_v3"):  # a hidden layer of the classifier follows
        assert encoder.out_features == linear.in_features
    torch.testing.assert_close(features.mean((2, 3)), seen[0].view(2, -1), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", OTHERS)
def test_map_is_torchvisions_features(name):
    encoder = create_encoder(name).eval()
    images = torch.randn(1, 3, 96, 70)
    with torch.no_grad():
        expected = encoder.trunk.features(images)
        if name.startswith("convnext"):
            mean = expected.mean(1, keepdim=True)
            spread = expected.var(1, keepdim=True, unbiased=False)
            expected = (expected - mean) / (spread + 1e-6).sqrt()
        torch.testing.assert_close(encoder(images), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_convnext_normalises_with_its_own_layer():
    network = models.convnext_tiny(weights=None)
    encoder = create_encoder("convnext_tiny")
    assert type(encoder.trunk.norm) is type(network.classifier[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision_names())
def test_every_torchvision_cnn(name):
    if models.get_model_weights(name).DEFAULT.meta["num_params"] > 60e6:
        pytest.skip("large; its family is tested by a smaller member")
    encoder = create_encoder(name).eval()
    with torch.no_grad():
        shape = encoder(torch.zeros(1, 3, 96, 80)).shape
    assert shape[1] == encoder.out_features
    assert len(shape) == 4


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (224, 130)])
def test_any_input_size(size):
    encoder = create_encoder("resnet18").eval()
    height, width = (-(-side // 32) for side in size)
    assert encoder(torch.zeros(1, 3, *size)).shape == (1, 512, height, width)


def test_normalize_is_torchvisions():
    from torchvision.transforms import v2

    pixels = torch.randint(0, 256, (2, 3, 9, 7), dtype=torch.uint8)
    encoder = create_encoder("resnet18")
    before = pixels.clone()
    expected = v2.functional.normalize(
        v2.functional.to_dtype(pixels, torch.float32, scale=True), encoder.mean, encoder.std
    )
    torch.testing.assert_close(encoder.normalize(pixels), expected, atol=1e-5, rtol=1e-5)
    side_by_side = pixels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(encoder.normalize(side_by_side), encoder.normalize(pixels))
    assert bool((pixels == before).all())


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 3, 4, 4), torch.zeros(3, 4, 4).byte(), torch.zeros(1, 1, 4, 4).byte()]
)
def test_normalize_refuses_anything_but_a_batch_of_pixels(images):
    with pytest.raises(InputError, match="uint8"):
        create_encoder("squeezenet1_1").normalize(images)


def test_mean_and_std_of_inception_are_those_of_its_weights():
    # torchvision turns ImageNet-normalised input into this when it has loaded weights
    encoder = create_encoder("googlenet")
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    network = models.googlenet(weights=None, aux_logits=False, init_weights=False)
    network.transform_input = True
    by_imagenet = create_encoder("resnet18").normalize(pixels)
    torch.testing.assert_close(
        encoder.normalize(pixels), network._transform_input(by_imagenet), atol=1e-5, rtol=1e-5
    )


def test_config_is_plain_and_makes_the_same_encoder():
    encoder = create_encoder("shufflenet_v2_x0_5", image_size=160, mean=(0.4, 0.5, 0.6)).eval()
    config = json.loads(json.dumps(encoder.config))
    again = create_encoder(**config).eval()
    again.load_state_dict(encoder.state_dict())
    pixels = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(
        again(again.normalize(pixels)), encoder(encoder.normalize(pixels)), atol=0, rtol=0
    )
    assert again.config == encoder.config
    assert (again.image_size, again.mean) == (160, (0.4, 0.5, 0.6))


def test_copies_and_pickles():
    encoder = create_encoder("squeezenet1_1").eval()
    image = torch.zeros(1, 3, 64, 64)
    for twin in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        torch.testing.assert_close(twin(image), encoder(image))
        assert twin.config == encoder.config


def test_own_module_with_a_map():
    module = nn.Conv2d(3, 7, 3, stride=2).train()
    encoder = Encoder.from_module(module, image_size=32, mean=(0, 0, 0), std=(1, 1, 1))
    assert (encoder.name, encoder.out_features, encoder.image_size) == ("module", 7, 32)
    assert module.training  # the dry run leaves no trace
    pixels = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    assert encoder.normalize(pixels).unique().tolist() == [1.0]


def test_own_module_with_vectors_and_batch_norm():
    module = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5), nn.BatchNorm1d(5)
    )
    before = copy.deepcopy(module.state_dict())
    encoder = Encoder.from_module(module).eval()
    assert encoder(torch.zeros(2, 3, 20, 20)).shape == (2, 5, 1, 1)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, before[key])


def test_own_module_that_returns_something_else():
    with pytest.raises(InputError, match=r"returns \(1, 3, 1024\)"):
        Encoder.from_module(nn.Flatten(2), image_size=32)


def test_own_module_has_no_name_to_be_made_by():
    config = Encoder.from_module(nn.Conv2d(3, 4, 1), 4).config
    with pytest.raises(InputError, match="from_module"):
        create_encoder(**config)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resnet5", None, "did you mean 'resnet50'"),
        ("efficientnet_lite9", None, "did you mean 'efficientnet_lite"),
        ("vit_b_16", None, "transformer, not a CNN"),
        ("resnet18", "IMAGENET1K_V2", "did you mean 'IMAGENET1K_V1'"),
        ("resnet18", "nowhere/weights.pth", "no weight file nowhere/weights.pth"),
        ("resnet18", "weights.safetensors", "no weight file weights.safetensors"),
    ],
)
def test_unknown_names_are_refused(name, weights, message):
    with pytest.raises(InputError, match=message):
        create_encoder(name, weights)


def test_other_options_are_checked():
    with pytest.raises(InputError, match="512 features, not 2048"):
        create_encoder("resnet18", out_features=2048)
    with pytest.raises(InputError, match="std above 0"):
        create_encoder("squeezenet1_1", std=(1, 0, 1))
    with pytest.raises(InputError, match="three numbers"):
        create_encoder("squeezenet1_1", mean=(0.5,))
    assert create_encoder("squeezenet1_1", "none").name == "squeezenet1_1"


class FromPixels(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.encoder(self.encoder.normalize(pixels))


def test_exports_from_bytes_to_map_for_any_batch():
    model = FromPixels(create_encoder("squeezenet1_1").eval())
    batch = torch.export.Dim("batch", min=1, max=16)
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    exported = torch.export.export(model, (pixels,), dynamic_shapes=({0: batch},))
    more = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    torch.testing.assert_close(exported.module()(more), model(more))

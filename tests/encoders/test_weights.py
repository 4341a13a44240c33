import socket

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from gatlabel.encoders import create_encoder
from gatlabel.errors import InputError

NAME = "squeezenet1_1"


def example(name=NAME):
    network = models.get_model(name, weights=None).eval()
    return network, network.state_dict()


def holds(encoder, network):
    expected = network.state_dict()
    return all(torch.equal(v, expected[k]) for k, v in encoder.trunk.state_dict().items())


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_file_with_classifier(tmp_path, suffix):
    network, state = example()
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    assert holds(create_encoder(NAME, path), network)
    assert holds(create_encoder(NAME, str(path)), network)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}},
    ],
)
def test_wrapping_and_prefixes_are_taken_off(tmp_path, wrap):
    network, state = example()
    torch.save(wrap(state), tmp_path / "w.pth")
    assert holds(create_encoder(NAME, tmp_path / "w.pth"), network)


def test_file_of_an_encoders_own_trunk(tmp_path):
    encoder = create_encoder("resnet18")
    torch.save(encoder.state_dict(), tmp_path / "w.pth")  # keys begin with trunk.
    again = create_encoder("resnet18", tmp_path / "w.pth")
    assert torch.equal(again.trunk.conv1.weight, encoder.trunk.conv1.weight)


@pytest.mark.slow
def test_old_densenet_names(tmp_path):
    network, state = example("densenet121")
    old = {
        k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in k else k: v
        for k, v in state.items()
    }
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "w.pth")
    assert holds(create_encoder("densenet121", tmp_path / "w.pth"), network)


@pytest.mark.slow
def test_convnext_keeps_its_last_norm(tmp_path):
    _, state = example("convnext_tiny")
    state["classifier.0.weight"].fill_(3.0)
    torch.save(state, tmp_path / "w.pth")
    encoder = create_encoder("convnext_tiny", tmp_path / "w.pth")
    assert encoder.trunk.norm.weight.unique().tolist() == [3.0]


def test_batch_counters_may_lack(tmp_path):
    _, state = example("resnet18")
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "w.pth")
    encoder = create_encoder("resnet18", tmp_path / "w.pth")
    assert torch.equal(encoder.trunk.conv1.weight, state["conv1.weight"])


def corrupt(tmp_path, change):
    _, state = example()
    change(state)
    torch.save(state, tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("features.0.bias"), "1 tensors missing, first 'features.0.bias'"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 not of this network, first 'extra'"),
        (
            lambda s: s.update({"features.0.bias": torch.zeros(2)}),
            r"first 'features.0.bias': \(2,\) for \(64,\)",
        ),
        (lambda s: s["features.0.bias"].fill_(torch.nan), "'features.0.bias' contains NaN"),
        (
            lambda s: s.update({"features.0.bias": s["features.0.bias"].view(torch.int32)}),
            "'features.0.bias' contains int32, not float32",
        ),
        (lambda s: s.update({3: torch.zeros(1)}), "does not contain named tensors"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        create_encoder(NAME, corrupt(tmp_path, change))


def test_weights_of_another_network(tmp_path):
    torch.save(example("shufflenet_v2_x0_5")[1], tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"do not match 'resnet18'.*missing.*not of this network"):
        create_encoder("resnet18", tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_damaged_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"these are no weights at all")
    with pytest.raises(InputError, match=f"cannot read the weight file .*{name}"):
        create_encoder(NAME, tmp_path / name)


def test_a_whole_pickled_network_is_refused(tmp_path):
    torch.save(example()[0], tmp_path / "w.pth")
    with pytest.raises(InputError, match="cannot read the weight file"):
        create_encoder(NAME, tmp_path / "w.pth")


@pytest.mark.parametrize("content", [{}, {"a": 1}, [torch.zeros(1)]])
def test_no_table_of_tensors(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match="not contain named tensors"):
        create_encoder(NAME, tmp_path / "w.pth")


@pytest.mark.parametrize("weights", ["default", "IMAGENET1K_V1", "imagenet1k_v1"])
def test_torchvision_weights_by_name(tmp_path, monkeypatch, weights):
    # as if downloaded before: torch.hub looks into its folder first
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    network, state = example()
    url = models.get_model_weights(NAME).DEFAULT.url
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints" / url.rpartition("/")[2])
    assert holds(create_encoder(NAME, weights), network)


def test_the_error_of_an_offline_download_names_alternatives(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def no_network(*args: object, **options: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", no_network)
    with pytest.raises(InputError, match=r"cannot download.*the path of a weight file") as error:
        create_encoder(NAME, "default")
    assert "\n" not in str(error.value)


def test_the_error_of_a_damaged_download_names_alternatives(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    url = models.get_model_weights(NAME).DEFAULT.url
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / url.rpartition("/")[2]).write_bytes(b"half a file")
    with pytest.raises(InputError, match="cannot download or read the weights"):
        create_encoder(NAME, "default")

"""Encoders that also return the maps of earlier stages: choice of the stages, and pooling."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gatlabel.data import read_csv
from gatlabel.deploy import ExportedModel, export_model
from gatlabel.encoders import Encoder, create_encoder, freeze
from gatlabel.errors import InputError
from gatlabel.features import extract
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.pooling import POOLINGS, StagePool
from tests.deploy.models import make, random_images
from tests.nn.head_cases import label_graph

PIXELS = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
LABELS = ["blue", "green", "red"]


def chain() -> nn.Sequential:
    """Two stages, the second with a final 1 x 1 convolution; one layer is used twice."""
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(
        nn.Conv2d(3, 4, 4, stride=4),
        relu,
        nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), relu),
        nn.Conv2d(6, 10, 1),
        relu,
    )


def own(stages: int = 3) -> Encoder:
    torch.manual_seed(0)
    return Encoder.from_module(chain(), 10, image_size=24, stages=stages)


def model_of(stages: int = 3, pooling: str = "average") -> MultiLabelClassifier:
    encoder = own(stages)
    return MultiLabelClassifier.create(encoder, "linear", labels=LABELS, pooling=pooling).eval()


# --- where stages end -------------------------------------------------------------------------

#: By network: its layers that are looked at, the last stage first, and the widths of the maps.
KNOWN = {
    "resnet18": (("layer4", "layer3", "layer2", "layer1", "relu"), (512, 256, 128, 64, 64)),
    "mobilenet_v3_small": (
        ("features.12", "features.11", "features.8", "features.3"),
        (576, 96, 48, 24),
    ),
    "shufflenet_v2_x0_5": (("conv5", "stage4", "stage3", "stage2"), (1024, 192, 96, 48)),
    "mnasnet0_5": (("layers.16", "layers.13", "layers.11"), (1280, 160, 48)),
    "efficientnet_lite0": (("bn2", "blocks.6", "blocks.4", "blocks.2"), (1280, 320, 112, 40)),
    "timm:resnet10t": (("layer4", "layer3", "layer2"), (512, 256, 128)),
    "timm:mobilenetv3_small_050": ((None, "blocks.5", "blocks.3"), (1024, 288, 24)),
    "timm:test_convnext": ((None, "stages.2", "stages.1"), (64, 48, 32)),
}


@pytest.mark.parametrize("name", KNOWN)
@torch.no_grad()
def test_the_maps_are_those_of_the_layers(name: str) -> None:
    if name.startswith(("timm:", "efficientnet_lite")):
        pytest.importorskip("timm")
    layers, widths = KNOWN[name]
    encoder = create_encoder(name, stages=len(layers)).eval()
    seen: dict[str, Tensor] = {}
    for layer in filter(None, layers):
        if layer != "relu":  # the chain runs the layers of an nn.Sequential one by one
            part = encoder.trunk.get_submodule(layer)
            leaf = list(part)[-1] if type(part) is nn.Sequential else part
            leaf.register_forward_hook(lambda m, i, out, layer=layer: seen.update({layer: out}))
    maps = encoder(PIXELS)
    assert tuple(each.shape[1] for each in maps) == widths
    assert encoder.pooled_features == sum(widths)
    assert encoder.out_features == widths[0]
    assert torch.equal(maps[0], encoder.trunk(PIXELS))
    for layer, each in zip(layers, maps, strict=True):
        if layer in seen:
            assert torch.equal(each, seen[layer]), layer


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
@torch.no_grad()
def test_of_an_encoder_that_ends_early_they_are_the_last_before_its_end(name: str) -> None:
    if name == "efficientnet_lite0":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    encoder = create_encoder(name, stride=16, stages=2).eval()
    whole = create_encoder(name, stages=4).eval()
    whole.trunk.load_state_dict(
        {k.removeprefix("network."): v for k, v in encoder.trunk.state_dict().items()}, strict=False
    )
    later = 2 if name == "efficientnet_lite0" else 1
    for short, long in zip(encoder(PIXELS), whole(PIXELS)[later:], strict=False):
        assert torch.equal(short, long)


@torch.no_grad()
def test_one_stage_is_the_encoder_as_it_was() -> None:
    encoder = own(1).eval()
    assert torch.equal(encoder(PIXELS), encoder.trunk(PIXELS))
    assert "stages" not in encoder.config
    model = model_of(1)
    assert "stages" not in model.identity()
    assert type(model.pool) is POOLINGS["average"]


def test_modes_and_random_numbers_stay() -> None:
    trunk = chain().train()
    trunk[2].eval()
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Encoder.from_module(trunk, 10, image_size=24, stages=3)
    assert torch.rand(1) == expected
    assert [part.training for part in trunk[2].modules()] == [False] * 4
    assert trunk.training
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())


class Preactivated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(4, 4, 2, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        return self.down(features.relu_())


class Twice(nn.Sequential):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * super().forward(images)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "too many of a network by name": (
        lambda: create_encoder("resnet18", stages=6),
        "stages=6: encoder 'resnet18' has 5$",
    ),
    "too many of a cut one": (
        lambda: create_encoder("resnet18", stride=8, stages=4),
        "stages=4: encoder 'resnet18' has 3$",
    ),
    "too many of one's own": (lambda: own(4), "stages=4: encoder 'module' has 3$"),
    "none": (lambda: own(0), "encoder 'module': stages=0"),
    "of text": (lambda: own("3"), "stages="),  # type: ignore[arg-type]
    "a network of unknown parts": (
        lambda: Encoder.from_module(nn.Conv2d(3, 5, 8, stride=8), 5, stages=2),
        "stages=2: the stages of encoder 'module' are unknown: it is neither nn.Sequential nor",
    ),
    "a network that goes its own way": (
        lambda: Encoder.from_module(Twice(*chain()), 10, image_size=24, stages=2),
        "the stages of encoder 'module' are unknown",
    ),
    "a map that a later layer writes into": (
        lambda: Encoder.from_module(
            nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), Preactivated()), 4, stages=2
        ),
        "its maps differ when run stage by stage",
    ),
    "a network that cannot run": (
        lambda: Encoder.from_module(nn.Sequential(nn.Conv2d(4, 4, 1)), 4, stages=2),
        r"are unknown \(.*channels",
    ),
    "a head on maps": (
        lambda: MultiLabelClassifier.create(own(), "csra", labels=LABELS),
        "stages=3: the head 'csra' takes the last map only",
    ),
    "an encoder that is made": (
        lambda: MultiLabelClassifier.create(own(1), "linear", labels=LABELS, stages=2),
        "weights, stride and stages are for an encoder given by name",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused(case: str) -> None:
    make_it, message = WRONG[case]
    with pytest.raises(InputError, match=message) as error:
        make_it()
    assert "\n" not in str(error.value)


# --- pooled features --------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_each_stage_is_pooled_normalised_and_concatenated(pooling: str) -> None:
    model = model_of(3, pooling=pooling)
    images = random_images(4)
    maps = model.encoder(model.encoder.normalize(images))
    expected = []
    for each in maps:
        pooled = POOLINGS[pooling]()(each)
        expected.append(pooled / pooled.square().mean(1, keepdim=True).sqrt())
    assert [each.shape[1] for each in maps] == [10, 6, 4]
    found = model.features(images)
    torch.testing.assert_close(found, torch.cat(expected, 1), rtol=1e-3, atol=1e-3)
    assert found.shape[1] == model.head.in_features == 20


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scales_of_any_size_are_one_scale(kind: torch.dtype) -> None:
    base = torch.rand(2, 5, 3, 3).double()
    scales = (1.0, 300.0, 0.0)  # squares of 300 overflow half precision; a dead stage stays 0
    pool = StagePool("average", 3)
    maps = [(scale * base).to(kind).requires_grad_() for scale in scales]
    found = pool(maps)
    assert found.dtype == kind
    one, other, dead = found.float().chunk(3, dim=1)
    torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)
    assert not dead.any()
    found.sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in maps)


@pytest.mark.parametrize("head", ["linear", "gat", "gcn"])
@pytest.mark.parametrize("pooling", ["average", "gem"])
def test_saved_and_loaded(head: str, pooling: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = MultiLabelClassifier.create(
        "shufflenet_v2_x0_5", head, graph=label_graph(), image_size=64, stages=3, pooling=pooling
    ).eval()
    with torch.no_grad():
        for k, parameter in enumerate(model.pool.parameters()):
            parameter.fill_(2.0 + k)  # each stage has its own
    model.save_pretrained(tmp_path)
    again = MultiLabelClassifier.from_pretrained(tmp_path)
    assert again.config == model.config
    assert again.config["encoder"]["stages"] == 3
    with torch.no_grad():
        images = random_images(2, 64)
        assert torch.equal(again(images), model(images))


def test_a_user_network_must_be_passed_again(tmp_path: Path) -> None:
    model = model_of(3)
    model.save_pretrained(tmp_path)
    again = MultiLabelClassifier.from_pretrained(tmp_path, encoder=own(3))
    images = random_images(2)
    with torch.no_grad():
        assert torch.equal(again(images), model(images))
    with pytest.raises(InputError, match=r"encoder\.stages=3, but the given encoder has 2"):
        MultiLabelClassifier.from_pretrained(tmp_path, encoder=own(2))


@pytest.mark.parametrize(("value", "says"), [(0, "stages=0"), (True, "whole"), (9, "has 5")])
def test_a_file_with_a_wrong_number_is_refused(value, says: str, tmp_path: Path) -> None:
    import json

    MultiLabelClassifier.create(
        "resnet18", "linear", labels=LABELS, image_size=32, stages=2
    ).save_pretrained(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    content["encoder"]["stages"] = value
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=says):
        MultiLabelClassifier.from_pretrained(tmp_path)


def test_the_state_records_the_number() -> None:
    with pytest.raises(InputError, match="with stages=3, not 2"):
        model_of(2).load_state_dict(model_of(3).state_dict())


# --- everywhere a model goes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "name", "head", "pooling", "stride"),
    [
        ("onnx", "shufflenet_v2_x0_5", "gat", "average", None),
        ("pt2", "shufflenet_v2_x0_5", "pyg", "gem", 16),
        ("onnx", "efficientnet_lite0", "linear", "gem", 16),
        ("pt2", "timm:resnet10t", "linear", "max", None),
    ],
)
def test_exported_files_give_the_same_logits(
    form: str, name: str, head: str, pooling: str, stride: int | None, tmp_path: Path
) -> None:
    if name.startswith(("timm:", "efficientnet_lite")):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    model = make(
        head, create_encoder(name, stride=stride, stages=3), image_size=64, pooling=pooling
    )
    export_model(model, tmp_path / "bundle", format=form)
    loaded = ExportedModel.load(tmp_path / "bundle")
    for batch in (1, 3):
        images = random_images(batch, 64)
        with torch.no_grad():
            torch.testing.assert_close(loaded(images), model(images), rtol=1e-4, atol=1e-4)


def test_features_on_disk_are_those_of_all_stages(tiny_csv: Path, tmp_path: Path) -> None:
    source = read_csv(tiny_csv).train
    models = {stages: model_of(stages) for stages in (1, 2, 3)}
    files = {stages: extract(model, source, "pooled", tmp_path) for stages, model in models.items()}
    assert len({file.path for file in files.values()}) == 3
    assert [file.open().shape[1] for file in files.values()] == [10, 16, 20]
    again = extract(model_of(3), source, "pooled", tmp_path)
    assert again == files[3]
    maps = {extract(model, source, "map", tmp_path).path for model in models.values()}
    assert len(maps) == 1  # the last map, whatever is put beside its mean
    narrow, wide = (torch.tensor(files[stages].open()) for stages in (1, 3))
    scaled = narrow / narrow.square().mean(1, keepdim=True).sqrt()
    torch.testing.assert_close(wide[:, :10], scaled, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("frozen", ["none", "norms", "encoder"])
def test_gradients_reach_every_stage_unless_it_is_frozen(frozen: str) -> None:
    model = model_of(3).train()
    if frozen == "encoder":
        freeze(model.encoder)
    elif frozen == "norms":
        freeze(model.encoder.trunk[2][1])
    model.train()
    statistics = model.encoder.trunk[2][1].running_mean.clone()
    model(random_images(4)).square().sum().backward()
    assert model.head.linear.weight.grad.abs().sum(0).gt(0).any()
    learns = {name for name, p in model.encoder.named_parameters() if p.grad is not None}
    assert ("trunk.0.weight" in learns) == (frozen != "encoder")
    assert torch.equal(model.encoder.trunk[2][1].running_mean, statistics) == (frozen != "none")


@torch.no_grad()
def test_memory_order_and_mixed_precision_do_not_matter() -> None:
    model = model_of(3)
    images = random_images(3)
    logits = model(images)
    rows = model.encoder.normalize(images).contiguous()
    torch.testing.assert_close(model(rows), logits)
    maps = model.encoder(rows.contiguous(memory_format=torch.channels_last))
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in maps)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model(images).float(), logits, rtol=0.1, atol=0.1)


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("c++")), reason="needs a compiler")
def test_compiled_it_gives_the_same() -> None:
    model = model_of(3)
    images = random_images(2)
    expected = model(images)
    model.encoder.compile()
    torch.testing.assert_close(model(images), expected)

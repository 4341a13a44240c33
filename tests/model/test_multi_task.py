"""A model of several tasks and inputs: shapes, sharing, saving, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatlabel.encoders import Encoder, create_encoder
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.model import Model, MultiLabelClassifier
from gatlabel.model.sharing import ADAPTERS
from gatlabel.nn import CSRAHead, GATHead, LinearHead
from gatlabel.nn.heads.positions import PositionHead
from gatlabel.tasks import MultiClassTask, MultiLabelTask, RegressionTask, SequenceTask, Task

D = 6
THINGS = ["cat", "dog", "owl"]


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, D, 3, stride=4)
        self.norm = nn.BatchNorm2d(D)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images)).relu()


class Columns(nn.Linear):
    """An encoder of four numbers."""

    def __init__(self) -> None:
        super().__init__(4, 3)


def graph(names: list[str] = THINGS) -> LabelGraph:
    rows = np.random.default_rng(0).integers(0, 2, (20, len(names)))
    return Cooccurrence.from_targets(rows, names).graph("conditional", threshold=0.1)


def tasks(width: int = D) -> list[Task]:
    own = graph()
    return [
        MultiLabelTask("things", THINGS, GATHead(width, graph=own, hidden=4, heads=2), graph=own),
        MultiClassTask("type", ["in", "out"], LinearHead(width, labels=["in", "out"])),
        RegressionTask("count", ["n"], LinearHead(width, labels=["n"]), offset=[3], scale=[2]),
        SequenceTask("story", THINGS, PositionHead(width, labels=THINGS, length=2)),
    ]


def encoder() -> Encoder:
    return Encoder.from_module(Tiny(), image_size=16)


def images(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_all_tasks_answer_and_start_from_shared_features(adapter: str) -> None:
    torch.manual_seed(0)
    model = Model({"image": encoder()}, tasks(), adapter=adapter).eval()
    outputs = model({"image": images()})
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {"things": (3, 3), "type": (3, 2), "count": (3, 1), "story": (3, 2, 4)}
    shared = model.features(images())
    for name, own in model.task_features(shared).items():
        torch.testing.assert_close(own, shared, msg=name)
    torch.testing.assert_close(outputs["type"], model.tasks["type"].head(shared))


def test_cross_stitch_mixes_the_features_of_tasks() -> None:
    torch.manual_seed(0)
    module = ADAPTERS["cross_stitch"](2, D)
    for parameter in module.adapters.parameters():
        nn.init.normal_(parameter)
    features = torch.randn(5, D)
    one, other = module.adapters(features)
    found = module(features)
    torch.testing.assert_close(found[0], 0.9 * one + 0.1 * other)
    torch.testing.assert_close(found[1], 0.1 * one + 0.9 * other)


def test_the_classifier_is_the_same_model() -> None:
    """One encoder and one multi-label head: outputs of both are equal."""
    torch.manual_seed(0)
    own = encoder()
    face = MultiLabelClassifier.create(own, "gat", graph=graph(), image_size=16).eval()
    task = face.tasks["labels"]
    model = Model({"image": own}, [task]).eval()
    assert torch.equal(face(images()), model(images())["labels"])
    assert torch.equal(face.outputs({"image": images()})["labels"], face(images()))


def test_inputs_are_fused() -> None:
    model = Model({"image": encoder(), "columns": Columns()}, tasks(D + 3)).eval()
    inputs = {"image": images(), "columns": torch.randn(3, 4)}
    assert model.features(inputs).shape == (3, D + 3)
    torch.testing.assert_close(model.features(inputs)[:, :D], Model(
        {"image": model.encoders["image"]}, tasks()).eval().features(images()))  # fmt: skip
    with pytest.raises(InputError, match="takes the input 'columns'"):
        model({"image": images()})
    with pytest.raises(InputError, match="by name: image, columns"):
        model(images())


def test_without_an_encoder_features_are_the_input() -> None:
    model = Model({}, tasks())
    x = torch.randn(4, D)
    assert torch.equal(model.features({"features": x}), x)
    assert torch.equal(model(x)["type"], model.tasks["type"].head(x))
    assert model.image_size is None


def test_heads_on_maps_and_on_vectors_share_an_encoder() -> None:
    heads = [
        MultiLabelTask("things", THINGS, CSRAHead(D, labels=THINGS)),
        MultiClassTask("type", ["in", "out"], LinearHead(D, labels=2)),
    ]
    model = Model({"image": encoder()}, heads).eval()
    assert model.features(images()).shape == (3, D, 4, 4)
    outputs = model(images())
    pooled = model.features(images()).mean((2, 3))
    torch.testing.assert_close(outputs["type"], heads[1].head(pooled))
    with pytest.raises(InputError, match="adapter=adapter: not for heads that take"):
        Model({"image": encoder()}, heads, adapter="adapter")
    with pytest.raises(InputError, match="one encoder of images"):
        Model({"image": encoder(), "columns": Columns()}, heads)


def test_gradients_of_tasks_reach_their_own_parts() -> None:
    model = Model({"image": encoder()}, tasks(), adapter="adapter")
    model(images())["count"].sum().backward()
    assert model.encoders["image"].trunk.conv.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.tasks["type"].head.parameters())
    assert all(p.grad is not None for p in model.tasks["count"].head.parameters())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_saved_model_is_the_same(tmp_path: Path, adapter: str) -> None:
    torch.manual_seed(0)
    made = create_encoder("shufflenet_v2_x0_5")
    model = Model({"image": made}, tasks(1024), adapter=adapter, pooling="gem", image_size=32)
    for parameter in model.adapter.parameters():
        nn.init.normal_(parameter)
    model.save_pretrained(tmp_path)
    names = {"model.json", "model.safetensors", "graph-things.json", "decisions.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    other = Model.from_pretrained(tmp_path)
    assert not other.training
    assert other.config == model.config
    x = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    for name, value in model.eval()(x).items():
        assert torch.equal(value, other(x)[name]), name
    assert other.tasks["things"].graph.names == tuple(THINGS)
    assert other.tasks["count"].decide(torch.zeros(1, 1)).item() == 3


def test_own_encoders_are_given_to_load(tmp_path: Path) -> None:
    model = Model({"image": encoder(), "columns": Columns()}, tasks(D + 3)).eval()
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="your own module"):
        Model.from_pretrained(tmp_path)
    other = Model.from_pretrained(tmp_path, encoders={"image": encoder(), "columns": Columns()})
    inputs = {"image": images(), "columns": torch.randn(3, 4)}
    for name, value in model(inputs).items():
        assert torch.equal(value, other(inputs)[name])


def corrupted(folder: Path, change: object) -> None:
    path = folder / "model.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="other"), "not of the format"),
        (lambda c: c.update(adapter="none, really"), "adapter"),
        (lambda c: c["tasks"][0].update(kind="multilable"), "multilabel"),
        (lambda c: c["tasks"][0]["head"].update(hidden=2**15), "no weights have that size"),
        (lambda c: c["tasks"][0]["head"].update(kind="positions"), "head"),
        (lambda c: c["tasks"][2].update(scale="1"), "scale"),
        (lambda c: c["tasks"][1].update(name="story"), "two tasks are called 'story'"),
        (lambda c: c["tasks"][1].update(outputs=["out", "in"]), "does not match its model.json"),
        (lambda c: c.update(tasks={}), "tasks"),
        (lambda c: c["tasks"][0].update(outputs=["cat", "dog", "elk"]), "graph-things.json"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, change: object, message: str) -> None:
    Model({}, tasks()).save_pretrained(tmp_path)
    Model.from_pretrained(tmp_path)
    corrupted(tmp_path, change)
    with pytest.raises(InputError, match=message):
        Model.from_pretrained(tmp_path)


def test_the_formats_are_distinguished(tmp_path: Path) -> None:
    MultiLabelClassifier.create(
        create_encoder("shufflenet_v2_x0_5"), "linear", labels=THINGS
    ).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="MultiLabelClassifier"):
        Model.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"image": nn.Identity()}, tasks()), "no out_features"),
        (({"image": encoder()}, tasks(D + 1)), "takes 7 features, but the encoders give 6"),
        (({}, []), "at least one"),
        (({}, [tasks()[0], tasks()[0]]), "two tasks"),
    ],
)
def test_invalid_arguments_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Model(*arguments)
    with pytest.raises(InputError, match="adapter"):
        Model({}, tasks(), adapter="adaptor")


def test_names_of_methods_are_good_names(tmp_path: Path) -> None:
    """Of tasks and of inputs: torch's dictionary of modules would refuse them."""
    model = Model({"values": Columns()}, [MultiClassTask("train", ["a", "b"], LinearHead(3, 2))])
    assert model({"values": torch.randn(2, 4)})["train"].shape == (2, 2)

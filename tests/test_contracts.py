"""The names that people's code and commands rely on, line by line (DESIGN, section 6)."""

import inspect
from pathlib import Path

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch
from PIL import Image
from torch import Tensor

from gatlabel import Cooccurrence, LabelGraph, LabelSet, MultiLabelClassifier, Predictor
from gatlabel.cli import main
from gatlabel.decisions import conformal_threshold, f1_thresholds
from gatlabel.losses import AsymmetricLoss, BCELoss, CELoss, FocalLoss, SNLLLoss
from gatlabel.metrics import average_precision, f1_scores
from gatlabel.nn import (
    GATHead,
    GATLayer,
    GATv2Head,
    GATv2Layer,
    GCNHead,
    GCNLayer,
    LinearHead,
)
from gatlabel.targets import Targets
from gatlabel.training import plain, train

NAMES = ["fork", "table", "chair", "cup"]


@pytest.fixture
def targets() -> np.ndarray:
    drawn = np.random.default_rng(0).integers(-1, 2, (60, 4)).astype(np.float32)
    drawn[:4] = np.eye(4)
    return drawn


@pytest.fixture
def graph(targets: np.ndarray) -> LabelGraph:
    return Cooccurrence.from_targets(targets, NAMES).graph("conditional", threshold=0.1)


def test_counts_from_arrays_tensors_sparse_matrices_and_counts(targets: np.ndarray) -> None:
    counts = Cooccurrence.from_targets(targets, NAMES)
    for form in (torch.from_numpy(targets), Targets.of(targets)):
        same = Cooccurrence.from_targets(form, LabelSet(NAMES))
        np.testing.assert_array_equal(same.pair_counts, counts.pair_counts)
    present = scipy.sparse.csr_array((targets == 1).astype(np.int8))
    sparse = Cooccurrence.from_targets(present, NAMES)
    again = Cooccurrence.from_counts(sparse.label_counts, sparse.pair_counts, 60, NAMES)
    np.testing.assert_array_equal(again.label_counts, (targets == 1).sum(axis=0))
    np.testing.assert_array_equal(
        again.graph("conditional", threshold=0.1).to_dense(),
        sparse.graph("conditional", threshold=0.1).to_dense(),
    )


def test_a_graph_has_names_edges_weights_and_goes_to_networkx_pyg_and_files(
    graph: LabelGraph, tmp_path: Path
) -> None:
    assert list(graph.names) == NAMES
    source, target = graph.edge_index
    dense = np.asarray(graph.to_dense())
    np.testing.assert_allclose(dense[target, source], graph.edge_weight)
    assert isinstance(graph.to_networkx(), networkx.DiGraph)
    data = graph.to_pyg()
    assert torch.equal(data.edge_index, torch.as_tensor(graph.edge_index))
    graph.save(tmp_path / "graph.json")
    for other in (
        LabelGraph.load(tmp_path / "graph.json"),
        LabelGraph.from_networkx(graph.to_networkx()),
    ):
        np.testing.assert_array_equal(np.asarray(other.to_dense()), dense)


@pytest.mark.parametrize("kind", [GATHead, GATv2Head, GCNHead, LinearHead])
def test_heads_give_logits_a_classifier_and_fold(kind: type, graph: LabelGraph) -> None:
    if kind is LinearHead:
        head = LinearHead(in_features=16, labels=NAMES)
    else:
        more = {} if kind is GCNHead else {"heads": 4}
        head = kind(in_features=16, graph=graph, node_features="svd", hidden=256, **more)
    features = torch.randn(5, 16)
    head.eval()
    logits = head(features)
    assert logits.shape == (5, 4)
    if kind is not LinearHead:
        weight, bias = head.classifier()
        torch.testing.assert_close(features @ weight.T + bias, logits, atol=1e-5, rtol=1e-4)
    linear = head.fold()
    assert type(linear) is torch.nn.Linear
    torch.testing.assert_close(linear(features), logits, atol=1e-5, rtol=1e-4)


def test_layers_are_modules() -> None:
    for layer in (GATLayer, GATv2Layer, GCNLayer):
        assert issubclass(layer, torch.nn.Module)


def test_a_model_is_created_saved_loaded_and_used(graph: LabelGraph, tmp_path: Path) -> None:
    model = MultiLabelClassifier.create("shufflenet_v2_x0_5", head="gat", graph=graph, weights=None)
    model.eval().save_pretrained(tmp_path / "model")
    loaded = MultiLabelClassifier.from_pretrained(tmp_path / "model")
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    torch.testing.assert_close(loaded.eval()(images), model(images))
    Image.new("RGB", (40, 30), "red").save(tmp_path / "photo.jpg")
    prediction = Predictor.load(tmp_path / "model")(str(tmp_path / "photo.jpg"))
    assert list(prediction.probabilities) == NAMES
    assert set(prediction.labels) <= set(NAMES)


def test_the_signature_of_the_classifier() -> None:
    names = list(inspect.signature(MultiLabelClassifier.__init__).parameters)
    assert names[1:] == ["encoder", "head", "labels", "pooling", "graph", "resize", "image_size"]


def test_metrics_take_scores_and_targets(targets: np.ndarray) -> None:
    scores = np.random.default_rng(1).uniform(size=targets.shape)
    assert len(average_precision(scores, targets)) == 4
    assert f1_scores(scores, targets) is not None


@pytest.mark.parametrize("kind", [BCELoss, FocalLoss, AsymmetricLoss, CELoss, SNLLLoss])
def test_losses_take_logits_and_targets(kind: type[torch.nn.Module]) -> None:
    logits: Tensor = torch.randn(6, 4, requires_grad=True)
    loss = kind()(logits, torch.eye(4)[[0, 1, 2, 3, 0, 1]])
    loss.backward()
    assert loss.ndim == 0
    assert logits.grad is not None


@pytest.mark.parametrize("kind", [CELoss, SNLLLoss])
def test_losses_of_the_document_have_a_well_posed_form(kind: type[torch.nn.Module]) -> None:
    assert torch.isfinite(kind(form="well_posed")(torch.randn(6, 4), torch.ones(6, 4)))


def test_the_nouns_are_where_the_design_has_them() -> None:
    from gatlabel.model import Model
    from gatlabel.tasks import Task

    assert issubclass(Model, torch.nn.Module)
    assert inspect.isabstract(Task)


def test_decisions_take_probabilities_and_targets(targets: np.ndarray) -> None:
    probabilities = np.random.default_rng(1).uniform(size=targets.shape)
    thresholds = np.asarray(f1_thresholds(probabilities, targets))
    assert thresholds.shape == (4,)
    assert isinstance(conformal_threshold(probabilities, targets, alpha=0.1), float)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contracts") / "run"
    tiny = {"data.train_images": 24, "data.test_images": 12, "images.size": 32, "run.epochs": 1}
    encoder = {"encoder.backbone": "shufflenet_v2_x0_5", "encoder.weights": "none"}
    rest = {"run.batch_size": 8, "run.compare": "no", "run.progress": False, "run.output": folder}
    train(plain().with_options({**tiny, **encoder, **rest}))
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("config.yaml", "labels.json", "counts.json", "graph.json", "model.json"),
        *(
            "model.safetensors",
            "metrics.csv",
            "metrics.json",
            "decisions.json",
            "report.html",
            "checkpoints",
        ),
    ],
)
def test_a_run_folder_is_self_contained(run_folder: Path, name: str) -> None:
    assert (run_folder / name).exists()


def test_the_last_checkpoint_is_the_last_finished_epoch(run_folder: Path) -> None:
    checkpoint = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 0


@pytest.mark.parametrize(
    "command",
    [
        *("train", "evaluate", "predict", "export", "explain", "decide"),
        *("pretrain", "fewshot", "extend", "suggest", "benchmark methods"),
        *("graph build", "graph show", "graph compare"),
        *("benchmark graphs", "benchmark heads", "benchmark summary"),
    ],
)
def test_commands_have_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    assert stopped.value.code in (0, None)
    assert "usage" in capsys.readouterr().out.lower()


def test_mistakes_exit_with_2_in_one_line(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run_folder / "nowhere")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert main(["evaluate", str(run_folder)]) == 0

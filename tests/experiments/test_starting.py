"""The linear classifiers that frozen runs start from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.baselines.similarity.start import shared_start
from gatlabel.errors import InputError
from gatlabel.experiments import starting
from gatlabel.experiments.fitting import Features
from gatlabel.experiments.frozen import FrozenBackend
from gatlabel.experiments.graphs import with_edges
from gatlabel.experiments.methods import Method
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.experiments.outcome import Condition
from gatlabel.features import FeatureFile
from gatlabel.graph import Cooccurrence
from gatlabel.nn.heads.shared_classifier import ClassifierMixing
from tests.experiments.synthetic import NAMES, SMALL, benchmark, config


@pytest.fixture
def counted(monkeypatch):
    calls = []

    def counting(features, targets, sharing=None, groups=None):
        calls.append(len(features))
        return shared_start(features, targets, sharing, groups)

    monkeypatch.setattr(starting, "shared_start", counting)
    starting._found.clear()
    return calls


def test_it_is_found_once_for_the_same_images_and_targets(counted, tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    targets = (torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    file = FeatureFile(tmp_path / "a.npy")
    features = Features(array)
    first = starting.linear_start(file, features, targets)
    assert starting.linear_start(file, Features(array), targets.clone()) is first
    assert counted == [30]
    torch.testing.assert_close(
        first.weight, ridge_start(torch.from_numpy(array) / features.scale, targets).weight
    )
    other = targets.clone()
    other[3, 0] = -1
    rows = np.arange(20)
    starting.linear_start(file, features, other)
    starting.linear_start(file, Features(array, rows), targets[:20])
    starting.linear_start(FeatureFile(tmp_path / "b.npy"), features, targets)
    assert counted == [30, 30, 20, 30]
    counted.clear()
    for share in (0.5, 0.2, 0.5):
        sharing = torch.tensor([[1.0, share], [share, 1.0]]).double()
        shared = starting.linear_start(file, features, targets, sharing)
        assert not torch.allclose(shared.weight, first.weight)
    assert counted == [30, 30]  # each share once
    counted.clear()
    either = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double()
    for strength in (0.5, 0.2, 0.5):
        choice = assembled(targets, Used("names", strength, either))
        shared = starting.linear_start(file, features, targets, choice)
        expected = shared_start(torch.from_numpy(array) / features.scale, targets, choice)
        torch.testing.assert_close(shared.weight, expected.weight)
    assert counted == [30, 30]  # each choice once
    for k in range(starting.MOST_KEPT):
        starting.linear_start(FeatureFile(tmp_path / f"{k}.npy"), features, targets)
    assert len(starting._found) == starting.MOST_KEPT


@pytest.mark.parametrize("head", ["linear", "gat", "csra"])
def test_strongly_anchored_heads_stay_at_the_start(counted, tmp_path: Path, head: str) -> None:
    """Decay that allows no step away leaves ridge regression, of all but heads on maps."""
    _, backend = benchmark(tmp_path)
    options = {"lr": 0.001, "weight_decay": 900.0, "anchor_strength": 900.0, "shrinkage": 0.999}
    method = Method(head, "conditional" if head == "gat" else "")
    scores = {}
    for start in ("ridge", "random"):
        fit = FitOptions(0, 0, 0, 2, 12, 16)
        other = FrozenBackend(backend.data, backend.train, SMALL, fit, start)
        scores[start] = torch.from_numpy(
            other.run(method, Condition(), options, 0, False)[0].logits
        )
    if head == "csra":
        assert counted == []
        assert torch.equal(scores["ridge"], scores["random"])
        return
    train = Features(backend.data.train.files["pooled"].open())
    report = Features(backend.data.report.files["pooled"].open(), scale=train.scale)
    ridge = ridge_start(train[np.arange(80)], torch.from_numpy(backend.data.train.targets))
    expected = report[np.arange(60)] @ ridge.weight.T
    difference = (scores["ridge"] - expected).std(0)  # biases are not held
    assert (difference < 0.05 * expected.std(0)).all()
    assert (scores["random"].std(0) < 0.5 * expected.std(0)).all()


def test_another_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ridge"):
        config(tmp_path, frozen_start="rigde")


def test_methods_are_initialised_along_their_own_similarity_edges(tmp_path: Path) -> None:
    """Own, random and no edges: each is ridge regression with that prior, as it is held there."""
    _, backend = benchmark(tmp_path)
    vectors = np.random.default_rng(0).random((6, 3))
    np.savez(tmp_path / "vectors.npz", names=np.array(NAMES), vectors=vectors)
    held = {"lr": 1e-6, "weight_decay": 0.0, "anchor_strength": 1e9, "shrinkage": 0.9999}
    learned, reported = (
        Features(split.files["pooled"].open(), scale=1.0)[np.arange(len(split.targets))]
        for split in (backend.data.train, backend.data.report)
    )
    targets = torch.from_numpy(backend.data.train.targets)
    counts = Cooccurrence.from_targets(targets.numpy(), NAMES)
    graph = counts.graph("knn", vectors=vectors, k=2)
    near = f"knn:vectors={tmp_path / 'vectors.npz'},k=2"
    for method in (
        Method("gat", near),
        Method("gat", near, "random"),
        Method("gat", edges="none"),
    ):
        edges = with_edges(graph, method.edges, counts, seed=3)
        share = 0.5 * 3 / (3 + targets.sum(0)) if edges.relation == "similarity" else 0.0
        mixing = ClassifierMixing(edges.edge_index, edges.edge_weight, 6, share)
        start = ridge_start(learned, targets, mixing.matrix())
        (outcome,) = backend.run(method, Condition(), held, 3, False)
        expected = reported @ start.weight.T + start.bias
        torch.testing.assert_close(torch.from_numpy(outcome.logits), expected, atol=2e-3, rtol=1e-3)

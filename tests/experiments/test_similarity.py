"""The graph ``similarity`` of a benchmark is chosen in each run from what it learns from."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.baselines.similarity import (
    SimilarityChoice,
    similarity_start,
    source_from_vectors,
)
from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.baselines.similarity.evidence import Evidence, SourceEvidence
from gatlabel.errors import InputError
from gatlabel.experiments import similarity
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.result import BenchmarkResult
from gatlabel.experiments.runner import make_plan, run_on
from gatlabel.experiments.similarity import control_of
from gatlabel.experiments.similarity_tables import similarity_table
from gatlabel.graph import Cooccurrence
from tests.experiments.synthetic import NAMES, SMALL, benchmark, config

WHERE = Condition(1.0, 0.0)


def test_what_is_chosen_is_what_heads_share(tmp_path: Path, monkeypatch) -> None:
    weights = torch.rand(len(NAMES), len(NAMES), dtype=torch.float64).fill_diagonal_(0)
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def chosen(features, targets, counts, train, seed, groups):
        asked.append((features, targets))
        return assembled(targets, Used("names", 0.5, weights))

    monkeypatch.setattr("gatlabel.experiments.frozen.chosen_similarity", chosen)
    _, backend = benchmark(tmp_path)
    rows = np.arange(len(backend.data.train.targets))
    for edges in ("own", "random", "permuted"):
        head = backend._trained(Method("gat", "similarity", edges), WHERE, {}, 0, rows).head
        features, targets = asked[-1]
        assert features.shape == (len(targets), 8)
        choice = assembled(targets, Used("names", 0.5, weights))
        sharing = head.mixing_matrix()
        assert sharing is not None
        torch.testing.assert_close(
            sharing.sum(1), 1 + choice.strengths(), rtol=1e-5, atol=1e-5
        )  # the same strengths, whichever edges
        if edges == "own":
            torch.testing.assert_close(sharing, choice.sharing(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("edges", ["own", "random", "permuted"])
def test_heads_and_their_controls_begin_with_the_map_of_the_choice(
    tmp_path: Path, monkeypatch, edges
) -> None:
    vectors = torch.randn(len(NAMES), 4, generator=torch.Generator().manual_seed(0))
    source = source_from_vectors("names", vectors)
    made: list[SimilarityChoice] = []

    def chosen(features, targets, counts, train, seed, groups):
        parts = [Used("names", 0.5, source.matrix, source.vectors)] * 2
        made.append(assembled(targets, *parts, 1.0))
        return made[-1]

    monkeypatch.setattr("gatlabel.experiments.frozen.chosen_similarity", chosen)
    _, backend = benchmark(tmp_path)
    targets = np.array(backend.data.train.targets)
    targets[:, [1, 4]] = -1
    train = dataclasses.replace(backend.data.train, targets=targets)
    untrained = dataclasses.replace(backend.fit, epochs=0, least_steps=0, ema=0.0)
    data = dataclasses.replace(backend.data, train=train)
    backend = dataclasses.replace(backend, data=data, fit=untrained)
    rows = np.arange(len(targets))
    method = Method("gat", "similarity", edges)
    head, scale, _, _ = backend._trained(method, WHERE, {}, 3, rows)
    features = torch.tensor(backend.data.train.files["pooled"].open()) / scale
    choice = control_of(made[0], edges, 3)
    assert choice is not None
    expected = similarity_start(features, torch.from_numpy(targets), choice)
    weight, bias = head.classifier()
    torch.testing.assert_close(weight, expected.weight, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(bias, expected.bias, rtol=1e-4, atol=1e-4)
    averages = dataclasses.replace(choice, map_penalty=None, prediction=choice.similarity)
    averaged = similarity_start(features, torch.from_numpy(targets), averages)
    assert not torch.allclose(expected.weight[1], averaged.weight[1], atol=1e-2)


def test_where_nothing_is_chosen_there_are_no_edges(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        "gatlabel.experiments.frozen.chosen_similarity",
        lambda features, targets, counts, train, seed, groups: assembled(targets),
    )
    _, backend = benchmark(tmp_path)
    rows = np.arange(len(backend.data.train.targets))
    own, none = (
        backend._trained(Method("gat", *rest), WHERE, {}, 0, rows).head
        for rest in (("similarity",), (None, "none"))
    )
    assert own.mixing_matrix() is None
    for left, right in zip(own.parameters(), none.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_choice_is_made_once_for_the_same_images(tmp_path: Path, monkeypatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(
        similarity,
        "choose",
        lambda config, features, targets, counts, log, groups: made.append(1) or assembled(targets),
    )
    _, backend = benchmark(tmp_path)
    rows = np.arange(len(backend.data.train.targets))
    for seed in (0, 0, 1):
        backend._trained(Method("gat", "similarity"), WHERE, {}, seed, rows)
    assert len(made) == 2


def test_the_plan_has_it_with_controls_and_end_to_end_refuses_it(tmp_path: Path) -> None:
    task, _ = benchmark(tmp_path)
    plan = make_plan(config(tmp_path, graphs=("similarity",), heads=("gat",)), task)
    assert {method.edges for method in plan.methods if method.graph} == {
        "own",
        "random",
        "permuted",
        "ablated",
    }
    with pytest.raises(InputError, match="only with mode=frozen"):
        config(tmp_path, graphs=("similarity",), mode="end-to-end")


def test_reports_say_what_was_chosen_and_why(tmp_path: Path, monkeypatch) -> None:
    vectors = torch.randn(len(NAMES), 4, generator=torch.Generator().manual_seed(0))
    source = source_from_vectors("names", vectors)
    task, backend = benchmark(tmp_path / "data")
    targets = np.array(backend.data.train.targets)
    targets[:, [1, 4]] = -1
    train = dataclasses.replace(backend.data.train, targets=targets)
    backend = dataclasses.replace(backend, data=dataclasses.replace(backend.data, train=train))

    def chosen(features, targets, counts, train, seed, groups):
        parts = [Used("names", 0.5, source.matrix, source.vectors)] * 2
        return assembled(targets, parts[0] if seed else None, parts[1], 1.0)

    monkeypatch.setattr("gatlabel.experiments.frozen.chosen_similarity", chosen)
    options = config(
        tmp_path / "out", graphs=("similarity", "conditional"), heads=("gat",), trials=1
    )
    result = run_on(options, task, lambda: backend, lambda line: None)
    rows = similarity_table(result.data_sets)
    seen = "with known presences and absences"
    other = "without known presences and absences (2: knife, grass)"
    mapped = "names, strength 0.50, by a map from vectors to classifiers"
    assert rows.head == ["seed", "labels", "similarity, and its reason"]
    assert rows.rows == [
        ["0", seen, "none (no source to test)"],
        ["0", other, mapped],
        ["1", seen, "names, strength 0.50"],
        ["1", other, mapped],
    ]
    for name in ("report.html", "table.md"):
        assert mapped in (tmp_path / "out" / name).read_text(encoding="utf-8")
    again = BenchmarkResult.load(tmp_path / "out")
    assert similarity_table(again.data_sets) == rows


def test_reports_without_the_graph_have_no_such_table(tmp_path: Path) -> None:
    task, backend = benchmark(tmp_path / "data")
    options = config(tmp_path / "out", heads=("linear",), trials=1, seeds=1)
    result = run_on(options, task, lambda: backend, lambda line: None)
    assert not similarity_table(result.data_sets).rows
    assert "Similarity" not in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_the_reports_name_methods_whose_choices_may_differ(tmp_path: Path, monkeypatch) -> None:
    vectors = torch.randn(len(NAMES), 4, generator=torch.Generator().manual_seed(0))
    source = source_from_vectors("names", vectors)
    task, backend = benchmark(tmp_path / "data")
    targets = np.array(backend.data.train.targets)
    targets[:, 1] = -1
    train = dataclasses.replace(backend.data.train, targets=targets)
    data = dataclasses.replace(backend.data, train=train)

    def chosen(features, targets, counts, train, seed, groups):
        strength = 0.5 if train.head.name == "gat" else 0.3
        parts = [Used("names", strength, source.matrix, source.vectors)] * 2
        return assembled(targets, *parts, 1.0)

    monkeypatch.setattr("gatlabel.experiments.frozen.chosen_similarity", chosen)
    found = {}
    for start in ("ridge", "random"):
        out = tmp_path / start
        options = config(
            out, graphs=("similarity",), heads=("gat", "gcn"), trials=1, seeds=1, frozen_start=start
        )
        runs = dataclasses.replace(backend, data=data, start=start)
        lines: list[str] = []
        result = run_on(options, task, lambda runs=runs: runs, lines.append)
        table = similarity_table(result.data_sets)
        assert table.head[0] == "method"
        found[start] = {(row[0], row[2].split(" ")[0]): row[-1] for row in table.rows}
        assert any("gcn cannot share classifiers" in line for line in lines)
        assert "label vectors" in result.data_sets[task.name].protocol["graphs"]
    gat, gcn = "gat · similarity", "gcn · similarity"
    assert found["ridge"][gat, "with"] == "names, strength 0.50"
    assert found["ridge"][gcn, "with"] == "names, strength 0.30"
    mapped = "names, strength 0.50, by a map from vectors to classifiers"
    assert found["ridge"][gat, "without"] == mapped
    # without linear classifiers in closed form there is no map
    assert found["ridge"][gcn, "without"] == "names, strength 0.30"
    assert found["random"][gat, "without"] == "names, strength 0.50"


def test_several_data_sets_are_told_apart_where_one_has_the_graph(tmp_path: Path) -> None:
    results = {}
    for graph in ("similarity", "conditional"):
        task, backend = benchmark(tmp_path / f"data-{graph}")
        options = config(tmp_path / graph, graphs=(graph,), heads=("gat",), trials=1, seeds=1)
        results[graph] = run_on(options, task, lambda backend=backend: backend, lambda line: None)
    both = BenchmarkResult.load([tmp_path / graph for graph in results])
    table = similarity_table(both.data_sets)
    assert table.head[0] == "data set"
    assert len({row[0] for row in table.rows}) == 1


def test_what_gains_too_little_is_not_used_as_in_training(tmp_path: Path, monkeypatch) -> None:
    weights = torch.rand(len(NAMES), len(NAMES), dtype=torch.float64).fill_diagonal_(0)
    _, backend = benchmark(tmp_path)
    targets = torch.from_numpy(np.array(backend.data.train.targets))
    features = torch.tensor(backend.data.train.files["pooled"].open())
    counts = Cooccurrence.from_targets(targets, NAMES)
    for effect, linear in ((0.001, True), (0.01, False)):
        evidence = SourceEvidence("names", Evidence(effect, 0.0, 0.001, 5.0, 0.001, 0.5, 6))
        made = assembled(targets, Used("names", 0.5, weights), evidence=(evidence,))
        monkeypatch.setattr(similarity, "choose", lambda *given, made=made: made)
        similarity._found.clear()
        train = backend.train.with_options({"head": SMALL["gat"]})
        found = similarity.chosen_similarity(features, targets, counts, train, 0)
        assert found.linear is linear
        assert (found.sharing() is None) is linear
        assert "names" in found.explain()[0]  # the evidence is reported all the same


def test_given_weights_and_older_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"similarity_weight=0\.3: not with graphs=similarity"):
        config(tmp_path, graphs=("similarity",), heads=("gat:similarity_weight=0.3",))
    task, backend = benchmark(tmp_path / "data")
    options = config(tmp_path / "out", graphs=("similarity",), heads=("gat",), trials=1, seeds=1)
    run_on(options, task, lambda: backend, lambda line: None)
    path = tmp_path / "out" / "benchmark.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    del old["similarity"]
    path.write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(InputError, match="similarity was None, now as chosen by train"):
        run_on(options, task, lambda: backend, lambda line: None)


def test_heads_that_must_not_share_begin_with_classifiers_of_their_own(
    tmp_path: Path, monkeypatch
) -> None:
    weights = torch.rand(len(NAMES), len(NAMES), dtype=torch.float64).fill_diagonal_(0)
    monkeypatch.setattr(
        "gatlabel.experiments.frozen.chosen_similarity",
        lambda features, targets, *rest: assembled(targets, Used("names", 0.5, weights)),
    )
    _, backend = benchmark(tmp_path)
    heads = {**SMALL, "gat": dataclasses.replace(SMALL["gat"], similarity_weight=0.0)}
    untrained = dataclasses.replace(backend.fit, epochs=0, least_steps=0, ema=0.0)
    backend = dataclasses.replace(backend, heads=heads, fit=untrained)
    rows = np.arange(len(backend.data.train.targets))
    own, linear = (
        backend._trained(method, WHERE, {}, 0, rows).head
        for method in (Method("gat", "similarity"), Method("linear"))
    )
    torch.testing.assert_close(own.classifier()[0], linear.classifier()[0])

"""The graph ``similarity`` of a benchmark is chosen in each run from what it learns from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.baselines.similarity.assembly import Used, assembled
from gatlabel.errors import InputError
from gatlabel.experiments import similarity
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.runner import make_plan
from tests.experiments.synthetic import NAMES, benchmark, config

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
        head, _, _ = backend._trained(Method("gat", "similarity", edges), WHERE, {}, 0, rows)
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


def test_where_nothing_is_chosen_there_are_no_edges(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        "gatlabel.experiments.frozen.chosen_similarity",
        lambda features, targets, counts, train, seed, groups: assembled(targets),
    )
    _, backend = benchmark(tmp_path)
    rows = np.arange(len(backend.data.train.targets))
    own, none = (
        backend._trained(Method("gat", *rest), WHERE, {}, 0, rows)[0]
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

"""Evaluation of claims, each kind with values for which it must hold and fail."""

import dataclasses
import json
from pathlib import Path

import pytest

from gatlabel.csv_files import read_rows
from gatlabel.experiments import BenchmarkResult
from gatlabel.experiments.comparisons import LINEAR, Comparison
from gatlabel.experiments.dataset_result import DataSetResult
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.records import Run, Scope, parse_identity, parse_method
from gatlabel.experiments.statistics import Difference
from tests.benchmarks.conftest import FOLDER

GAT, OTHER, HERE = Method("gat", "npmi"), Method("linear"), Condition()


def judged(load, kind: str, margin: float, difference: tuple[float, ...], corrected: float,
           oracle: float | None = None, **more):  # fmt: skip
    found = Comparison(
        HERE,
        GAT,
        OTHER,
        LINEAR,
        Difference(*difference, *[0.01] * (len(difference) == 3)),
        corrected,
    )
    runs = [Run(OTHER, HERE, seed, {"mAP": value}) for seed, value in enumerate((0.3, 0.5))]
    scope = Scope("", "photos", [OTHER, GAT], [HERE], 2, {})
    result = BenchmarkResult({"photos": DataSetResult(Path(), scope, runs, [found], {})})
    claim = load("claims").Claim("gat · npmi", "linear", kind, margin)
    return dataclasses.replace(claim, **more).judge(result, oracle)


@pytest.mark.parametrize(
    ("kind", "margin", "difference", "corrected", "holds"),
    [
        ("not worse", 0.5, (-0.001, -0.004, 0.002), 1.0, True),
        ("not worse", 0.5, (0.003, -0.006, 0.02), 0.001, False),  # too wide an interval
        ("better", 0.0, (0.002, 0.001, 0.003), 0.01, True),
        ("better", 0.0, (0.002, 0.001, 0.003), 0.06, False),
        ("better", 0.0, (-0.002, -0.003, -0.001), 0.01, False),
        ("better", 1.0, (0.009, 0.005, 0.013), 0.001, False),  # beyond chance, but too little
        ("closes", 25.0, (0.1, 0.08, 0.12), 0.001, True),  # 0.4 to 0.8: 25 per cent of the way
        ("closes", 25.0, (0.099, 0.08, 0.12), 0.001, False),
        ("closes", 25.0, (0.1, -0.1, 0.3), 0.2, False),
    ],
)
def test_a_claim_can_hold_and_fail(load, kind, margin, difference, corrected, holds) -> None:
    found = judged(load, kind, margin, difference, corrected, oracle=0.8)
    assert found["holds"] is holds
    assert found["points"] == pytest.approx(100 * difference[0], abs=0.01)
    if kind == "closes":
        assert found["closed, per cent"][0] == pytest.approx(250 * difference[0], abs=0.1)


@pytest.mark.parametrize("kind", ["not worse", "better", "closes"])
def test_without_an_interval_no_claim_holds(load, kind) -> None:
    nothing = (0.1, None, None, None, None, "no interval: too few")
    found = judged(load, kind, 0.0, nothing, None, oracle=0.8)
    assert found["holds"] is False
    assert (found["interval"], found["why"]) == (None, "no interval: too few")


def test_a_claim_about_what_was_not_compared_stops(load) -> None:
    with pytest.raises(SystemExit, match="0 comparisons"):
        judged(load, "better", 0.0, (0.1, 0.1, 0.1), 0.01, fraction=0.3)


def test_claims_are_about_what_their_benchmarks_compare(load) -> None:
    from gatlabel.experiments import make_config
    from gatlabel.experiments.comparisons import pairs
    from gatlabel.experiments.methods import list_methods

    for name, study in load("claims").STUDIES.items():
        options = {**study.options, **({"data.root": "images"} if study.data else {})}
        config = make_config(study.kind, **options)
        everyone = list_methods(config.heads, config.graphs, config.unknown)
        compared = {(a.title, against) for a, _, against, _ in pairs(everyone)}
        for claim in study.claims:
            assert (claim.ours, claim.against) in compared, name
            assert claim.fraction in config.train_fractions, name
            assert claim.hidden in config.mask_labels, name


def test_committed_results_can_be_read() -> None:
    tables = sorted((FOLDER / "results").rglob("results.csv"))
    assert len(tables) > 10
    for path in tables:
        assert all(parse_identity(row, path) for row in read_rows(path, "table of results"))
        about = json.loads((path.parent / "protocol.json").read_text(encoding="utf-8"))
        assert [parse_method(*parts) for parts in about["methods"]]
        assert (path.parent / "environment.json").is_file()

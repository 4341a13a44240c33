"""Resampled runs: kept while they are true, the same in any process; few positives."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gatlabel.errors import InputError
from gatlabel.experiments import BenchmarkResult, bootstrap
from gatlabel.experiments.bootstrap import Bootstrap, Kept, resample_runs
from gatlabel.experiments.comparisons import compare
from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting
from gatlabel.experiments.runner import run_on
from gatlabel.experiments.splits import Roles
from gatlabel.experiments.store import Run, Store
from gatlabel.experiments.verdict import UNTESTED
from gatlabel.labels import LabelSet
from gatlabel.metrics import mean_average_precision
from tests.experiments.synthetic import NAMES, NoPictures, benchmark, config
from tests.reference import bootstrap as reference

KEYS = [(Contender(head), Setting(), seed) for head in ("linear", "csra") for seed in (0, 1)]


def scores_of(store: Store, *key) -> np.ndarray:
    return store.read_scores(key)


def refuse(*key) -> np.ndarray:
    raise AssertionError("there is nothing to compute")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    rng = np.random.default_rng(0)
    targets = (rng.random((30, 3)) < 0.4).astype(np.float32)
    store = Store(tmp_path / "out")
    store.begin({}, targets, ("a", "b", "c"), np.ones(3, dtype=np.int64))
    for key in KEYS:
        logits = (targets + rng.normal(0, 1, targets.shape)).astype(np.float32)
        store.add_run(Run(*key, {"mAP": 0.5}), logits)
    return store


def resample(store: Store, count: int = 40, scores=None, **options):
    targets = store.read_targets()[0]
    work = Bootstrap(targets, scores or partial(scores_of, store), count)
    return resample_runs(work, KEYS, Kept(store, targets), **options)


def equal(one, two) -> bool:
    return all(one[k].value == two[k].value and (one[k].maps == two[k].maps).all() for k in KEYS)


def test_the_resampled_map_is_the_slow_definition(store: Store) -> None:
    targets = store.read_targets()[0]
    weights = reference.resample_weights(30, 40, seed=0)
    moved = []
    for key, found in resample(store, advance=moved.append).items():
        logits = store.read_scores(key)
        slow = reference.resampled_map(logits, targets, weights)
        np.testing.assert_array_equal(found.maps, slow)
        assert found.value == mean_average_precision(logits, targets).value
    assert moved == [1] * len(KEYS)


def test_what_was_resampled_is_kept(store: Store) -> None:
    first, moved = resample(store), []
    assert equal(resample(store, scores=refuse, advance=moved.append), first)
    assert sum(moved) == len(KEYS)
    fewer = resample(store, 25, scores=refuse)
    assert all((fewer[key].maps == first[key].maps[:25]).all() for key in KEYS)
    assert not list(store.folder.rglob(".*"))  # nothing half-written


def test_only_what_is_new_is_computed(store: Store) -> None:
    resample(store)
    Kept(store, store.read_targets()[0]).path(KEYS[2]).unlink()
    read = []
    resample(store, scores=lambda *key: read.append(key) or store.read_scores(key))
    assert read == [KEYS[2]]


def test_other_scores_are_resampled_again(store: Store) -> None:
    first = resample(store)
    store.add_run(Run(*KEYS[1], {"mAP": 0.5}), store.read_scores(KEYS[0]))
    again = resample(store)
    assert (again[KEYS[1]].maps == first[KEYS[0]].maps).all()
    assert (again[KEYS[1]].maps != first[KEYS[1]].maps).any()


@pytest.mark.parametrize("change", ["targets", "seed", "resamples", "way"])
def test_other_circumstances_are_not_mixed_up(store: Store, change: str, monkeypatch) -> None:
    resample(store)
    targets, seed, count = store.read_targets()[0], 0, 40
    if change == "targets":
        targets = 1 - targets
    seed += change == "seed"
    count += change == "resamples"
    if change == "way":
        monkeypatch.setattr(bootstrap, "VERSION", "another")
    assert Kept(store, targets, seed).read(KEYS[0], count) is None


def test_another_generator_of_numpys_is_noticed(store: Store, monkeypatch) -> None:
    resample(store)
    other = bootstrap.resample_weights
    monkeypatch.setattr(bootstrap, "resample_weights", lambda n, r, seed: other(n, r, seed + 1))
    assert Kept(store, store.read_targets()[0]).read(KEYS[0], 40) is None


def test_damaged_files_are_computed_again(store: Store) -> None:
    first = resample(store)
    path = Kept(store, store.read_targets()[0]).path(KEYS[0])
    path.write_bytes(path.read_bytes()[:-50])
    assert equal(resample(store), first)
    assert equal(resample(store, scores=refuse), first)


@pytest.mark.parametrize(
    "change", [{"value": np.ones(2)}, {"maps": np.float64(1)}, {"maps": np.full(40, "x")}]
)
def test_arrays_of_other_shapes_and_types_are_computed_again(store: Store, change) -> None:
    first = resample(store)
    path = Kept(store, store.read_targets()[0]).path(KEYS[0])
    with np.load(path) as content:
        np.savez(path, **{**content, **change})
    assert equal(resample(store), first)


def test_a_folder_that_cannot_be_written_to_is_read_all_the_same(store: Store) -> None:
    (store.folder / "resampled").write_text("no folder")
    assert equal(resample(store), resample(store))


@pytest.mark.slow
def test_processes_find_the_same(store: Store, monkeypatch) -> None:
    alone = resample(store)
    for path in (store.folder / "resampled").iterdir():
        path.unlink()
    monkeypatch.setattr(bootstrap, "WORTH", 0)
    moved = []
    assert equal(resample(store, workers=2, advance=moved.append), alone)
    assert sum(moved) == len(KEYS)
    monkeypatch.setattr(bootstrap, "WORTH", 1)
    assert equal(resample(store, scores=refuse, workers=2), alone)


def test_processes_start_only_where_it_pays(store: Store, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        bootstrap, "work", lambda backend, jobs, workers, done: asked.append((len(jobs), workers))
    )
    resample(store, workers=4)
    monkeypatch.setattr(bootstrap, "WORTH", len(KEYS) * 30 * 3 * 40)
    resample(store, workers=4)
    assert asked == [(4, 1), (4, 4)]


def test_more_seeds_compute_what_is_new(tmp_path: Path, monkeypatch) -> None:
    task, backend = benchmark(tmp_path / "data")
    options = config(tmp_path / "out", graphs=("complete",), seeds=1, trials=1)
    run_on(options, task, lambda: backend, lambda line: None)
    computed = []
    measure = Bootstrap.measure
    monkeypatch.setattr(
        Bootstrap, "measure", lambda self, key: computed.append(key) or measure(self, key)
    )
    more = dataclasses.replace(options, seeds=2)
    result = run_on(more, task, lambda: backend, lambda line: None)
    assert {seed for *_, seed in computed} == {1}
    assert 2 * len(computed) == len(result.runs)
    computed.clear()
    assert BenchmarkResult.load(options.folder, options.resamples).document() == result.document()
    assert computed == []


def few_positives(folder: Path, pictures: int):
    """A finished benchmark whose reported split has one label's positives in so many pictures."""
    task, backend = benchmark(folder / "data")
    report = task.roles.report
    targets = np.zeros_like(report.targets)
    targets[:pictures, 2] = 1
    other = NoPictures(LabelSet(NAMES), report.ids, targets)
    task = dataclasses.replace(
        task, roles=Roles(task.roles.train, task.roles.tune, other, "test", "made up")
    )
    options = config(
        folder / "out", graphs=("complete",), trials=1, train_fractions=(0.5, 1.0), resamples=1000
    )
    return options, run_on(options, task, lambda: backend, lambda line: None)


def test_few_positives_leave_resamples_out(tmp_path: Path) -> None:
    options, result = few_positives(tmp_path, 4)
    rows = reference.resample_weights(60, 1000, seed=0)
    empty = int((rows[:4].sum(axis=0) == 0).sum())
    assert 0 < empty < 50
    assert {c.difference.left_out for c in result.comparisons} == {empty}
    assert all(c.difference.low <= c.difference.high for c in result.comparisons)
    note = f"{empty} of 1000 resamples of the pictures had no positive of any label: they are left"
    assert note in (options.folder / "table.md").read_text()
    assert note in (options.folder / "report.html").read_text()


@pytest.mark.parametrize("pictures", [0, 1])
def test_too_few_positives_leave_the_table_of_runs(tmp_path: Path, pictures: int) -> None:
    options, result = few_positives(tmp_path, pictures)
    assert result.verdict == [UNTESTED]
    assert all(c.corrected is None and not c.better for c in result.comparisons)
    content = json.loads((options.folder / "comparisons.json").read_text())
    found = content["comparisons"][0]["difference"]
    assert (found["low"], found["high"], found["p"]) == (None, None, None)
    assert (found["value"] is None) == (pictures == 0)
    table = (options.folder / "table.md").read_text()
    assert "too many for intervals and tests" in table
    assert "[–]" in table
    assert "Nothing was tested." in table
    page = (options.folder / "report.html").read_text()
    assert "nan" not in page
    assert "None" not in page.replace("<dd>None</dd>", "")  # the machine's GPU
    assert (pictures == 1) == ("points (no interval)" in page)
    assert BenchmarkResult.load(options.folder, 1000).document() == result.document()


def test_scores_that_cannot_be_read_are_named(store: Store) -> None:
    path = store.scores_path(KEYS[0])
    resample(store)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"cannot read .*\.npz"):
        resample(store)


def test_comparisons_need_no_folder() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random((40, 3)) < 0.5).astype(np.float32)
    both, noise = [Contender("linear"), Contender("csra")], rng.normal(0, 1, (40, 3))
    clear = {"linear": noise, "csra": targets}
    found = compare(both, [Setting()], [0], targets, lambda who, *_: clear[who.head], 100)
    assert found[0].better

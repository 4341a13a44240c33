"""What each split is for, also where one of them has no label to judge by."""

import dataclasses

import numpy as np
import pytest

from gatlabel.data import DataSplits
from gatlabel.errors import InputError
from gatlabel.experiments.runner import run_on
from gatlabel.experiments.splits import roles, split_for_tuning
from gatlabel.labels import LabelSet
from tests.experiments.synthetic import NoImages, benchmark, config

LABELS = LabelSet(("cat", "dog"))


def source(*rows: tuple[float, float]) -> NoImages:
    return NoImages(LABELS, [str(k) for k in range(len(rows))], np.array(rows, np.float32))


LABELLED, EMPTY, UNKNOWN = source((1, 0), (0, 1)), source((0, 0)), source((-1, 0))


def test_options_are_chosen_on_val_and_figures_are_of_test() -> None:
    found = roles(DataSplits("pets", LABELLED, LABELLED, LABELLED))
    assert (found.tune, found.report_name) == (LABELLED, "test")
    assert found.note.startswith("options chosen on val")


@pytest.mark.parametrize("val", [EMPTY, UNKNOWN])
def test_a_val_split_without_labels_chooses_nothing(val: NoImages) -> None:
    found = roles(DataSplits("pets", LABELLED, val, LABELLED))
    assert (found.tune, found.report_name) == (None, "test")
    assert found.note.startswith("no image of val has a label, so val is not used: options")
    assert "20% of the training images" in found.note


@pytest.mark.parametrize(("test", "name"), [(None, "val"), (EMPTY, "test")])
def test_without_a_label_there_is_nothing_to_report_on(test, name: str) -> None:
    with pytest.raises(InputError, match=f"no image of {name} has a label"):
        roles(DataSplits("pets", LABELLED, EMPTY, test))


@pytest.mark.parametrize("seed", range(20))
def test_few_positives_are_on_both_sides_of_the_cut(seed: int) -> None:
    targets = np.zeros((50, 3), np.float32)
    targets[3, 0] = targets[7, 0] = targets[20, 1] = 1  # stratified, all three are learned from
    learn, tune = split_for_tuning(targets, seed)
    assert (len(learn), len(tune)) == (40, 10)
    assert sorted([*learn, *tune]) == list(range(50))
    assert (np.diff(learn) > 0).all()
    assert (np.diff(tune) > 0).all()
    # judged by a label that was learned, not by the one that a single image has
    assert targets[tune].sum(axis=0).tolist() == [1, 0, 0]
    assert targets[learn].sum(axis=0).tolist() == [1, 1, 0]


def test_the_cut_of_few_positives_is_another_for_every_seed() -> None:
    targets = np.zeros((50, 1), np.float32)
    targets[[3, 7]] = 1
    judged = {int(tune[targets[tune, 0] == 1][0]) for _, tune in cuts(targets, 20)}
    assert judged == {3, 7}


def cuts(targets: np.ndarray, seeds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [split_for_tuning(targets, seed) for seed in range(seeds)]


def test_what_no_two_images_have_cannot_be_chosen_by() -> None:
    targets = np.eye(20, 3, dtype=np.float32)
    with pytest.raises(InputError, match=r"no label is present in two of them.*trials=1"):
        split_for_tuning(targets, 0)


def test_a_benchmark_reports_it_before_preparation(tmp_path) -> None:
    task, _ = benchmark(tmp_path / "data", tune=False)
    few = task.roles.train.with_targets(np.eye(80, 6, dtype=np.float32))
    task = dataclasses.replace(task, roles=dataclasses.replace(task.roles, train=few))

    def refuse() -> None:
        raise AssertionError("features would be extracted")

    with pytest.raises(InputError, match="no label is present in two"):
        run_on(config(tmp_path / "out", graphs=("complete",)), task, refuse, lambda line: None)

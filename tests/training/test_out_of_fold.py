"""Out-of-fold predictions: what predicts an image never learned from it; and their file."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from gatlabel.data import folds
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.training.out_of_fold import OutOfFold, out_of_fold

TARGETS = np.random.default_rng(0).integers(-1, 2, (23, 3)).astype(np.float32)
FOLD = folds(TARGETS, 4)


def test_every_row_is_predicted_once_by_what_did_not_see_it() -> None:
    seen: list[int] = []

    def fit_predict(learned, predicted, fold):
        assert sorted([*learned, *predicted]) == list(range(23))
        assert (np.diff(learned) > 0).all()
        seen.append(fold)
        # which rows it learned from, and which it predicts
        return np.stack(
            [np.full(len(predicted), learned.sum()), predicted, predicted * 0 + fold], 1
        )

    scores = out_of_fold(TARGETS, FOLD, fit_predict)
    assert seen == [0, 1, 2, 3]
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores[:, 1], np.arange(23))
    np.testing.assert_array_equal(scores[:, 2], FOLD)
    for row in range(23):
        assert scores[row, 0] == sum(k for k in range(23) if FOLD[k] != FOLD[row])


@pytest.mark.parametrize(
    ("fold_of", "made", "message"),
    [
        (FOLD, lambda rows: np.zeros((len(rows), 2)), r"fold 0: scores of shape \(\d, 2\) for"),
        (FOLD, lambda rows: np.zeros((1, 3)), r"fold 0: scores of shape \(1, 3\) for"),
        (FOLD, lambda rows: np.full((len(rows), 3), np.nan), "fold 0: some scores are not finite"),
        (FOLD * 0, None, "at least two folds"),
        (FOLD[1:], None, r"folds of shape \(22,\) for 23 images"),
    ],
)
def test_invalid_predictions_are_refused(fold_of, made, message: str) -> None:
    with pytest.raises(InputError, match=message):
        out_of_fold(TARGETS, fold_of, lambda learned, predicted, fold: made(predicted))


def kept(**changes) -> OutOfFold:
    scores = np.random.default_rng(1).normal(size=TARGETS.shape).astype(np.float32)
    ids = [f"bilder/ä {k}.png" for k in range(23)]
    found = {"ids": ids, "labels": LabelSet(["cat", "dog", "sofa"]), "scores": scores}
    return OutOfFold(**{**found, "targets": TARGETS, "fold": FOLD, **changes})


def test_the_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "out_of_fold.npz"
    kept().save(path)
    again = OutOfFold.load(path)
    for field in dataclasses.fields(OutOfFold):
        one, other = getattr(kept(), field.name), getattr(again, field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
    assert [p.name for p in tmp_path.iterdir()] == ["out_of_fold.npz"]
    with np.load(path, allow_pickle=False) as arrays:
        assert {name: arrays[name].dtype.kind for name in arrays} == {
            "ids": "U", "labels": "U", "scores": "f", "targets": "f", "fold": "i",
        }  # fmt: skip
        assert arrays["scores"].dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": TARGETS[:5]}, r"scores \(5, 3\) and targets \(23, 3\) for 23 images"),
        ({"scores": np.full_like(TARGETS, np.inf)}, "not finite"),
        ({"targets": TARGETS + 5}, "values are 0 to 1, or -1"),
        ({"fold": FOLD - 1}, "expected 23 folds of at least 0"),
        ({"fold": FOLD[1:]}, "expected 23 folds"),
        ({"ids": ["a"] * 23}, "two images have the same name"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kept(**changes)


def write(path: Path, **changes) -> None:
    made = kept()
    arrays = {"ids": np.array(made.ids), "labels": np.array(list(made.labels))}
    arrays |= {"scores": made.scores, "targets": made.targets, "fold": made.fold, **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": None}, "has no array 'scores'"),
        ({"ids": np.arange(23)}, "'ids' has type int64 and 1 axes"),
        ({"scores": TARGETS.astype("U")}, "'scores' has type"),
        ({"scores": TARGETS[0]}, "'scores' has type float32 and 1 axes"),
        ({"scores": TARGETS.astype(float) * 1e300}, "not finite"),
        ({"fold": FOLD.astype(float)}, "'fold' has type float64"),
        ({"labels": np.array(["cat", "cat", "dog"])}, "cat"),
        ({"ids": np.array([{}] * 23, dtype=object)}, "pickles are never opened"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, changes, message: str) -> None:
    path = tmp_path / "out_of_fold.npz"
    write(path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        OutOfFold.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_npz_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the file of out-of-fold predictions"):
        OutOfFold.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("scores")
    with pytest.raises(InputError, match="not an npz file of plain arrays"):
        OutOfFold.load(tmp_path / "text.npz")

"""Streams of images: order, memory, threads, folders and patterns."""

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gatlabel.deploy import ExportedModel, Predictor
from gatlabel.deploy.sources import Unreadable, images_of, is_one_image
from gatlabel.deploy.streaming import default_workers, map_ahead
from gatlabel.errors import InputError
from gatlabel.inference import predict_logits
from tests.deploy.models import photos
from tests.deploy.test_predictor import NAMES, make_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a/0.jpg … a/4.jpg, a/b/0.jpg … and a text file."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    photos(tmp_path / "a")
    photos(tmp_path / "a" / "b")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    return tmp_path / "a"


def names_of(found: object) -> list[str]:
    return [Path(each.source).as_posix() for each in found]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_way_to_name_images_gives_the_same(folder: Path, workers: int) -> None:
    predictor = Predictor(make_model(), batch_size=3, workers=workers)
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    expected = predictor(paths)
    assert names_of(expected) == [path.as_posix() for path in paths]
    assert len(expected) == 10
    assert predictor(folder) == predictor(str(folder)) == expected
    assert predictor(str(folder / "**" / "*.[jp][pn]g")) == expected
    assert list(predictor(path for path in paths)) == expected
    assert list(predictor.stream([folder])) == expected
    assert predictor([str(folder / "*.jpg")]) == predictor(sorted(folder.glob("*.jpg")))


def test_the_logits_are_those_of_evaluation_to_the_bit(folder: Path) -> None:
    from gatlabel.data import FileImages
    from gatlabel.labels import LabelSet

    model = make_model()
    paths = sorted(folder.glob("*.[jp]*"))
    source = FileImages(
        folder, LabelSet(NAMES), [path.name for path in paths], np.zeros((5, 4), np.float32)
    )
    expected = predict_logits(model, source, batch_size=2).double().numpy()
    found = Predictor(model, batch_size=2, device="cpu")(paths)
    rows = np.array([list(each.probabilities.values()) for each in found])
    assert np.array_equal(rows, 1 / (1 + np.exp(-expected)))


def test_an_endless_stream_is_read_two_batches_ahead(folder: Path) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        for path in itertools.cycle(sorted(folder.glob("*.[jp]*"))):
            taken += 1
            yield path

    predictor = Predictor(make_model(), batch_size=4, workers=2)
    found = predictor(endless())
    assert taken == 0
    names = [next(found).source for _ in range(41)]
    assert names[:5] == names[5:10] == names[35:40]
    assert taken <= 44 + 2 * 4 + 1


def test_without_workers_nothing_is_read_before_its_turn(folder: Path) -> None:
    """So a program that waits for each answer before it sends the next image does not hang."""
    answers: list[str] = []
    path = folder / "0.jpg"

    def asking() -> Iterator[Path]:
        for count in range(5):
            assert len(answers) == count
            yield path

    for prediction in Predictor(make_model(), batch_size=1, workers=0).stream(asking()):
        answers.append(prediction.source)
    assert len(answers) == 5


def test_bad_images_have_their_records_in_their_places(folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    good = folder / "0.jpg"
    given = [good, bad, tmp_path / "gone.jpg", b"", tmp_path / "empty", "no*.jpg", good, bad, good]
    predictor = Predictor(make_model(), batch_size=2, workers=2)
    found = list(predictor.stream(given))
    assert [each.ok for each in found] == [True, *[False] * 5, True, False, True]
    parts = ["bad.jpg", "gone.jpg", "image 3", "has no images", "no file matches"]
    for each, part in zip(found[1:6], parts, strict=True):
        assert part in (each.error or "")
    before: list[str] = []
    with pytest.raises(InputError, match=r"gone\.jpg"):
        before.extend(
            each.source
            for each in predictor.stream([good, good, tmp_path / "gone.jpg"], on_error="stop")
        )
    assert len(before) == 2


def test_links_to_folders_are_not_followed_and_hidden_circles_end(folder: Path) -> None:
    (folder / "loop").symlink_to(folder)
    (folder / "link.jpg").symlink_to(folder / "0.jpg")
    names = list(images_of(folder))
    assert len(names) == 11
    assert str(folder / "link.jpg") in names


def test_a_file_with_pattern_characters_in_its_name(folder: Path) -> None:
    odd = folder / "a[1].jpg"
    odd.write_bytes((folder / "0.jpg").read_bytes())
    assert is_one_image(odd)
    assert Predictor(make_model())(odd).source == str(odd)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_listed(folder: Path) -> None:
    (folder / "b").chmod(0)
    try:
        found = list(images_of(folder))
    finally:
        (folder / "b").chmod(0o755)
    (refused,) = (each for each in found if isinstance(each, Unreadable))
    assert "cannot list the folder" in refused.reason


def test_explanations_on_request(folder: Path) -> None:
    predictor = Predictor(make_model(), batch_size=2)
    plain = predictor(folder)
    found = predictor(folder, explain=2)
    for one, other in zip(plain, found, strict=True):
        assert one.probabilities == other.probabilities
        assert one.explanation is None
        assert other.explanation is not None
        assert [each.label for each in other.explanation.labels] == [n for n, _ in other.top(2)]
        for each in other.explanation.labels:
            assert each.probability == pytest.approx(other.probabilities[each.label], abs=1e-5)
        assert other.to_dict()["explanation"][0]["heat"]
    assert predictor.explain(folder / "0.jpg", labels=["dog"]).labels[0].label == "dog"
    with pytest.raises(InputError, match="unknown label 'cta'; did you mean 'cat'"):
        predictor.explain(folder / "0.jpg", labels=["cta"])


def test_mixed_precision_is_near(folder: Path) -> None:
    model = make_model()
    exact, mixed = Predictor(model, device="cpu"), Predictor(model, device="cpu", amp=True)
    for one, other in zip(exact(folder), mixed(folder), strict=True):
        values = list(other.probabilities.values())
        assert values == pytest.approx(list(one.probabilities.values()), abs=0.05)
    assert any(
        one.probabilities != other.probabilities
        for one, other in zip(exact(folder), mixed(folder), strict=True)
    )


def test_wrong_numbers_are_named() -> None:
    model = make_model()
    with pytest.raises(InputError, match="workers=-1"):
        Predictor(model, workers=-1)
    with pytest.raises(InputError, match="explain=-1"):
        Predictor(model)([], explain=-1)
    assert default_workers() >= 1


class TestMapAhead:
    @pytest.mark.parametrize("workers", [0, 1, 4])
    def test_order(self, workers: int) -> None:
        found = map_ahead(lambda x: x * x, range(50), workers=workers, ahead=7)
        assert list(found) == [x * x for x in range(50)]

    def test_decoding_continues_while_the_reader_is_busy(self) -> None:
        done = [threading.Event() for _ in range(4)]

        def work(k: int) -> int:
            done[k].set()
            return k

        found = map_ahead(work, range(4), workers=2, ahead=3)
        assert next(found) == 0
        assert all(event.wait(10) for event in done)  # with nobody asking for them
        found.close()

    def test_an_error_comes_in_its_turn_and_threads_end(self) -> None:
        def work(k: int) -> float:
            return 1 / (k - 3)

        found = map_ahead(work, range(10), workers=3, ahead=5)
        assert [next(found) for _ in range(3)] == [1 / -3, 1 / -2, -1.0]
        with pytest.raises(ZeroDivisionError):
            next(found)

    def test_what_a_source_raises_is_raised(self) -> None:
        def broken() -> Iterator[int]:
            yield 1
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            list(map_ahead(int, broken(), workers=2, ahead=4))


def test_exported_models_have_no_explanation_and_no_amp(folder: Path) -> None:
    from gatlabel.decisions.decision import Decision
    from gatlabel.deploy.description import Description

    model = make_model()
    described = Description(
        model.labels, Decision.fixed(model.labels), model.preprocessing, "module", "gat", True
    )
    exported = ExportedModel(lambda images: np.zeros((len(images), 4)), described, "cpu")
    with pytest.raises(InputError, match="cannot be explained"):
        Predictor(exported)(folder, explain=1)
    with pytest.raises(InputError, match="amp is for runs"):
        Predictor(exported, amp=True)

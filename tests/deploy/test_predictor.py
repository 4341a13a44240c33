import io
import json
import os
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gatlabel.data import FileImages
from gatlabel.deploy import Prediction, Predictor
from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.inference import predict_logits
from gatlabel.labels import LabelSet
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead
from tests.deploy.models import photos

NAMES = ["cat", "dog", "sofa", "猫"]


class Means(torch.nn.Module):
    """A fast trunk that distinguishes images: mean colours of a few cells."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).tanh()


def encoder() -> Encoder:
    return Encoder("module", Means(), 3, image_size=32)


def make_model(head: str = "gat") -> MultiLabelClassifier:
    torch.manual_seed(0)
    counts = Cooccurrence.from_targets(np.random.default_rng(0).integers(0, 2, (60, 4)), NAMES)
    model = MultiLabelClassifier.create(encoder(), head, graph=counts.graph("npmi"))
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.normal_(std=0.4)
    return model.eval()


@pytest.fixture
def image_paths(tmp_path: Path) -> list[Path]:
    return photos(tmp_path, 400, 450)


def test_the_same_answers_as_evaluation(image_paths: list[Path]) -> None:
    model = make_model()
    targets = np.zeros((5, 4), np.float32)
    names = [path.name for path in image_paths]
    source = FileImages(image_paths[0].parent, LabelSet(NAMES), names, targets)
    expected = predict_logits(model, source).double().sigmoid()
    found = Predictor(model, batch_size=2)(image_paths)
    values = torch.tensor([list(p.probabilities.values()) for p in found], dtype=torch.float64)
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-6)
    assert values.std(0).min() > 1e-4  # the images do differ


def test_labels_are_those_at_or_above_their_threshold_best_first(image_paths: list[Path]) -> None:
    predictor = Predictor(make_model(), threshold=0.3)
    for prediction in predictor(image_paths):
        expected = [n for n, p in prediction.probabilities.items() if p >= 0.3]
        assert sorted(prediction.labels) == sorted(expected)
        scores = [prediction.probabilities[name] for name in prediction.labels]
        assert scores == sorted(scores, reverse=True)
        assert list(prediction.probabilities) == NAMES
        assert prediction.top(2)[0][1] == max(prediction.probabilities.values())
    probability = predictor(image_paths[0]).probabilities["dog"]
    exact = dict.fromkeys(NAMES, 1.0) | {"dog": probability}
    assert Predictor(predictor.model, threshold=exact)(image_paths[0]).labels == ("dog",)


def test_every_form_of_an_image_gives_the_same(image_paths: list[Path]) -> None:
    predictor = Predictor(make_model())
    path = image_paths[1]  # png: nothing is lost in between
    image = Image.open(path)
    array = np.array(image)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    locked = array.copy()
    locked.flags.writeable = False
    forms = [str(path), path, path.read_bytes(), image, tensor, array, locked, array[:, ::-1, ::-1]]
    forms[-1] = np.flip(forms[-1], (1, 2))  # the same pixels by negative strides
    one_by_one = [predictor(form) for form in forms]
    together = predictor(forms)
    for single, listed in zip(one_by_one, together, strict=True):
        assert list(single.probabilities.values()) == pytest.approx(
            list(one_by_one[0].probabilities.values()), abs=1e-6
        )
        assert list(listed.probabilities.values()) == pytest.approx(
            list(single.probabilities.values()), abs=1e-6
        )
    named = [str(path), str(path), "image 2", str(path), "image 4"]
    assert [p.source for p in together] == [*named, "image 5", "image 6", "image 7"]


def test_a_grey_array_is_a_grey_image() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    predictor = Predictor(make_model())
    expected = predictor(Image.fromarray(grey)).probabilities
    assert predictor(grey).probabilities == expected == predictor(grey[:, :, None]).probabilities


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "I;16", "1"])
def test_pillow_images_of_every_mode(mode: str, tmp_path: Path) -> None:
    predictor = Predictor(make_model())
    if mode == "I;16":
        image = Image.fromarray(np.full((40, 40), 30000, np.uint16))
    else:
        image = Image.new("RGB", (40, 40), (200, 200, 200)).convert(mode)
    path = tmp_path / "image.tiff"
    image.save(path)
    expected = list(predictor(path).probabilities.values())
    assert list(predictor(image).probabilities.values()) == pytest.approx(expected, abs=1e-6)


def test_a_bad_image_is_named(image_paths: list[Path], tmp_path: Path) -> None:
    predictor = Predictor(make_model(), batch_size=2)
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(image_paths[0].read_bytes()[:300])
    gone = tmp_path / "gone.jpg"
    with pytest.raises(InputError, match=r"bad\.jpg"):
        predictor(bad)
    with pytest.raises(InputError, match=r"gone\.jpg"):
        predictor([*image_paths, gone])
    mixed = [gone, bad, image_paths[0], b"no image", image_paths[1], torch.zeros(3, 4, 4)]
    found = predictor(mixed, on_error="skip")
    assert [p.ok for p in found] == [False, False, True, False, True, False]
    parts = ["gone.jpg", "bad.jpg", "", "image 3", "", "image 5"]
    for prediction, part in zip(found, parts, strict=True):
        assert part in (prediction.error or "")
        assert prediction.ok == bool(prediction.probabilities)
    for one, other in zip([found[2], found[4]], predictor(image_paths[:2]), strict=True):
        assert (one.source, one.labels) == (other.source, other.labels)
        # an image's last digits depend on how many others are in its batch
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_truncated_pillow_images_are_named(image_paths: list[Path]) -> None:
    image = Image.open(io.BytesIO(image_paths[0].read_bytes()[:-200]))
    with pytest.raises(InputError, match="image 0"):
        Predictor(make_model())(image)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(8, 8, 3, dtype=torch.uint8),
        torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        torch.zeros(3, 0, 8, dtype=torch.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        {"image": 1},
        None,
    ],
    ids=["float", "channels last", "batch", "empty", "alpha", "arrays", "floats", "dict", "none"],
)
def test_other_things_are_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="image 0 is "):
        Predictor(make_model())(wrong)  # type: ignore[call-overload]


def test_no_images_no_predictions() -> None:
    assert Predictor(make_model())([]) == []


def test_dictionaries_survive_json(image_paths: list[Path], tmp_path: Path) -> None:
    found = Predictor(make_model())([image_paths[0], tmp_path / "gone.png"], on_error="skip")
    first, second = json.loads(json.dumps([p.to_dict() for p in found]))
    assert set(first) == {"source", "labels", "probabilities", "thresholds"}
    assert first["probabilities"] == found[0].probabilities
    assert set(second) == {"source", "error"}
    assert Prediction("a", error="b").to_dict() == {"source": "a", "error": "b"}


def test_a_saved_model_gives_the_same(image_paths: list[Path], tmp_path: Path) -> None:
    model = make_model()
    model.save_pretrained(tmp_path / "run")
    loaded = Predictor.load(tmp_path / "run", encoder=encoder())
    for a, b in zip(Predictor(model)(image_paths), loaded(image_paths), strict=True):
        assert a.labels == b.labels
        assert list(a.probabilities.values()) == pytest.approx(list(b.probabilities.values()))
    assert repr(loaded) == f"Predictor(4 labels, module, 32 px, {loaded.device})"


def test_graph_heads_are_folded() -> None:
    model = make_model()
    predictor = Predictor(model)
    assert isinstance(predictor.model.head, LinearHead)
    assert not isinstance(model.head, LinearHead)  # the caller's model keeps its head


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "threshold 1.5: expected a probability"),
        ({"threshold": float("nan")}, "threshold nan"),
        ({"threshold": {"cat": 0.5}}, "labels of the thresholds do not match; missing: 'dog'"),
        ({"threshold": dict.fromkeys(NAMES, 2.0)}, "threshold 2.0 of label 'cat'"),
        ({"batch_size": 0}, "batch_size=0: must be at least 1"),
        ({"batch_size": 2.0}, "batch_size=2.0: give a whole number"),
        ({"threshold": "0.5"}, "threshold '0.5': expected a probability"),
        ({"threshold": True}, "threshold True: expected a probability"),
        ({"threshold": [0.5] * 4}, "expected a probability"),
        ({"device": "gpu"}, "cannot use the device 'gpu'"),
        ({"device": None}, "cannot use the device 'None'"),
        ({"device": "cuda:99999999999999999999"}, "cannot use the device"),
        ({"device": "meta"}, "cannot use the device 'meta'"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Predictor(make_model(), **options)  # type: ignore[arg-type]


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no run folder .*nothing"):
        Predictor.load(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"model\.json"):
        Predictor.load(tmp_path)
    with pytest.raises(InputError, match="did you mean 'skip'"):
        Predictor(make_model())([], on_error="skipp")  # type: ignore[call-overload]


def test_nan_is_not_an_answer(image_paths: list[Path]) -> None:
    predictor = Predictor(make_model("linear"))
    with torch.no_grad():
        predictor.model.head.linear.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="gives NaN"):
        predictor(image_paths[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("head", ["gat", "linear", "conditioned"])
def test_half_precision_decides_by_the_sign_of_a_logit(head: str, dtype: torch.dtype) -> None:
    """As float32 does at 0.5; a sigmoid in half precision would be 0.5 for all of these."""
    predictor = Predictor(make_model(head).to(dtype), device="cpu")
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    assert np.isfinite(predictor.probabilities(images)).all()
    logits = torch.tensor([[6e-5, -6e-5, 0.0, -1e-4]], dtype=dtype)
    assert (logits.sigmoid() == 0.5).all()
    predictor.model = lambda image_paths: logits  # type: ignore[assignment, return-value]
    (row,) = predictor.probabilities(images[:1])
    assert predictor._prediction("x", row).labels == ("cat", "sofa")


@pytest.mark.gpu
def test_the_gpu_gives_the_same(image_paths: list[Path]) -> None:
    on_cpu, on_gpu = Predictor(make_model(), device="cpu"), Predictor(make_model(), device="cuda")
    for a, b in zip(on_cpu(image_paths), on_gpu(image_paths), strict=True):
        assert list(a.probabilities.values()) == pytest.approx(
            list(b.probabilities.values()), abs=1e-4
        )


@pytest.mark.parametrize(
    "wrong",
    [
        np.full((8, 8, 3), np.nan),
        torch.full((3, 8, 8), float("nan")),
        torch.zeros(3, 8, 8, dtype=torch.uint8).to_sparse(),
        torch.zeros(3, 8, 8, dtype=torch.uint8, device="meta"),
        torch.zeros(1, 8, 8, dtype=torch.uint8),
        torch.zeros(3, 8, 8, dtype=torch.complex64),
        torch.zeros((), dtype=torch.uint8),
        bytearray(b"x"),
        io.BytesIO(b"x"),
        7,
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}",
)
def test_more_things_are_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="image 0 is "):
        Predictor(make_model())(wrong)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (b"", "image 0: not an image"),
        (b"photo.jpg", "image 0: not an image"),
        ("https://example.org/photo.jpg", "images are not downloaded"),
        ("", "there is no image ''"),
        (Image.new("RGB", (0, 4)), "image 0: it has no pixels"),
        (Image.fromarray(np.full((4, 4), np.inf, np.float32)), "image 0: floating-point"),
    ],
    ids=["empty", "bytes of a path", "address", "no name", "no pixels", "infinite"],
)
def test_what_cannot_be_read_is_named(wrong: object, message: str) -> None:
    predictor = Predictor(make_model())
    with pytest.raises(InputError, match=message):
        predictor(wrong)  # type: ignore[call-overload]
    (skipped,) = predictor([wrong], on_error="skip")  # type: ignore[list-item]
    assert message in (skipped.error or "")


def test_the_limit_on_pixels_holds_for_every_form(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 30))
    image.save(tmp_path / "a.png")
    tensor = torch.zeros(3, 30, 40, dtype=torch.uint8)
    path = tmp_path / "a.png"
    with Image.open(path) as lazy:
        forms = [str(path), path, path.read_bytes(), image, lazy, tensor]
        model = make_model()
        for found in Predictor(model, max_pixels=1199)(forms, on_error="skip"):
            assert "more than 1,199 pixels" in (found.error or "")
        assert all(found.ok for found in Predictor(model, max_pixels=1200)(forms))
    with pytest.raises(InputError, match="max_pixels=0: must be at least 1"):
        Predictor(model, max_pixels=0)


def test_an_opened_file_in_another_format_is_not_decoded() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with (
        Image.open(io.BytesIO(eps)) as image,
        patch.object(type(image), "load", side_effect=AssertionError("Ghostscript")),
        pytest.raises(InputError, match=r"format EPS: only JPEG, .*image\.copy\(\)"),
    ):
        Predictor(make_model())(image)


def test_a_folder_of_pipes_and_folders_neither_hangs_nor_stops(
    image_paths: list[Path], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    others = ["pipe.png", "folder.jpg", "loop.png"]
    paths = [*(tmp_path / name for name in others), image_paths[0]]
    *failed, good = Predictor(make_model())(paths, on_error="skip")
    assert good.ok
    for name, prediction in zip(others, failed, strict=True):
        assert name in (prediction.error or "")
    with pytest.raises(InputError, match=r"pipe\.png: it is a pipe, not a file"):
        Predictor(make_model())(paths)


class BytesPath:
    """A path whose name is bytes, as os.scandir gives for a folder of bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self.path)


def test_paths_of_bytes(image_paths: list[Path]) -> None:
    found = Predictor(make_model())(BytesPath(image_paths[0]))  # type: ignore[call-overload]
    assert found.source == str(image_paths[0])


def test_an_opened_tiff_that_lacks_strips_is_refused() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (24, 16)).save(stream, "TIFF")
    length = b"\x01\x01\x04\0\x01\0\0\0"  # ImageLength, one number of 32 bits
    data = stream.getvalue().replace(length + b"\x10", length + b"\x5a")
    with (
        Image.open(io.BytesIO(data)) as image,
        pytest.raises(InputError, match="image 0: it has data for 24 x 16 pixels only"),
    ):
        Predictor(make_model())(image)

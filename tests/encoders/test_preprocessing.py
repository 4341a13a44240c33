"""Preprocessing: what an encoder owns, a model decides and files keep."""

import pytest
import torch
from torch import nn

from gatlabel import MultiLabelClassifier
from gatlabel.encoders import Encoder, Preprocessing
from gatlabel.errors import InputError


def encoder() -> Encoder:
    return Encoder.from_module(nn.Conv2d(3, 4, 3), 4, image_size=40, mean=(0.1, 0.2, 0.3))


def test_the_model_takes_that_of_its_encoder_and_changes_size_and_resizing() -> None:
    own = encoder()
    assert own.preprocessing == Preprocessing(40, mean=(0.1, 0.2, 0.3))
    model = MultiLabelClassifier.create(own, "linear", labels=["x"], resize="crop", image_size=24)
    assert model.preprocessing == Preprocessing(24, "crop", (0.1, 0.2, 0.3))
    assert own.preprocessing.size == 40  # another model may have another size
    model.image_size = 32
    assert (model.preprocessing.size, model.image_size, model.resize) == (32, 32, "crop")
    assert model.fold().preprocessing == model.preprocessing


def test_files_keep_it(tmp_path) -> None:
    model = MultiLabelClassifier.create(
        "mobilenet_v3_small", "linear", labels=["x"], resize="pad", image_size=64
    )
    model.save_pretrained(tmp_path)
    assert MultiLabelClassifier.from_pretrained(tmp_path).preprocessing == model.preprocessing


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
def test_the_transform_gives_the_size(resize: str) -> None:
    image = torch.randint(256, (3, 30, 50), dtype=torch.uint8)
    transform = Preprocessing(24, resize).transform()
    assert (transform(image).shape, transform.size, transform.decode_side) == ((3, 24, 24), 24, 24)


@pytest.mark.parametrize(
    ("values", "words"),
    [((0,), "image_size=0"), ((9000,), "image_size=9000"), ((24, "sqash"), "unknown resize")],
)
def test_values_out_of_range_are_refused(values, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Preprocessing(*values)

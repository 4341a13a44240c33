"""Running a model over images: order, evaluation mode, and modes as they were."""

import numpy as np
import pytest
import torch
from torch import nn

from gatlabel import MultiLabelClassifier
from gatlabel.batch import Batch
from gatlabel.encoders import Encoder, freeze
from gatlabel.errors import InputError
from gatlabel.inference import outputs, predict_features, predict_logits, whole_images
from tests.data.sample_images import DrawnImages

NAMES = ["a", "b", "c"]


def make(head: str = "linear") -> MultiLabelClassifier:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU())
    encoder = Encoder.from_module(network, 8, image_size=24)
    return MultiLabelClassifier.create(encoder, head, labels=NAMES, resize="pad")


def source(count: int = 10) -> DrawnImages:
    return DrawnImages(np.zeros((count, 3), np.float32))


def test_outputs_are_those_of_evaluation_mode_in_order() -> None:
    model, images = make(), source()
    pixels = torch.stack([model.preprocessing.transform()(images.load(k)) for k in range(10)])
    model.eval()
    with torch.no_grad():
        logits, features = model(pixels), model.features(pixels)
    model.train()
    torch.testing.assert_close(predict_logits(model, images, batch_size=4), logits)
    torch.testing.assert_close(predict_features(model, images, batch_size=3), features)
    batches = whole_images(model, images, batch_size=4)
    assert [len(part) for part in outputs(model, batches)] == [4, 4, 2]
    in_order = [batch.index.tolist() for batch in batches]
    assert in_order == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_modes_are_as_they_were() -> None:
    model = make().train()
    freeze(model.encoder.trunk[1])
    before = [part.training for part in model.modules()]
    predict_logits(model, source(3))
    assert [part.training for part in model.modules()] == before
    running = outputs(model, whole_images(model, source(4), batch_size=1))
    next(running)
    assert not any(part.training for part in model.modules())
    running.close()  # as a loop that is left early does
    assert [part.training for part in model.modules()] == before

    def fail(images: torch.Tensor) -> torch.Tensor:
        raise InputError(f"{model.training}")

    with pytest.raises(InputError, match="False"):
        list(outputs(model, whole_images(model, source(2)), fail))
    assert [part.training for part in model.modules()] == before


def test_outputs_can_be_learned_from() -> None:
    found = predict_features(make(), source(3))
    head = nn.Linear(8, 2)
    head(found).sum().backward()
    assert head.weight.grad is not None


def test_batches_of_images_only_work() -> None:
    model = make()
    images = torch.randint(256, (2, 3, 24, 24), dtype=torch.uint8)
    (alone,) = outputs(model, [images])
    (joined,) = outputs(model, [Batch.of_images(images, torch.zeros(2, 3))])
    assert torch.equal(alone, joined)
    assert alone.shape == (2, 3)
    assert alone.device.type == "cpu"

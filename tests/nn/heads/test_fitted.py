"""Heads that were fitted: whole models keep them in files, and export them."""

import numpy as np
import pytest
import torch
from torch import nn

from gatlabel import MultiLabelClassifier
from gatlabel.baselines.classical import CLASSICAL, ClassicalClassifier
from gatlabel.baselines.classical.options import Chain, Forest, MLkNN
from gatlabel.encoders import Encoder
from gatlabel.errors import InputError
from gatlabel.nn import HEADS, LinearHead
from gatlabel.nn.heads.table import FITTED_HEADS, SAVED_HEADS

WIDTH, LABELS = 5, 4
QUICK = {
    "forest": Forest(trees=5),
    "chain": Chain(chains=2, folds=0, c=1.0),
    "mlknn": MLkNN(neighbours=3),
}


def fitted(name: str):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, WIDTH)).astype(np.float32)
    targets = (features[:, :LABELS] + rng.normal(0, 0.3, (40, LABELS)) > 0.2).astype(np.float32)
    targets[:5, 1] = -1
    method = QUICK.get(name, CLASSICAL[name]())
    return ClassicalClassifier(method).fit(features, targets).as_head()


@pytest.mark.parametrize("name", FITTED_HEADS)
def test_a_fitted_head_is_a_head(name: str) -> None:
    head = fitted(name)
    assert isinstance(head, FITTED_HEADS[name])
    assert head.kind == name
    features = torch.randn(2, 3, WIDTH)
    found = head(features)
    assert found.shape == (2, 3, LABELS)
    assert found.dtype == torch.float32
    assert not list(head.parameters())
    assert torch.allclose(head(features.double()), found.double(), atol=1e-4)
    assert head(torch.randn(0, WIDTH)).shape == (0, LABELS)
    with pytest.raises(InputError, match=f"takes {WIDTH} features, got 3"):
        head(torch.randn(2, 3))
    assert "labels=4" in repr(head)


def model_of(head) -> MultiLabelClassifier:
    torch.manual_seed(0)
    encoder = Encoder.from_module(nn.Conv2d(3, WIDTH, 4), out_features=WIDTH, image_size=12)
    return MultiLabelClassifier(encoder, head, [f"label {k}" for k in range(LABELS)]).eval()


@pytest.mark.parametrize("name", ["svm", *FITTED_HEADS])
def test_a_model_keeps_a_fitted_head(name: str, tmp_path) -> None:
    model = model_of(fitted(name))
    model.save_pretrained(tmp_path)
    images = torch.randint(0, 256, (6, 3, 12, 12), dtype=torch.uint8)
    loaded = MultiLabelClassifier.from_pretrained(tmp_path, encoder=model_of(fitted(name)).encoder)
    assert torch.equal(loaded(images), model(images))
    assert isinstance(loaded.head, LinearHead) == (name == "svm")


def test_heads_that_are_fitted_are_not_trained() -> None:
    assert not FITTED_HEADS.keys() & HEADS.keys()
    assert {*SAVED_HEADS} == {*FITTED_HEADS, *HEADS}

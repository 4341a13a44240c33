"""Models that earlier versions wrote load for ever; ``tests/golden/COMMIT`` holds one per format.

Those of e039254 were made by ``save_pretrained`` of that commit, ``logits.json`` by its forward.
"""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from gatlabel.encoders import Encoder
from gatlabel.model import MultiLabelClassifier

GOLDEN = Path(__file__).parent / "golden"


def load(folder: Path) -> MultiLabelClassifier:
    encoder = Encoder.from_module(nn.Conv2d(3, 4, 4, stride=4), out_features=4, image_size=8)
    return MultiLabelClassifier.from_pretrained(folder, encoder=encoder)


@pytest.mark.parametrize(
    ("name", "options"),
    [("gat", {"similarity_weight": 0.4}), ("conditioned", {"miss_rate": 0.7})],
)
def test_models_of_e039254_give_their_logits(name: str, options: dict, tmp_path: Path) -> None:
    folder = GOLDEN / "e039254" / name
    model = load(folder)
    images = (torch.arange(2 * 3 * 8 * 8) * 37 % 256).view(2, 3, 8, 8).to(torch.uint8)
    expected = torch.tensor(json.loads((folder / "logits.json").read_text("utf-8")))
    torch.testing.assert_close(model(images), expected, rtol=1e-5, atol=1e-6)
    assert options.items() <= model.head.config.items()
    torch.testing.assert_close(model.fold()(images), expected, rtol=1e-4, atol=1e-4)
    model.save_pretrained(tmp_path)  # and under the names of today again
    assert (
        options.items() <= json.loads((tmp_path / "model.json").read_text("utf-8"))["head"].items()
    )
    torch.testing.assert_close(load(tmp_path)(images), expected, rtol=1e-5, atol=1e-6)

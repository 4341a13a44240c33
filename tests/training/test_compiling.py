"""The encoder compiled for training: the same model comes of it."""

import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from gatlabel.data import read_csv
from gatlabel.encoders import Encoder
from gatlabel.engine.fitting import compiled
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead
from gatlabel.training import TrainConfig
from gatlabel.training.data import loaders
from gatlabel.training.fitting import fit

COMPILER = shutil.which("g++") or shutil.which("c++")


def trained(root: Path, **options) -> MultiLabelClassifier:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 6, 8, stride=8), nn.ReLU())
    encoder = Encoder.from_module(trunk, 6, image_size=32)
    model = MultiLabelClassifier(encoder, LinearHead(6, 3), ["blue", "green", "red"])
    config = TrainConfig().with_options(
        {
            "data": "csv",
            "data.root": root,
            "images.size": 32,
            "images.augmentation": "none",
            "run.epochs": 2,
            "run.batch_size": 8,
            "run.workers": 0,
            "run.progress": False,
            **options,
        }
    )
    torch.manual_seed(1)
    fit(model, config, loaders(read_csv(root), model, config), None)
    return model


@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
def test_compiled_training_gives_the_same_model(tiny_csv: Path) -> None:
    plain, other = trained(tiny_csv), trained(tiny_csv, **{"run.compile": True})
    assert other.state_dict().keys() == plain.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, atol=1e-4, rtol=1e-3)
    assert other.encoder._compiled_call_impl is None


def test_it_is_compiled_while_it_trains_and_not_after() -> None:
    module = nn.Linear(2, 2)
    with suppress(KeyError), compiled(module, True):
        assert module._compiled_call_impl is not None
        raise KeyError
    assert module._compiled_call_impl is None
    with compiled(module, False):
        assert module._compiled_call_impl is None


def test_a_failing_compiler_is_named(tiny_csv: Path, monkeypatch) -> None:
    def fail(self, *arguments, **options):
        self._compiled_call_impl = broken

    def broken(*arguments, **options):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nlong story")

    monkeypatch.setattr(nn.Module, "compile", fail)
    with pytest.raises(InputError, match=r"compile: torch.compile failed .*C\+\+ compiler"):
        trained(tiny_csv, **{"run.compile": True})

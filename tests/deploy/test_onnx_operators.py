"""Functions that are exact near zero in torch are so in ONNX."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatlabel.nn.heads.noisy_or import noisy_or

onnxruntime = pytest.importorskip("onnxruntime")

TINY = torch.logspace(-30, -1, 59)
NEGATIVE = -torch.cat([TINY, torch.linspace(0.1, 90, 200)])
# a function, where to try it, and the absolute error it has in float32 anyway
FUNCTIONS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor, float]] = {
    "expm1": (torch.expm1, torch.cat([NEGATIVE, TINY, torch.linspace(0.1, 80, 200)]), 1e-30),
    "log1p": (
        torch.log1p,
        torch.cat([-TINY, -torch.linspace(0.1, 0.999, 99), TINY, 1e12 * TINY]),
        1e-30,
    ),
    "logsigmoid": (nn.functional.logsigmoid, torch.linspace(-200, 15, 500), 1e-7),
    "log of expm1": (lambda x: torch.log(-torch.expm1(x)), NEGATIVE, 1e-7),
}


class Wrapped(nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def through_onnx(function: Callable[..., Tensor], path: Path, *inputs: Tensor) -> Tensor:
    from gatlabel.deploy.onnx_operators import translations

    program = torch.export.export(Wrapped(function), inputs)
    exported = torch.onnx.export(
        program, dynamo=True, verbose=False, custom_translation_table=translations()
    )
    assert exported is not None
    exported.save(path, external_data=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    feeds = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
    (found,) = session.run(None, feeds)
    assert isinstance(found, np.ndarray)
    return torch.from_numpy(found)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_exact_where_torch_is(name: str, tmp_path: Path) -> None:
    function, x, atol = FUNCTIONS[name]
    expected = function(x.double()).float()
    found = through_onnx(function, tmp_path / "f.onnx", x)
    torch.testing.assert_close(found, expected, rtol=3e-6, atol=atol)


def test_labels_that_are_not_seen_at_all(tmp_path: Path) -> None:
    """Unary logits below the range of the context: a plain export of noisy_or gives NaN."""
    grid = torch.linspace(-60, 30, 31)
    unary, context = (x.contiguous() for x in torch.meshgrid(grid, grid, indexing="ij"))
    prior = torch.full((31,), -3.0)

    def function(unary: Tensor, context: Tensor, prior: Tensor) -> Tensor:
        return noisy_or(unary, context, prior, 0.5)

    found = through_onnx(function, tmp_path / "f.onnx", unary, context, prior)
    assert found.isfinite().all()
    torch.testing.assert_close(found, function(unary, context, prior), rtol=1e-5, atol=1e-4)

"""Operators that torch's exporter writes in a form that loses small numbers.

ONNX has neither ``expm1`` nor ``log1p`` nor ``logsigmoid``. The exporter writes ``exp(x) - 1``,
which is 0 below 6e-8, so that its logarithm is minus infinity; ``log(1 + x)``, the same from the
other side; and ``log(sigmoid(x))``, where onnxruntime's sigmoid ends at about 1e-8. A head that
works with log-odds (``conditioned``) would give NaN where a label is not seen at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gatlabel.errors import require_extra

HALF = 0.5  # from there on the plain form loses at most one bit


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Returns exact forms, as ``torch.onnx.export(custom_translation_table=…)`` takes them.

    Raises:
        MissingExtraError: If the extra ``onnx`` is not installed.
    """
    op = require_extra("onnxscript", "onnx").opset18

    def expm1(x: Any) -> Any:
        half = op.Tanh(op.Mul(x, 0.5))  # e^x - 1 = 2t / (1 - t) with t = tanh(x / 2)
        small = op.Div(op.Mul(half, 2.0), op.Sub(1.0, half))
        return op.Where(op.Less(op.Abs(x), HALF), small, op.Sub(op.Exp(x), 1.0))

    def log1p(x: Any) -> Any:
        small = op.Mul(op.Atanh(op.Div(x, op.Add(x, 2.0))), 2.0)
        return op.Where(op.Less(op.Abs(x), HALF), small, op.Log(op.Add(x, 1.0)))

    def log_sigmoid(x: Any) -> Any:
        return op.Neg(op.Softplus(op.Neg(x)))

    return {
        torch.ops.aten.expm1.default: expm1,
        torch.ops.aten.log1p.default: log1p,
        torch.ops.aten.log_sigmoid.default: log_sigmoid,
    }

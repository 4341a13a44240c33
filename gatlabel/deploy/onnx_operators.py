"""Exact replacements for operators that torch's exporter writes in an inaccurate form.

ONNX has neither ``expm1`` nor ``log1p`` nor ``logsigmoid``. The exporter writes ``exp(x) - 1``,
which is 0 for x below 6e-8, with a logarithm of minus infinity. ``log(1 + x)`` has the same
problem. In ``log(sigmoid(x))``, the smallest value of onnxruntime's sigmoid is about 1e-8. A head
that computes with log-odds (``conditioned``) would return NaN for labels with no evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gatlabel.errors import require_extra

HALF = 0.5  # above it, the plain form loses at most one bit


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Returns exact forms, for ``torch.onnx.export(custom_translation_table=…)``.

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

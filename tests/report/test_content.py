import numpy as np
import pytest
import torch

from gatlabel.decisions import Decision
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.report import LabelResult
from tests.report.content import make, ring


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": np.zeros((30, 4))}, r"logits have shape \(30, 4\), expected \(30, 5\)"),
        ({"targets": np.zeros((29, 5))}, r"targets have shape \(29, 5\)"),
        ({"targets": np.full((30, 5), 2.0)}, "target 2.0 in row 0, label 'label 0'"),
        ({"logits": np.full((30, 5), np.nan)}, "logit of 000.jpg, label 'label 0', is NaN"),
        ({"decision": Decision.fixed(LabelSet(["a", "b"]))}, "the decision's labels are not"),
        ({"per_label": [LabelResult("labell 1", 0.1, 1, 0.5)]}, "did you mean 'label 1'"),
        ({"graph": ring([f"label {k}" for k in (1, 0, 2, 3, 4)])}, "not the report's"),
        ({"attention": np.ones((9, 2))}, r"attention has shape \(9, 2\), expected \(10,\)"),
        ({"attention": np.full(10, np.nan)}, "negative or NaN"),
        ({"attention": np.ones((10, 2, 2))}, "attention has shape"),
        ({"attention": np.ones((10, 0))}, "attention has shape"),
        ({"graph": None}, "attention needs the graph"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**changes)


def test_tensors_with_gradients_are_welcome() -> None:
    logits = torch.zeros(30, 5, requires_grad=True)
    assert make(logits=logits, attention=torch.ones(10, requires_grad=True)).split == "val"

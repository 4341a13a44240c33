"""Figures in README and manual are those of the committed results."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def gains(circumstance: str, key: str, *sets: str, errors: bool = True) -> list[float]:
    """Means over the draws of the study on similarity, each with its standard error."""
    rows = {(row["data"], row["circumstance"]): row for row in result("similarity")["rows"]}
    found: list[float] = []
    for name in sets:
        values = np.array([draw[key] for draw in rows[name, circumstance]["draws"]])
        error = float(values.std(ddof=1)) / len(values) ** 0.5
        found += [float(values.mean()), error] if errors else [float(values.mean())]
    return found


def ratios(part: str, beginning: str, end: str = "") -> list[float]:
    """The least and the largest ratio of rows of the table of speeds."""
    rows = [row for row in result(part)["rows"] if row["row"].startswith(beginning)]
    found = [row["ratio"] for row in rows if row["row"].endswith(end)]
    return [min(found), max(found)]


def overhead() -> list[float]:
    rows = {row["row"]: row for row in result("attention")["rows"]}
    return [100 * (rows["ResNet-101 448 px, batch 1, unfolded: time of linear"]["value"] - 1)]


UNSEEN = "quarter", "unseen-permuted"
#: The page, the words around the figures, and what they are.
QUOTED: list[tuple[str, str, Callable[[], list[float]]]] = [
    (
        "README.md",
        r"positive\D{1,40}#\D{1,40}COCO\D{1,20}#\D{1,10}VOC\D{1,30}#\D{1,20}scenes",
        lambda: gains(*UNSEEN, "coco-part", "voc2007-part", "scenes", errors=False),
    ),
    (
        "README.md",
        r"labels with positives\D{1,20}#\D{1,10}?#\D{1,10}?# points",
        lambda: gains("all known", "seen", "coco-part", "voc2007-part", "scenes", errors=False),
    ),
    (
        "docs/how-it-works.md",
        r"# ± #\D{1,40}VOC\D{1,30}# ± #\D{1,20}COCO",
        lambda: gains(*UNSEEN, "voc2007-part", "coco-part"),
    ),
    (
        "docs/similarity.md",
        r"# ± #\D{1,60}VOC\D{1,30}# ± #\D{1,20}COCO\D{1,20}# ± #\D{1,20}scenes",
        lambda: gains(*UNSEEN, "voc2007-part", "coco-part", "scenes"),
    ),
    (
        "docs/similarity.md",
        r"# ± #\D{1,60}coco-part",
        lambda: gains("all known", "seen", "coco-part"),
    ),
    (
        "docs/metrics.md",
        r"# to # times\D{1,30}torchmetrics",
        lambda: ratios("metrics", "mAP 40,000 x 80"),
    ),
    (
        "docs/kernels.md",
        r"# to # times\D{1,30}PyG",
        lambda: ratios("attention", "default, L=", "two GATConv"),
    ),
    ("docs/kernels.md", r"ResNet-101\D{1,40}# %", overhead),
]


@pytest.mark.parametrize(("page", "words", "figures"), QUOTED, ids=lambda value: str(value)[:40])
def test_a_quoted_figure_is_that_of_the_results(
    page: str, words: str, figures: Callable[[], list[float]]
) -> None:
    text = re.sub(r"\s+", " ", (ROOT / page).read_text(encoding="utf-8")).replace("−", "-")
    found = re.search(words.replace("#", r"(-?\d+(?:\.\d+)?)"), text)
    assert found is not None, f"{page} quotes other figures now: update the words of this test"
    expected = figures()
    assert len(found.groups()) == len(expected)
    for quoted, value in zip(found.groups(), expected, strict=True):
        places = len(quoted.partition(".")[2])
        assert float(quoted) == pytest.approx(value, abs=0.5001 * 10**-places), (page, expected)

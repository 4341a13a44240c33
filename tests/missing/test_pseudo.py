"""Pseudo-labels by ranks: how many, which, and that rare labels are not flooded."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.missing import make_completion
from gatlabel.missing.base import label_rates


def data(seed: int = 0, images: int = 40, labels: int = 5) -> tuple[Tensor, Tensor]:
    """Targets of which half are unknown, and logits."""
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.rand(images, labels, generator=generator) < 0.4).float()
    targets[torch.rand(images, labels, generator=generator) < 0.5] = -1
    targets[0], targets[1] = 1, 0
    return targets, torch.randn(images, labels, generator=generator)


def by_hand(targets: Tensor, logits: Tensor, positives: float, negatives: float) -> Tensor:
    """The definition, label by label and image by image."""
    known = targets != -1
    rates = label_rates(targets, known)
    found = targets.clone()
    for label in range(targets.shape[1]):
        rows = [
            n for n in range(len(targets)) if not known[n, label] and logits[n, label].isfinite()
        ]
        rows.sort(key=lambda n: -float(logits[n, label]))
        present = int(float(rates[label]) * len(rows))
        first = max(round(positives * present), min(present, 1))
        last = int(negatives * (len(rows) - present))
        for place, row in enumerate(rows):
            found[row, label] = 1.0 if place < first else 0.0 if place >= len(rows) - last else -1.0
    return found


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 1.0), st.floats(0.1, 1.0))
def test_is_the_definition(seed: int, positives: float, negatives: float) -> None:
    targets, logits = data(seed)
    logits[3] = torch.nan  # an image that was not seen
    completion = make_completion("pseudo", targets, positives=positives, negatives=negatives)
    completion.update(logits, 0.5)
    expected = by_hand(targets, logits, positives, negatives)
    # shares times counts may round to either side in float32
    assert (completion.targets != expected).float().mean() < 0.06
    known = targets != -1
    assert torch.equal(completion.targets[known], targets[known])
    assert torch.equal(completion.targets[3], targets[3])


def test_is_the_definition_at_the_defaults() -> None:
    targets, logits = data(1)
    completion = make_completion("pseudo", targets)
    completion.update(logits, 0.5)
    torch.testing.assert_close(completion.targets, by_hand(targets, logits, 0.7, 0.7))


def test_a_rare_label_is_given_to_no_image() -> None:
    """In the released code the threshold of such a label is the lowest score: all images."""
    targets = torch.zeros(400, 2)
    targets[0, 0] = 1
    targets[200:] = -1
    targets[:100, 1] = 1
    completion = make_completion("pseudo", targets[:250])  # 0.005 * 50 < 1
    completion.update(torch.randn(250, 2), 1.0)
    assert not bool((completion.targets[200:, 0] == 1).any())
    assert bool((completion.targets[200:, 1] == 1).any())


def test_nothing_is_filled_in_before_the_warmup() -> None:
    targets, logits = data()
    completion = make_completion("pseudo", targets)
    completion.update(logits, 0.3)
    assert torch.equal(completion.targets, targets)


def test_the_graph_ranks_by_evidence_of_neighbours() -> None:
    """Of two images with the same logit, the one with the neighbour is ranked first."""
    generator = torch.Generator().manual_seed(0)
    first = (torch.rand(300, generator=generator) < 0.5).float()
    targets = torch.stack([first, first], dim=1)  # always together
    targets[200:, 1] = -1
    graph = Cooccurrence.from_targets(targets, ["fork", "knife"]).graph("conditional")
    logits = torch.zeros(300, 2)
    truth = first[200:] == 1
    completion = make_completion("pseudo", targets, graph, by_graph=True)
    completion.update(logits, 1.0)
    found = completion.targets[200:, 1]
    assert bool((found[truth] != 0).all())
    assert bool((found[~truth] != 1).all())
    assert bool((found[truth] == 1).sum() > 20)


def test_with_everything_known_nothing_changes() -> None:
    targets = (torch.rand(20, 3) < 0.5).float()
    completion = make_completion("pseudo", targets)
    completion.update(torch.randn(20, 3), 1.0)
    assert torch.equal(completion.targets, targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positives": 0}, "positives=0: must be above 0"),
        ({"negatives": 1.5}, "negatives=1.5"),
        ({"warmup": 1}, "warmup=1"),
        ({"by_graph": True}, "need a label graph"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_completion("pseudo", data()[0], **options)


def test_presences_alone_are_refused() -> None:
    targets = torch.full((5, 2), -1.0)
    targets[0, 0] = 1
    with pytest.raises(InputError, match="need known absences"):
        make_completion("pseudo", targets)

"""Properties of completion on any targets and logits."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatlabel.errors import InputError
from gatlabel.graph import LabelGraph
from gatlabel.missing import UNKNOWN, make_completion

NO_EDGES = torch.zeros(2, 0, dtype=torch.int64)
VALUES = st.sampled_from([-1.0, -1.0, 0.0, 0.0, 1.0, 0.25])


@st.composite
def situations(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, LabelGraph]:
    """Targets, logits and a graph, all small."""
    images, labels = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    cells = images * labels
    values = draw(st.lists(VALUES, min_size=cells, max_size=cells))
    logit = st.one_of(st.floats(-50, 50), st.sampled_from([np.nan, np.inf, -np.inf]))
    logits = draw(st.lists(logit, min_size=cells, max_size=cells))
    pairs = [(j, i) for j in range(labels) for i in range(labels) if i != j]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    index = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    shape = (images, labels)
    names = [f"label {k}" for k in range(labels)]
    return (
        torch.tensor(values).reshape(shape),
        torch.tensor(logits).reshape(shape),
        LabelGraph(names, index),
    )


@settings(max_examples=60, deadline=None)
@given(situations(), st.sampled_from(sorted(UNKNOWN)), st.floats(0, 1))
@example((torch.ones(1, 1), torch.zeros(1, 1), LabelGraph(["a"], NO_EDGES)), "pseudo", 0.0)
def test_known_entries_stay_and_the_rest_follows_the_convention(
    situation: tuple[torch.Tensor, torch.Tensor, LabelGraph], name: str, progress: float
) -> None:
    targets, logits, graph = situation
    judged = targets[targets != -1]
    if name == "pseudo" and len(judged) and bool((judged == 1).all()):
        with pytest.raises(InputError, match="pseudo-labels need known absences"):
            make_completion(name, targets, graph)
        return
    completion = make_completion(name, targets, graph)
    for _ in range(2):
        completion.update(logits, progress)
        now = completion.targets
        known = targets != -1
        assert torch.equal(now[known], targets[known])
        assert (((now >= 0) & (now <= 1)) | (now == -1)).all()


@settings(max_examples=40, deadline=None)
@given(situations())
def test_an_update_depends_on_nothing_before_it(
    situation: tuple[torch.Tensor, torch.Tensor, LabelGraph],
) -> None:
    targets, logits, graph = situation
    seen = torch.nan_to_num(logits)
    once, twice = (make_completion("complete", targets, graph) for _ in range(2))
    twice.update(-seen, 0.6)
    for completion in (once, twice):
        completion.update(seen, 0.8)
    assert torch.equal(once.targets, twice.targets)

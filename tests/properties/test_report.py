import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gatlabel.report.markup import text
from gatlabel.report.selection import worst_mistakes
from gatlabel.report.svg import Scale, spread

finite = st.floats(-1e6, 1e6)


@given(st.text())
def test_text_never_holds_markup_and_always_encodes(value: str) -> None:
    shown = text(value)
    shown.encode("utf-8")
    assert not set(shown) & set("<>\"'")


@given(st.lists(finite, min_size=1, max_size=20), st.booleans())
def test_scales_keep_the_order_and_stay_inside(values: list[float], zero: bool) -> None:
    scale = Scale(*spread(values, zero=zero), 10, 110)
    places = [scale(v) for v in sorted(values)]
    assert all(10 <= p <= 110 for p in places)
    assert places == sorted(places)
    assert all(scale.low <= t <= scale.high or np.isclose(t, 0) for t in scale.ticks())


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_mistakes_do_not_depend_on_the_order_of_labels(seed: int, present: bool) -> None:
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(0, 2, (12, 5)), rng.choice([0.0, 1.0, -1.0], (12, 5))
    threshold, order = rng.random(5), rng.permutation(5)
    found = worst_mistakes(logits, targets, threshold, present=present)
    again = worst_mistakes(logits[:, order], targets[:, order], threshold[order], present=present)
    assert found == [(image, order[label]) for image, label in again]

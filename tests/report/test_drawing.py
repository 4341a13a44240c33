import math

import numpy as np
import pytest

from gatlabel.report.content import LabelResult
from gatlabel.report.graph_layout import WIDTH, place_labels
from gatlabel.report.graph_section import edge_view
from gatlabel.report.markup import number, percent, significant, text
from gatlabel.report.plots import ap_against_frequency, learning_curves
from gatlabel.report.svg import Scale, spread, tick_text
from tests.report.content import ring


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 17), (0.1003, 0.1005), (0, 4e6)])
def test_linear_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = Scale(low, high, 0, 100).ticks()
    assert 2 <= len(ticks) <= 7
    assert all(low <= t <= high for t in ticks)
    step = ticks[1] - ticks[0]
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert any(math.isclose(mantissa, m, rel_tol=1e-6) for m in (1, 2, 5, 10))


@pytest.mark.parametrize(("low", "high"), [(0.001, 1), (0.02, 0.5), (0.3, 0.4), (1e-6, 1)])
def test_log_ticks_are_few_and_inside(low: float, high: float) -> None:
    ticks = Scale(low, high, 0, 100, log=True).ticks()
    assert 2 <= len(ticks) <= 6
    assert all(low * 0.999 <= t <= high * 1.001 for t in ticks)


def test_scale_ends_and_middle() -> None:
    scale = Scale(1, 100, 10, 30, log=True)
    assert [scale(v) for v in (1, 10, 100)] == pytest.approx([10, 20, 30])
    assert scale(1e9) == 30
    assert scale(1e-9) == 10


@pytest.mark.parametrize("values", [[], [math.nan], [0.5], [0.0], [3, 3], [-1, 4], [math.inf]])
def test_spread_is_never_empty(values: list[float]) -> None:
    for zero in (False, True):
        low, high = spread(values, zero=zero)
        assert low < high


def test_figures_read_well() -> None:
    assert [number(v) for v in (0.12345, 1234567, math.nan, -math.inf, 1e-5, 0.0, 1.0)] == [
        "0.123",
        "1\u202f234\u202f567",
        "–",
        "−∞",
        "1.0e−05",
        "0.000",
        "1.000",
    ]
    assert [percent(v) for v in (0.5, 0.0123, math.nan, 0.0)] == ["50 %", "1.2 %", "–", "0 %"]
    assert [significant(v) for v in (1.5e-4, 0.56234, 12.0)] == ["0.00015", "0.562", "12"]
    assert [tick_text(v) for v in (0.25, 1e-5, 40.0, -2.0)] == ["0.25", "1e−5", "40", "−2"]


def test_text_is_harmless_and_encodable() -> None:
    assert text("<b a='x'>\"&") == "&lt;b a=&#x27;x&#x27;&gt;&quot;&amp;"
    assert text("caf\udce9\x00") == "caf\ufffd\ufffd"
    assert text("猫") == "猫"


def test_edge_shares_equal_a_slow_sum() -> None:
    names = [f"label {k}" for k in range(6)]
    graph = ring(names, degree=3)
    graph.edge_index[:, 0] = 2  # a self-loop, to be left out
    rng = np.random.default_rng(0)
    attention = rng.random((graph.edge_index.shape[1], 4))
    view = edge_view(graph, attention)
    source, target = graph.edge_index[:, 1:].numpy()
    weight = graph.edge_weight[1:].double().numpy()
    np.testing.assert_array_equal(view.source, source)
    for e in range(len(source)):
        into = [k for k in range(len(source)) if target[k] == target[e]]
        assert view.in_degree[e] == len(into)
        assert view.prior_share[e] == pytest.approx(weight[e] / sum(weight[k] for k in into))
        assert view.shown[e] == pytest.approx(attention[e + 1].mean())
    gains = view.gain[view.strongest()]
    assert (np.diff(gains) <= 1e-6).all()


def test_edges_without_weight_have_no_share() -> None:
    graph = ring(["a", "b", "c"])
    graph.edge_weight = graph.edge_weight * 0
    assert (edge_view(graph, None).prior_share == 0).all()


@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("L", [1, 2, 3, 20, 90])
def test_every_label_has_a_place_of_its_own(L: int, degree: int) -> None:
    edges = [(i, (i + k) % L) for i in range(0, L, 4) for k in range(1, degree + 1) if k % L]
    places, height = place_labels(range(L), edges)
    assert sorted(places) == list(range(L))
    points = np.array([places[k] for k in range(L)])
    assert (points >= 0).all()
    assert (points[:, 0] <= WIDTH).all()
    assert (points[:, 1] <= height).all()
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1) + 1e9 * np.eye(L)
    assert distance.min() > 5


def test_curves_pass_over_gaps_and_need_finite_values() -> None:
    rows = [{"epoch": 0, "val_mAP": math.nan}, {"epoch": 1, "val_mAP": 0.25}, {"epoch": 2}]
    drawn = learning_curves(rows)
    assert "val_mAP, epoch 1: 0.25<" in drawn
    assert "nan" not in drawn
    assert drawn.count("<circle") == 1
    assert learning_curves([]) == ""
    assert learning_curves([{"epoch": 0, "train_loss": math.inf}]) == ""


def test_losses_metrics_and_rates_have_charts_of_their_own() -> None:
    rows = [{"epoch": 0, "train_loss": 1.0, "val_loss": 2.0, "val_mAP": 0.1, "lr-head": 1e-3}]
    drawn = learning_curves(rows)
    assert drawn.count("<svg") == 3
    for title in ("Loss by epoch", "Metrics by epoch", "Learning rate by epoch"):
        assert title in drawn


def test_labels_without_ap_are_counted_not_drawn() -> None:
    results = [
        LabelResult("cat", 0.2, 4, 0.5),
        LabelResult("cow", 0.0, 2, 0.1),
        LabelResult("emu", 0.1, 0, math.nan),
    ]
    drawn = ap_against_frequency(results, "test")
    assert drawn.count("<circle") == 2
    assert "2 of 3; 1 without a positive in the test split" in drawn
    assert "emu" not in drawn
    assert ap_against_frequency(results[2:], "test") == ""

"""The verdict agrees with the statistics, and the page contains it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import gatlabel.report
from gatlabel.experiments.charts import LEFT, RIGHT, WIDTH, _colours, difference_chart
from gatlabel.experiments.comparisons import (
    COMPLETED_RANDOM,
    COMPLETED_WITHOUT,
    LINEAR,
    NO_EDGES,
    RANDOM,
    Comparison,
    pairs,
)
from gatlabel.experiments.config import HEADS_COMPARED
from gatlabel.experiments.dataset_result import DataSetResult
from gatlabel.experiments.methods import Method, list_methods
from gatlabel.experiments.outcome import METRICS, THIRDS, Condition
from gatlabel.experiments.records import COSTS, Run, Scope
from gatlabel.experiments.report import render
from gatlabel.experiments.result import BenchmarkResult
from gatlabel.experiments.statistics import Difference
from gatlabel.experiments.tables import Table, markdown, result_tables
from gatlabel.experiments.verdict import verdict
from gatlabel.experiments.wording import interval, mean_and_deviation, points

OWN, BARE = Method("gat", "npmi"), Method("gat", edges="none")
ALL = Condition()


def comparison(ours: Method, against: str, value: float, p: float | None = 0.001,
               condition: Condition = ALL) -> Comparison:  # fmt: skip
    spread = 0.001 if p is not None and p < 0.05 else 2 * abs(value) + 0.01
    difference = Difference(value, value - spread, value + spread, p or 1.0)
    return Comparison(condition, ours, Method("linear"), against, difference, p)


def said(*comparisons: Comparison) -> str:
    return " ".join(verdict({"photos": comparisons}, [ALL]))


def test_edges_that_matter() -> None:
    text = said(
        comparison(OWN, RANDOM, 0.012),
        comparison(OWN, NO_EDGES, 0.02),
        comparison(OWN, LINEAR, 0.03),
    )
    assert text == (
        "On this data the edges matter: gat · npmi gains +1.2 points (95 % interval +1.1 to +1.3) "
        "to random edges of the same degrees and +2.0 points (95 % interval +1.9 to +2.1) to no "
        "edges. Better than the linear head: 1 of 1 methods, most of all gat · npmi, "
        "+3.0 points (95 % interval +2.9 to +3.1)."
    )


@pytest.mark.parametrize(
    ("random", "bare"), [((0.012, 0.2), (0.02, 0.001)), ((0.012, 0.001), (0.02, 0.2))]
)
def test_both_controls_must_be_beaten(random, bare) -> None:
    text = said(comparison(OWN, RANDOM, *random), comparison(OWN, NO_EDGES, *bare))
    assert text.startswith("On this data no graph is better than random edges")


def test_what_random_edges_do_as_well_is_not_the_graphs() -> None:
    text = said(comparison(OWN, RANDOM, 0.001, 0.9), comparison(OWN, NO_EDGES, 0.02))
    assert "gains +2.0 points (95 % interval +1.9 to +2.1) to no edges, but so do edges of" in text


def test_nothing_helps() -> None:
    text = said(
        comparison(OWN, RANDOM, 0.0, 1.0), comparison(OWN, NO_EDGES, -0.02),
        comparison(OWN, LINEAR, -0.03), comparison(BARE, LINEAR, 0.0, 1.0),
    )  # fmt: skip
    assert "no graph is better than random edges of the same degrees" in text
    assert "Worse than its own form without edges: gat · npmi −2.0 points" in text
    assert "No method is better than the linear head." in text
    assert "Worse than linear: gat · npmi −3.0 points" in text


def test_a_graph_that_is_worse_than_random_edges_is_named() -> None:
    text = said(comparison(OWN, RANDOM, -0.02), comparison(OWN, NO_EDGES, 0.0, 1.0))
    assert "Worse than random edges: gat · npmi −2.0 points" in text


def test_completion_against_its_controls() -> None:
    npmi, complete = (Method("linear", g, unknown="complete") for g in ("npmi", "complete"))
    assert "better than completion without edges: linear · npmi" in said(
        comparison(npmi, COMPLETED_WITHOUT, 0.01), comparison(complete, COMPLETED_WITHOUT, 0.0, 0.9)
    )
    text = said(
        comparison(npmi, COMPLETED_RANDOM, -0.002),
        comparison(complete, COMPLETED_RANDOM, 0.004, 0.8),
    )
    assert text.startswith("On this data: worse than completion with random edges: linear · npmi")
    assert "linear · complete" not in text
    assert said(comparison(npmi, COMPLETED_WITHOUT, 0.001, 0.7)).startswith(
        "On this data: nothing is better or worse than completion without edges "
        "significantly; the largest gain is linear · npmi"
    )


@pytest.mark.parametrize("p", [0.001, 0.9])
def test_no_head_is_called_tuned(p: float) -> None:
    assert "tuned" not in said(comparison(OWN, LINEAR, 0.01, p), comparison(BARE, LINEAR, 0.0, p))


def test_settings_are_distinguished() -> None:
    few = Condition(0.1, 0.5)
    both = [comparison(OWN, LINEAR, 0.01), comparison(OWN, LINEAR, 0.0, 1.0, few)]
    lines = verdict({"photos": both}, [ALL, few])
    assert len(lines) == 2
    assert "most of all" in lines[0]
    assert "targets masked: no method is better" in lines[1]


def test_figures_as_text() -> None:
    assert (points(0.0123), points(-0.05), points(-0.0001)) == ("+1.2", "−5.0", "+0.0")
    assert mean_and_deviation([0.25, 0.27]) == "26.0 ± 1.4"
    assert mean_and_deviation([0.25]) == "25.0"
    assert mean_and_deviation([float("nan")]) == "–"
    assert interval(comparison(OWN, LINEAR, 0.01)) == "+1.0 [+0.9, +1.1] *"
    assert interval(comparison(OWN, LINEAR, 0.01, None)) == "+1.0 [−2.0, +4.0]"
    table = markdown(Table("", ["a", "b"], [["x|y", "1"]]))
    assert table.splitlines() == ["| a    | b |", "|------|---|", "| x\\|y | 1 |"]


@pytest.mark.parametrize("head", ["linear", "gat"])
def test_a_benchmark_of_completion_has_no_empty_column_of_differences(head: str) -> None:
    everyone = list_methods((head,), ("npmi",), ("ignore", "complete"))
    found = [Comparison(ALL, ours, theirs, against, Difference(0.01, 0.0, 0.02, 0.04), None)
             for ours, theirs, against, _ in pairs(everyone)]  # fmt: skip
    values = dict.fromkeys((*METRICS, *THIRDS, *COSTS), 0.5)
    runs = [Run(method, ALL, 0, values) for method in everyone]
    one = DataSetResult(Path(), Scope("", "", everyone, [ALL], 1, {}), runs, found, {})
    _, names, rows = result_tables({"photos": one}, ALL)[0]
    columns = [k for k, name in enumerate(names) if name.startswith("Δ")]
    shown = [names[k] for k in columns]
    assert shown[0] == "Δ linear"
    assert {f"Δ {COMPLETED_WITHOUT}", f"Δ {COMPLETED_RANDOM}"} <= set(shown)
    assert ("Δ no edges" in shown) == (head == "gat")
    assert all(any(row[k] for row in rows) for k in columns)
    # each but linear itself has its difference to it
    assert [row[0] for row in rows if not row[columns[0]]] == ["linear"]


class Checker(HTMLParser):
    """Collects text, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in ("meta", "path", "circle"):
            self.open.append(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href") and not v.startswith("#")]

    def handle_endtag(self, tag) -> None:
        if tag not in ("path", "circle"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs) -> None:
        pass

    def handle_data(self, data) -> None:
        self.words.append(data)


def test_the_page_is_whole_and_escapes_names() -> None:
    everyone = list_methods(["gat"], ["<b>&.json"], ["ignore"])
    conditions = [Condition(), Condition(0.1)]
    scope = Scope("Graphs <i>", "photos", everyone, conditions, 2, {"data": "x < y"})
    columns = (*METRICS, *THIRDS, *COSTS)
    runs = [Run(*key, dict.fromkeys(columns, 0.5 + 0.1 * key[-1])) for key in scope.keys]
    difference = Difference(0.01, 0.0, 0.02, 0.2)
    found = [
        Comparison(condition, a, b, against, difference, 0.4 if tested else None)
        for condition in conditions for a, b, against, tested in pairs(everyone)
    ]  # fmt: skip
    environment = {"versions": {"torch": "2"}, "cores": 2}
    one = DataSetResult(Path(), scope, runs, found, environment)
    result = BenchmarkResult({"photos": one})
    page = Checker()
    page.feed(render(result))
    page.close()
    assert page.open == []
    assert page.fetched == []
    text = " ".join(page.words)
    assert result.verdict[0] in text
    assert "gat · <b>&.json · permuted labels" in text
    assert "share of training images" in text


def test_every_curve_is_distinguishable() -> None:
    everyone = [method for method in list_methods(HEADS_COMPARED, ["npmi"], ["ignore"])
                if method.edges in ("own", "none")]  # fmt: skip
    colours = _colours(everyone)
    assert len({(colours[method], method.is_control) for method in everyone}) == len(everyone)
    style = (Path(gatlabel.report.__file__).parent / "assets" / "report.css").read_text()
    assert all(f".{colour} {{ --c:" in style for colour in colours.values())


def test_hundredths_do_not_fill_the_chart() -> None:
    tiny = Difference(0.0001, -0.0001, 0.0002, 0.5)
    chart = difference_chart([("photos", Comparison(ALL, OWN, BARE, NO_EDGES, tiny, 1.0))], "it")
    drawn = re.search(r'class="interval[^"]*" d="M([\d.]+) [\d.]+H([\d.]+)"', chart)
    assert drawn is not None
    start, end = map(float, drawn.groups())
    assert 0 < end - start < 0.1 * (WIDTH - LEFT - RIGHT)

"""Files preserve every valid label name, and every reader refuses invalid ones."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatlabel.errors import InputError
from gatlabel.files import read_json, write_json
from gatlabel.graph import Cooccurrence, LabelGraph, read_edges
from gatlabel.labels import LabelSet, check_name


def is_name(text: str) -> bool:
    try:
        check_name(text)
    except InputError:
        return False
    return True


def is_label_set(names: list[str]) -> bool:
    try:
        LabelSet(names)
    except InputError:
        return False
    return True


anything = st.text(st.characters(codec=None), min_size=1, max_size=8)
names = st.lists(anything.filter(is_name), min_size=2, max_size=5).filter(is_label_set)


def through_classes(labels: LabelSet, path: Path) -> tuple[str, ...]:
    labels.save(path)
    return LabelSet.load(path).names


def through_graph(labels: LabelSet, path: Path) -> tuple[str, ...]:
    graph = LabelGraph(labels, [[0], [1]], [0.1])
    graph.save(path)
    assert LabelGraph.load(path) == graph
    return LabelGraph.load(path).names


def through_counts(labels: LabelSet, path: Path) -> tuple[str, ...]:
    counts = Cooccurrence.from_targets([[1, 1, *[-1] * (len(labels) - 2)]] * 3, labels)
    counts.save(path)
    assert Cooccurrence.load(path) == counts
    return Cooccurrence.load(path).names


def through_json(labels: LabelSet, path: Path) -> tuple[str, ...]:
    write_json(path, dict.fromkeys(labels, 1))
    return tuple(read_json(path, "test file"))


@pytest.mark.parametrize("through", [through_classes, through_graph, through_counts, through_json])
@settings(deadline=None, max_examples=60)
@given(given_names=names)
@example(given_names=["a\u200bb", "#c", "'=d", 'e"', "f,g", "h|i", "\u202ej", "\\n", "k l"])
def test_names_come_back_from_every_file(through, given_names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert through(LabelSet(given_names), Path(folder) / "file") == tuple(given_names)


@settings(deadline=None, max_examples=60)
@given(names)
def test_quoted_names_come_back_from_edge_lists(given_names: list[str]) -> None:
    quoted = ['"{}"'.format(name.replace('"', '""')) for name in given_names]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edges.csv"
        path.write_text(f"source,target\n{quoted[0]},{quoted[1]}\n", encoding="utf-8")
        assert read_edges(path) == [(given_names[0], given_names[1], 1.0)]


@settings(deadline=None, max_examples=200)
@given(anything.filter(is_name))
def test_a_name_is_a_line_to_everyone(text: str) -> None:
    """Also to tools that end lines at separators of Unicode, and drop blanks and marks."""
    assert [line.strip() for line in text.encode().decode("utf-8-sig").splitlines()] == [text]

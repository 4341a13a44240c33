"""The text form of a graph: what is read, what is written, and what is refused."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence, GraphSpec, IsolatedLabelsWarning, LabelGraph
from gatlabel.graph.spec import GRAPH_FILES, split_specs
from gatlabel.graph.variants import VARIANTS

NAMES = ["fork", "knife", "table", "cow"]
COUNTS = Cooccurrence.from_counts(
    [3, 4, 5, 2], [[0, 1, 3], [0, 2, 2], [1, 2, 1], [2, 3, 2]], images=10, names=NAMES
)


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("npmi", "npmi", {}),
        ("npmi:top_k=5,threshold=0.1", "npmi", {"top_k": 5, "threshold": 0.1}),
        (" npmi : top_k = 5 , threshold=none ", "npmi", {"top_k": 5, "threshold": None}),
        (
            "conditional:given=source,top_k=2",
            "conditional",
            {"given": "source", "top_k": 2},
        ),
        ("knn:vectors=words.txt,k=3", "knn", {"vectors": "words.txt", "k": 3}),
        ("knn:vectors=C:/a b/12:30.npz", "knn", {"vectors": "C:/a b/12:30.npz"}),
        ('knn:vectors="a,b=c.txt",k=2', "knn", {"vectors": "a,b=c.txt", "k": 2}),
        ("random:base=npmi,top_k=5,seed=3", "random", {"base": "npmi", "top_k": 5, "seed": 3}),
        ("permuted:top_k=5", "permuted", {"top_k": 5}),
        ("graph.json", "graph.json", {}),
        ("a,b.csv", "a,b.csv", {}),
        ("edges.csv:relation=similarity", "edges.csv", {"relation": "similarity"}),
        (r"C:\g\e.csv:relation=similarity", r"C:\g\e.csv", {"relation": "similarity"}),
        ("runs/12:30/graph.json", "runs/12:30/graph.json", {}),
        ('"a:b=c.csv":relation=similarity', "a:b=c.csv", {"relation": "similarity"}),
    ],
)
def test_texts_are_read(text: str, name: str, options: dict[str, Any]) -> None:
    spec = GraphSpec.parse(text)
    assert spec == GraphSpec(name, options)
    assert (spec.name, spec.options) == (name, options)
    assert GraphSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmpi", "unknown graph variant 'nmpi'; did you mean 'npmi'"),
        ("npni:top_k=3", "did you mean 'npmi'"),
        ("graph.jsn", "unknown graph variant"),
        ("npmi:tpo_k=3", "option of the graph variant npmi 'tpo_k'; did you mean 'top_k'"),
        (
            "npmi:given=source",
            "npmi cannot take 'given': conditional can; it has the options",
        ),
        ("complete:top_k=2", "cannot take 'top_k': conditional, npmi, lift can; it has no options"),
        (
            "knn:top_k=2",
            "knn cannot take 'top_k': conditional, npmi, lift can; it has",
        ),
        ("random:base=npmi,given=source", "the graph variant npmi cannot take 'given'"),
        ("random:base=permuted", "the base of a random graph must be another variant"),
        ("npmi:top_k=many", "top_k='many': give a whole number"),
        ("npmi:top_k=2.5", "top_k='2.5': give a whole number"),
        ("npmi:top_k=", "top_k='': give a whole number"),
        ("npmi:threshold=nan", "threshold=nan: give a finite number"),
        ("npmi:threshold=1.5", "threshold=1.5: must be at most 1"),
        ("npmi:top_k=1,top_k=2", "top_k is given twice"),
        ("conditional:given=both", "given='both': give source or target"),
        ("npmi:3", "'npmi:3': expected name=value,name=value, found '3'"),
        ("npmi:", "expected name=value"),
        ("npmi:top_k=3,", "expected name=value"),
        ("npmi:top_k=3,4", "expected name=value,name=value, found '4'"),
        ('knn:vectors="a', "expected name=value,name=value, found 'vectors=\"a'"),
        ('knn:vectors="a"b', "expected name=value"),
        ('knn:vectors="\\q"', "expected name=value"),
        ('"a.csv"relation=similarity', "unknown graph variant"),
        ("graph.json:relation=similarity", "graph.json stores its relation"),
        ("edges.csv:relation=kin", "relation='kin': give cooccurrence or similarity"),
        (
            "edges.csv:top_k=3",
            "top_k: only for conditional, npmi, lift, not for the file",
        ),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        GraphSpec.parse(text)
    assert "\n" not in str(error.value)


def test_values_that_no_text_can_hold_are_refused() -> None:
    with pytest.raises(InputError, match="vectors is a list: give a text or a number"):
        GraphSpec("knn", {"vectors": [[1.0]]})
    with pytest.raises(InputError, match="base is a LabelGraph"):
        GraphSpec("random", {"base": COUNTS.graph("complete")})


any_text = st.text(st.characters(exclude_categories=["Cc"]), max_size=12)
values: dict[str, st.SearchStrategy[Any]] = {
    "threshold": st.none() | st.floats(0, 1),
    "top_k": st.none() | st.integers(1, 99),
    "min_support": st.integers(1, 99),
    "smoothing": st.floats(0, 1e6),
    "given": st.sampled_from(["source", "target"]),
    "tau": st.floats(0.01, 1),
    "p": st.floats(0, 1),
    "vectors": any_text,
    "k": st.integers(1, 99),
    "seed": st.integers(0, 2**32),
}
BASES = [name for name in VARIANTS if name not in ("random", "permuted")]


@st.composite
def specs(draw: st.DrawFn) -> GraphSpec:
    kind = draw(st.sampled_from([*VARIANTS, "file"]))
    if kind == "file":
        name = draw(any_text.filter(lambda text: "\0" not in text)) + draw(
            st.sampled_from(GRAPH_FILES)
        )
        related = {} if name.endswith(".json") else {"relation": "similarity"}
        return GraphSpec(name, related if draw(st.booleans()) else {})
    options: dict[str, Any] = {}
    taken = list(VARIANTS[kind].option_types())
    if kind in ("random", "permuted"):
        options["base"] = draw(st.sampled_from(BASES))
        taken = ["seed", *VARIANTS[options["base"]].option_types()]
    for option in draw(st.lists(st.sampled_from(taken), unique=True) if taken else st.just([])):
        options[option] = draw(values[option])
    return GraphSpec(kind, options)


@given(spec=specs())
@settings(deadline=None, max_examples=200)
def test_text_and_back(spec: GraphSpec) -> None:
    assert GraphSpec.parse(str(spec)) == spec


@given(found=st.lists(specs(), max_size=4))
@settings(deadline=None, max_examples=100)
def test_lists_of_texts_and_back(found: list[GraphSpec]) -> None:
    text = ",".join(map(str, found))
    assert [GraphSpec.parse(part) for part in split_specs(text)] == found


def test_every_option_has_values_to_try() -> None:
    named = {option for kind in VARIANTS.values() for option in kind.option_types()}
    assert named == {*values, "base"}


def test_variants_are_built_with_their_options() -> None:
    built = GraphSpec.parse("conditional:given=source,top_k=1").build(COUNTS)
    assert built == COUNTS.graph("conditional", given="source", top_k=1)
    with pytest.warns(IsolatedLabelsWarning):
        GraphSpec.parse("npmi:min_support=3").build(COUNTS)


@pytest.mark.parametrize("name", ["random", "permuted"])
def test_the_seed_of_a_control_is_that_of_the_run_unless_it_is_given(name: str) -> None:
    spec = GraphSpec.parse(f"{name}:base=conditional,top_k=2")
    built = [spec.build(COUNTS, seed) for seed in range(6)]
    assert len({str(graph.edge_index.tolist()) for graph in built}) > 1
    assert [graph.options["seed"] for graph in built] == list(range(6))
    own = GraphSpec.parse(f"{name}:base=conditional,top_k=2,seed=3")
    assert own.build(COUNTS, 5) == built[3]
    assert own.build(COUNTS).options["base"] == "conditional"


def test_files_are_read_in_the_order_of_the_counts_and_get_them(tmp_path: Path) -> None:
    edges = [("fork", "knife", 0.5), ("cow", "table", 0.25)]
    LabelGraph.from_edges(edges, NAMES[::-1]).save(tmp_path / "graph.json")
    (tmp_path / "12:30.csv").write_text("fork,knife,0.5\ncow,table,0.25\n")
    for text in (f"{tmp_path}/graph.json", f"{tmp_path}/12:30.csv"):
        graph = GraphSpec.parse(text).build(COUNTS)
        assert graph == LabelGraph.from_edges(edges, NAMES)
        assert graph.counts == COUNTS
        assert graph.label_counts.present.tolist() == [3, 4, 5, 2]
    similar = GraphSpec.parse(f"{tmp_path}/12:30.csv:relation=similarity").build(COUNTS)
    assert similar.relation == "similarity"
    other = Cooccurrence.from_targets([[1, 1]], ["fork", "x"])
    with pytest.raises(InputError, match=r"graph\.json do not match"):
        GraphSpec.parse(f"{tmp_path}/graph.json").build(other)
    with pytest.raises(InputError, match="cannot read the label graph"):
        GraphSpec.parse("none.json").build(COUNTS)


def test_paths_become_absolute(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("e.csv", "words.txt"):
        Path(file).touch()
    absolute = GraphSpec.parse("e.csv:relation=similarity").absolute()
    assert absolute == GraphSpec(str(tmp_path / "e.csv"), {"relation": "similarity"})
    near = GraphSpec.parse("knn:vectors=words.txt,k=2").absolute()
    assert near == GraphSpec("knn", {"vectors": str(tmp_path / "words.txt"), "k": 2})
    for text in ("knn:vectors=names", "npmi:top_k=5", "other.json"):
        assert str(GraphSpec.parse(text).absolute()) == text


def test_specs_need_neither_torch_nor_numpy() -> None:
    code = (
        "import sys\nfrom gatlabel.graph.spec import GraphSpec\n"
        "GraphSpec.parse('random:base=npmi,top_k=5')\n"
        "print(*sorted({module.split('.')[0] for module in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "scipy", "networkx", "yaml"} & set(out.stdout.split())

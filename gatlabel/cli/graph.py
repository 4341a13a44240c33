"""``gatlabel graph build | show | compare``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gatlabel.cli.output import add_row, make_table, show, show_block, show_table
from gatlabel.cli.parsing import Parser, at_least_one, check_outputs, make_parser, parse
from gatlabel.errors import InputError, unknown_choice
from gatlabel.graph.spec import GraphSpec, split_specs
from gatlabel.graph.variants import VARIANTS, IsolatedLabelsWarning
from gatlabel.printing import on_terminal

if TYPE_CHECKING:
    from gatlabel.graph import Cooccurrence, LabelGraph

MinusOne = Literal["absent", "unknown"]

USAGE = """\
usage: gatlabel graph COMMAND [options]

  build      build a label graph from counts or a training split
  show       describe a label graph, and draw it
  compare    compare the structure of graphs

Counts are counts.json of a run folder, or a file written by Cooccurrence.save.
gatlabel graph COMMAND --help lists the options of a command.
"""


def graph_command(words: list[str]) -> None:
    """Runs one of the graph commands."""
    commands: dict[str, Callable[[list[str]], None]] = {
        "build": _build,
        "show": _show,
        "compare": _compare,
    }
    if not words or words[0] in ("-h", "--help"):
        show_block(USAGE)
        if words:
            raise SystemExit(0)
        return
    if words[0] not in commands:
        raise unknown_choice("graph command", words[0], commands)
    commands[words[0]](words[1:])


def build_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser("graph build", "Builds a label graph from counts.")
    parser.add_argument("counts", type=Path, help="counts.json, or a csv with labels (its folder).")
    parser.add_argument("output", type=Path, help="The graph.json to write.")
    parser.add_argument(
        "--graph",
        type=str,
        default="conditional",
        help="A variant with options, for example npmi:top_k=5,threshold=0.1, or an edge list: "
        f"edges.csv:relation=similarity. Variants: {', '.join(VARIANTS)}.",
    )
    parser.add_argument("--minus-one", type=MinusOne | None, help="csv: what -1 is.")
    return parser


def _build(words: list[str]) -> None:
    options = parse(build_parser(), words)
    check_outputs(options, "output")
    spec = GraphSpec.parse(options.graph)
    graph = _built(spec, _counts(options.counts, options.minus_one))
    graph.save(options.output)
    show(_described(graph))


def show_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser("graph show", "Describes a label graph, and draws it.")
    parser.add_argument("graph", type=Path, help="graph.json, or a run folder.")
    parser.add_argument("--draw", type=Path | None, help="Image to draw (png, svg or pdf).")
    parser.add_argument("--edges", type=int, default=20, help="Strongest edges to list.")
    return parser


def _show(words: list[str]) -> None:
    options = parse(show_parser(), words)
    at_least_one(options, "edges")
    check_outputs(options, "draw")
    from gatlabel.graph import LabelGraph

    graph = LabelGraph.load(_below(options.graph, "graph.json"))
    show(_described(graph))
    if graph.isolated:
        show(f"isolated labels: {', '.join(graph.isolated)}")
    order = graph.edge_weight.argsort(descending=True, stable=True)[: options.edges]
    for edge in order.tolist():
        source, target = (graph.names[int(k)] for k in graph.edge_index[:, edge])
        show(f"{float(graph.edge_weight[edge]):8.4f}  {source} -> {target}")
    if options.draw is not None:
        graph.draw(options.draw)


def compare_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser("graph compare", "Compares the structure of label graphs.")
    parser.add_argument(
        "sources", nargs="+", type=Path, help="One counts.json (or run folder), or graph files."
    )
    parser.add_argument(
        "--graphs",
        type=str | None,
        help="Graphs to build from counts, for example conditional,npmi:top_k=5.",
    )
    parser.add_argument("--draw", type=Path | None, help="Image to draw (png, svg or pdf).")
    parser.add_argument("--minus-one", type=MinusOne | None, help="csv: what -1 is.")
    return parser


def _compare(words: list[str]) -> None:
    options = parse(compare_parser(), words)
    check_outputs(options, "draw")
    graphs = _graphs(options.sources, options.graphs, options.minus_one)
    from gatlabel.graph import compare, draw_comparison

    comparison = compare(graphs)
    if on_terminal("stdout"):
        for head, *rows in comparison.cells():
            table = make_table(head)
            for row in rows:
                add_row(table, *row)
            show_table(table)
    else:
        show_block(comparison.table())
    if options.draw is not None:
        draw_comparison(graphs, options.draw)


def _graphs(
    sources: Sequence[Path], texts: str | None, minus_one: MinusOne | None
) -> dict[str, LabelGraph]:
    if len(sources) > 1:
        if minus_one is not None:
            raise InputError("--minus-one is for counts of a csv file, not for graphs")
        if texts is not None:
            raise InputError("--graphs is for counts: give one counts.json")
        from gatlabel.graph import LabelGraph

        stems = [path.stem for path in sources]
        unique = len(set(stems)) == len(stems)
        return {
            stem if unique else str(path): LabelGraph.load(_below(path, "graph.json"))
            for stem, path in zip(stems, sources, strict=True)
        }
    # knn needs label vectors, which counts do not have
    chosen = split_specs(texts) if texts else [name for name in VARIANTS if name != "knn"]
    specs = [GraphSpec.parse(text) for text in chosen]
    counts = _counts(sources[0], minus_one)
    return {str(spec): _built(spec, counts) for spec in specs}


def _counts(path: Path, minus_one: MinusOne | None) -> Cooccurrence:
    from gatlabel.graph import Cooccurrence

    if path.suffix == ".csv" or os.path.isfile(path / "labels.csv"):  # noqa: PTH113 - never raises
        from gatlabel.data import read_csv

        root, file = (path, "labels.csv") if path.is_dir() else (path.parent, path.name)
        splits = read_csv(root, file, on_error="skip", minus_one=minus_one)
        for note in splits.notes:
            show(note)
        return Cooccurrence.from_targets(splits.train.targets, splits.labels)
    if minus_one is not None:
        raise InputError("--minus-one is for counts of a csv file")
    return Cooccurrence.load(_below(path, "counts.json"))


def _built(spec: GraphSpec, counts: Cooccurrence) -> LabelGraph:
    with warnings.catch_warnings():
        # every graph command prints the graph's description, which names isolated labels
        warnings.simplefilter("ignore", IsolatedLabelsWarning)
        return spec.build(counts)


def _described(graph: LabelGraph) -> str:
    return f"{len(graph.names)} labels: {graph.describe()}"


def _below(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path

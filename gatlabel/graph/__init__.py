"""Label counts and label graphs: which label contributes evidence to which other label.

A fork in an image makes a knife likely. Three steps turn such facts into input for a network:

1. **Count.** :class:`Cooccurrence` counts, over the training images, how often each label and
   each pair of labels is present. A pair counts only where both labels are known (-1 in the
   targets is unknown). The counts of two disjoint sets add up to the counts of their union.
2. **Connect.** A *variant* turns counts into a :class:`LabelGraph` with weighted, directed edges.
   An edge j -> i lets label j contribute evidence to label i. :data:`VARIANTS` lists the variants
   with their options and formulas. The default is ``conditional`` with five in-neighbours per
   label; it isolates no label that co-occurs with another. ``identity``, ``random`` and
   ``permuted`` are controls: they show what edges add and whether these particular edges matter.
3. **Describe.** Node features give every label a vector: computed from the counts (``"svd"``),
   read from a file of word vectors, or learned. See :func:`resolve`.

    >>> from gatlabel.graph import VARIANTS, Cooccurrence, LabelGraph
    >>> names = ["fork", "knife", "table", "cow"]
    >>> targets = [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, -1], [0, 0, 0, 1]]
    >>> counts = Cooccurrence.from_targets(targets, names)
    >>> counts
    Cooccurrence(4 labels, 5 images, 3 pairs occur, 1.60 labels per image, 5% of entries unknown)

    The weight of fork -> knife is P(fork | knife): the edge is conditioned on its target.

    >>> graph = VARIANTS["conditional"](given="target", threshold=0.6).build(counts)
    >>> graph.to_dense()[names.index("knife"), names.index("fork")].item()
    1.0
    >>> graph.isolated
    ('table', 'cow')

    ``counts.graph(name, **options)`` builds the same graph by name and warns about isolated labels.
    :class:`GraphSpec` does so from one text, ``conditional:given=target,threshold=0.6``. Graphs
    convert to and from files, networkx and PyG. Labels are matched to targets and models by name,
    not by position:

    >>> LabelGraph.from_networkx(graph.to_networkx()) == graph
    True
    >>> graph.reorder(["cow", "table", "knife", "fork"]).edge_index.tolist()
    [[3, 2], [2, 3]]

Whether direction, weights or edges matter has to be measured. :func:`compare` compares graphs by
structure; the benchmarks train models with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.graph.comparison import GraphComparison, GraphSummary, compare, draw_comparison
    from gatlabel.graph.cooccurrence import Cooccurrence
    from gatlabel.graph.edge_files import read_edges
    from gatlabel.graph.hierarchy import hierarchy_graph
    from gatlabel.graph.label_graph import LabelGraph
    from gatlabel.graph.node_features import MissingVectorsWarning, adjacency_svd, ppmi_svd, resolve
    from gatlabel.graph.rewiring import permuted, rewired
    from gatlabel.graph.spec import GraphSpec
    from gatlabel.graph.variants import VARIANTS, IsolatedLabelsWarning, build_graph
    from gatlabel.graph.vectors import VectorReport, load_vectors, vectors_by_name
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "VARIANTS",
    "Cooccurrence",
    "GraphComparison",
    "GraphSpec",
    "GraphSummary",
    "IsolatedLabelsWarning",
    "LabelGraph",
    "MissingVectorsWarning",
    "VectorReport",
    "adjacency_svd",
    "build_graph",
    "compare",
    "draw_comparison",
    "hierarchy_graph",
    "load_vectors",
    "permuted",
    "ppmi_svd",
    "read_edges",
    "resolve",
    "rewired",
    "vectors_by_name",
]

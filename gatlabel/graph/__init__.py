"""Label counts and label graphs: which label contributes evidence to which.

A fork in an image makes a knife likely. Three steps turn that into something a network can use:

1. **Count.** :class:`Cooccurrence` counts, over the training images, how often each label and
   each pair of labels is present. A pair counts only where both labels are known (-1 in the
   targets is unknown), and counts of parts add up to the counts of the whole.
2. **Connect.** A *variant* turns counts into a :class:`LabelGraph`: directed edges j -> i with a
   weight: label j contributes evidence to label i. :data:`VARIANTS` lists them, each with its
   options and its formula. The default, ``conditional`` with five in-neighbours per label,
   isolates no label that ever occurs with another. ``identity``, ``random`` and ``permuted`` are
   the controls: what do edges add, and do they have to be these edges?
3. **Describe.** Node features give every label a vector: from the counts themselves (``"svd"``),
   from word vectors in a file, or learned; see :func:`resolve`.

    >>> from gatlabel.graph import VARIANTS, Cooccurrence, LabelGraph
    >>> names = ["fork", "knife", "table", "cow"]
    >>> targets = [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, -1], [0, 0, 0, 1]]
    >>> counts = Cooccurrence.from_targets(targets, names)
    >>> counts
    Cooccurrence(4 labels, 5 images, 3 pairs occur, 1.60 labels an image, 5% of entries unknown)

    The weight of fork -> knife is P(fork | knife), as the edge is conditioned on its target:

    >>> graph = VARIANTS["conditional"](given="target", threshold=0.6).build(counts)
    >>> graph.to_dense()[names.index("knife"), names.index("fork")].item()
    1.0
    >>> graph.isolated
    ('table', 'cow')

    ``counts.graph(name, **options)`` does the same by name and warns about isolated labels, and
    :class:`GraphSpec` by one text, ``conditional:given=target,threshold=0.6``. A graph goes to
    files, to networkx and to PyG, and comes back; names, not positions, join it to targets and
    models:

    >>> LabelGraph.from_networkx(graph.to_networkx()) == graph
    True
    >>> graph.reorder(["cow", "table", "knife", "fork"]).edge_index.tolist()
    [[3, 2], [2, 3]]

Whether the direction, the weights or the edges matter is a question for measurement:
:func:`compare` sets graphs side by side as structures, benchmarks train with them.
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

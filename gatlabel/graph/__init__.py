"""The label graph."""

from gatlabel.graph.cooccurrence import Cooccurrence as Cooccurrence
from gatlabel.graph.label_graph import LabelGraph as LabelGraph
from gatlabel.graph.variants import VARIANTS as VARIANTS

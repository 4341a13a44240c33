"""The base test of graph variants: a new one joins it by a class of two lines and a definition.

class TestMine(VariantTester):
    variant, options = Mine, {"threshold": 0.2}
"""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.graph.variant import Variant

L = 7
NAMES = [f"label {letter}" for letter in "fbdaecg"]


class VariantTester:
    """What every variant made of counts must do.

    Attributes:
        variant: The class.
        options: Its options.
    """

    variant: ClassVar[type[Variant]]
    options: ClassVar[dict[str, Any]] = {}

    def weight(self, present: np.ndarray, i: int, j: int) -> float:
        """The weight of the edge ``j -> i`` by definition, from ``present`` bool ``(N, L)``."""
        pytest.skip("no definition to compare with")

    def made(self, targets: np.ndarray, names: list[str] = NAMES) -> LabelGraph:
        counts = Cooccurrence.from_targets(targets, names)
        return type(self).variant(**self.options).build(counts)

    @pytest.fixture
    def targets(self) -> np.ndarray:
        generator = np.random.default_rng(0)
        targets = (generator.random((80, L)) < generator.uniform(0.1, 0.6, L)).astype(float)
        targets[:, 1] = np.where(generator.random(80) < 0.8, targets[:, 0], targets[:, 1])
        targets[:, 6] = 0  # a label without positives
        return targets

    def test_weights_are_those_of_the_definition(self, targets: np.ndarray) -> None:
        dense = self.made(targets).to_dense()
        for i in range(L):
            for j in range(L):
                expected = 0.0 if i == j else self.weight(targets == 1, i, j)
                assert dense[i, j] == pytest.approx(expected, rel=1e-5), (i, j)
        assert dense.any()

    def test_permuted_labels_give_a_permuted_graph(self, targets: np.ndarray) -> None:
        order = [3, 1, 6, 5, 0, 2, 4]
        names = [NAMES[k] for k in order]
        permuted, expected = self.made(targets[:, order], names), self.made(targets).reorder(names)
        assert torch.equal(permuted.edge_index, expected.edge_index)
        torch.testing.assert_close(permuted.edge_weight, expected.edge_weight)

    def test_is_finite_and_has_a_repr(self, targets: np.ndarray, tmp_path) -> None:
        graph = self.made(targets)
        assert graph.edge_weight.isfinite().all()
        assert not (graph.edge_index[0] == graph.edge_index[1]).any()
        assert graph.variant
        assert self.options.items() <= dict(graph.options).items()
        graph.save(tmp_path / "graph.json")
        assert LabelGraph.load(tmp_path / "graph.json").edge_index.equal(graph.edge_index)

    def test_works_on_hardly_any_images(self) -> None:
        for rows in (0, 1):
            graph = self.made(np.zeros((rows, L)))
            assert graph.names == tuple(NAMES)
            assert graph.edge_weight.isfinite().all()

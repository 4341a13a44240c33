"""Targets given dense, as a tensor, sparse or with other types agree with the slow definition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from gatlabel.graph import Cooccurrence
from gatlabel.targets import Targets
from tests.reference import targets as slow

VALUES = [0.0, 0.0, 0.0, 1.0, 0.25, 0.5, -1.0]
LAYOUTS: dict[str, Callable[[NDArray[np.float32]], Any]] = {
    "array": lambda table: table,
    "double": lambda table: table.astype(np.float64),
    "fortran": np.asfortranarray,
    "tensor": torch.from_numpy,
    "bfloat16": lambda table: torch.from_numpy(table).bfloat16(),
    "rows": lambda table: table.tolist() if table.size else table,
    "csr": sparse.csr_array,
    "csc matrix": sparse.csc_matrix,
    "coo": sparse.coo_array,
    "sparse tensor": lambda table: torch.from_numpy(table).to_sparse(),
    "zeros stored": lambda table: _with_stored_zeros(table),
}


def _with_stored_zeros(table: NDArray[np.float32]) -> Any:
    rows, columns = np.indices(table.shape)
    entries: Any = (table.ravel(), (rows.ravel(), columns.ravel()))
    return sparse.csr_array(entries, shape=table.shape)


@st.composite
def tables(draw: st.DrawFn) -> NDArray[np.float32]:
    shape = draw(st.integers(0, 9)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.choice(VALUES, size=shape).astype(np.float32)


def dense(targets: Targets) -> list[list[float]]:
    found: list[list[float]] = targets.to_dense().tolist()
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=30)
@given(tables(), st.data())
def test_every_layout_is_the_table(layout: str, table: NDArray[np.float32], data: Any) -> None:
    targets, rows = Targets(LAYOUTS[layout](table)), table.tolist()
    N, L = table.shape
    assert (targets.shape, len(targets)) == ((N, L), N)
    assert dense(targets) == np.asarray(targets).tolist() == rows
    assert targets.to_dense().dtype == torch.float32
    assert tuple(found.tolist() for found in targets.counts()) == slow.counts(rows, L)
    assert targets.known().tolist() == slow.known(rows)
    assert targets.present().toarray().tolist() == (table >= 0.5).tolist()
    order = data.draw(st.lists(st.integers(-1, L - 1), max_size=8))
    assert dense(targets.columns(order)) == slow.columns(rows, order)
    if N:
        some = data.draw(st.lists(st.integers(-N, N - 1), max_size=8))
        assert dense(targets.take(some)) == slow.take(rows, some)
        if some:
            assert targets.rows(some).tolist() == slow.take(rows, some)
            assert targets.rows(some[0]).tolist() == rows[some[0]]
            assert targets.known(some[0]).tolist() == slow.known(rows)[some[0]]
        assert targets.rows(slice(1, None)).tolist() == rows[1:]


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=30)
@given(tables(), st.sampled_from([0.0, 0.1, 0.5, 0.99, "single"]), st.integers(0, 5))
def test_masking_and_noise_do_not_depend_on_the_layout(
    layout: str, table: NDArray[np.float32], share: float | str, seed: int
) -> None:
    targets, plain = Targets(LAYOUTS[layout](table)), Targets(table)
    masked = targets.mask(share, seed)
    assert dense(masked) == dense(plain.mask(share, seed))
    assert masked.is_sparse == targets.is_sparse
    if isinstance(share, float):
        noisy = targets.corrupt(share, seed)
        assert dense(noisy) == dense(plain.corrupt(share, seed))
        assert noisy.is_sparse == targets.is_sparse
    assert dense(targets) == table.tolist()  # as they were


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=30)
@given(tables())
def test_label_graphs_are_counted_in_the_same_way(layout: str, table: NDArray[np.float32]) -> None:
    names = [f"label {k}" for k in range(table.shape[1])]
    counts = Cooccurrence.from_targets(table, names)
    assert Cooccurrence.from_targets(LAYOUTS[layout](table), names) == counts
    assert Cooccurrence.from_targets(Targets(LAYOUTS[layout](table)), names) == counts

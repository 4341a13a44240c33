"""Fits the Ising model of scenes to published label counts and pair counts.

Only counts are published, no label sets, so the fit matches moments. Fields and couplings are
adjusted until sampled frequencies and pair frequencies match the published ones. Weak couplings
are dropped, and the others are fitted again. ``benchmarks/assets/fit_scene_labels.py`` writes the
result to ``assets/``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatlabel.data.scenes.ising import Array, GibbsChains, IsingModel, independent_fields

SHRINKAGE = 5.0  # number of images without association added to every pair count
STRONGEST = 4.0  # largest |coupling|; counts of zero would give minus infinity


def shrunken_pairs(label_counts: Array, pair_counts: Array, images: int) -> Array:
    """Returns pair frequencies, shrunk towards independence if estimated from few images.

    ``p_ij = p_i p_j (n_ij + κ) / (E_ij + κ)`` with ``E_ij = n_i n_j / images`` and κ = 5 images.

    Args:
        label_counts: ``n_i``, ``(L,)``.
        pair_counts: ``n_ij``, symmetric ``(L, L)``; the diagonal is not used.
        images: Number of images counted.
    """
    expected = np.outer(label_counts, label_counts) / images
    lift = (pair_counts + SHRINKAGE) / (expected + SHRINKAGE)
    # a pair is never more frequent than the rarer of its labels
    most = np.minimum.outer(label_counts, label_counts) / images
    return np.minimum(expected / images * lift, 0.98 * most)


def fit_ising(
    names: tuple[str, ...],
    label_counts: Array,
    pair_counts: Array,
    images: int,
    *,
    weakest: float = 1.0,
    chains: int = 8192,
    steps: int = 400,
    seed: int = 0,
) -> IsingModel:
    """Fits fields, competition and sparse couplings to counts.

    Moment matching with persistent Gibbs chains: ``h_i`` moves by the difference of log-odds,
    ``J_ij`` by the log-ratio of pair frequencies. The first round has a coupling for every pair;
    their median becomes the competition, and couplings that differ from it by less than
    ``weakest`` are dropped. Two further rounds fit the others, with another dropping between them.

    Args:
        names: The L labels.
        label_counts: ``(L,)``.
        pair_counts: Symmetric ``(L, L)``.
        images: The number of images counted.
        weakest: Couplings below this are dropped (1.0 multiplies the odds by e).
        chains: Number of persistent Gibbs chains.
        steps: Steps per round, one sweep each.
        seed: Seed of the chains.
    """
    frequencies = label_counts / images
    wanted = shrunken_pairs(label_counts, pair_counts, images)
    off_diagonal = ~np.eye(len(names), dtype=bool)
    model = IsingModel(names, independent_fields(frequencies), np.zeros(off_diagonal.shape))
    model = _match(model, frequencies, wanted, off_diagonal, chains, steps, seed)
    competition = -float(np.median(model.couplings[off_diagonal]))
    couplings = (model.couplings + competition) * off_diagonal
    for round_ in (1, 2):
        support = (np.abs(couplings) >= weakest) & off_diagonal
        model = IsingModel(names, model.fields, couplings * support, competition)
        model = _match(model, frequencies, wanted, support, 2 * chains, steps, seed + round_)
        couplings, competition = model.couplings, model.competition
    return model


def _match(
    model: IsingModel,
    frequencies: Array,
    wanted: Array,
    support: NDArray[np.bool_],
    chains: int,
    steps: int,
    seed: int,
) -> IsingModel:
    """Runs one round of moment matching; the second half of the steps is averaged."""
    fields, couplings, competition = model.fields, model.couplings, model.competition
    rest = ~support & ~np.eye(len(model.names), dtype=bool)
    sparse = bool(rest.any())
    goal = independent_fields(frequencies)
    # pairs in very few chains are noise, so this is added to both sides of the ratio
    floor = 3.0 / chains
    rng = np.random.default_rng([seed, 2014])
    state = GibbsChains(model, chains)
    for _ in range(30):
        state.sweep(rng.random(state.states.shape, dtype=np.float32))
    half = steps // 2
    mean_fields, mean_couplings, mean_competition = fields * 0, couplings * 0, 0.0
    for step in range(steps):
        state.sweep(rng.random(state.states.shape, dtype=np.float32))
        y = state.states.astype(np.float32)
        pairs = (y @ y.T / chains).astype(np.float64)
        seen = np.clip(np.diag(pairs), 0.5 / chains, 1 - 0.5 / chains)
        rate = 0.3 / (1 + 4 * step / steps) ** 1.5
        fields = fields + rate * np.clip(goal - independent_fields(seen), -1, 1)
        ratio = np.log((wanted + floor) / (pairs + floor))
        couplings = np.clip(couplings + rate * ratio, -STRONGEST, STRONGEST) * support
        if sparse:
            competition -= rate * float(np.log(wanted[rest].sum() / pairs[rest].sum()))
        couplings = (couplings + couplings.T) / 2
        model = IsingModel(model.names, fields, couplings, competition)
        state.use(model)
        if step >= half:
            mean_fields = mean_fields + fields / (steps - half)
            mean_couplings = mean_couplings + couplings / (steps - half)
            mean_competition += competition / (steps - half)
    return IsingModel(model.names, mean_fields, mean_couplings, mean_competition)

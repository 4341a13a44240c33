"""The Ising model of scene label sets; its couplings are the true graph.

``P(y) ∝ exp(Σ_i h_i y_i + Σ_{i<j} (J_ij − c) y_i y_j)`` over ``y ∈ {0, 1}^L``. The competition
``c`` is the same for all pairs of labels: an image has space for few objects, and data sets have
about one subject per image. It carries no information about associations between labels; the
sparse couplings ``J`` do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gatlabel.errors import InputError

Array = NDArray[np.float64]
States = NDArray[np.uint8]

BLOCK = 512  # images per random stream; a prefix of a split is the same at any length
SWEEPS = 80  # enough to go from independent labels to the model's distribution


@dataclass(frozen=True, eq=False)
class IsingModel:
    """Fields and couplings of an Ising model over L labels.

    Attributes:
        names: The L labels.
        fields: ``h``, float64 ``(L,)``, the log-odds of a label when all others are absent.
        couplings: ``J``, float64 ``(L, L)``, symmetric with zero diagonal: the amount that the
            presence of ``j`` adds to the log-odds of ``i``, without the competition.
        competition: ``c ≥ 0``, which the presence of a label subtracts from the log-odds of all
            others.
    """

    names: tuple[str, ...]
    fields: Array
    couplings: Array
    competition: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.fields.shape != (count,) or self.couplings.shape != (count, count):
            raise InputError(
                f"an Ising model of {count} labels needs fields ({count},) and couplings "
                f"({count}, {count}), not {self.fields.shape} and {self.couplings.shape}"
            )
        if not np.array_equal(self.couplings, self.couplings.T) or np.diag(self.couplings).any():
            raise InputError(
                "the couplings of an Ising model must be symmetric with a zero diagonal"
            )

    def sample(self, count: int, seed: tuple[int, ...], *, sweeps: int = SWEEPS) -> States:
        """Draws label sets.

        Args:
            count: Number of label sets N.
            seed: Selects the random stream. Row ``k`` depends on the model, ``seed``, ``sweeps``
                and ``k`` only, not on ``count``.
            sweeps: Gibbs sweeps, starting from independent labels.

        Returns:
            uint8 ``(N, L)`` of 0 and 1.
        """
        out = np.empty((count, len(self.names)), dtype=np.uint8)
        rows = 16 * BLOCK
        for first in range(0, count, rows):
            blocks = range(first // BLOCK, -(-min(count, first + rows) // BLOCK))
            streams = [np.random.default_rng([*seed, block]) for block in blocks]
            chains = GibbsChains(self, len(streams) * BLOCK)
            for _ in range(sweeps):
                chains.sweep(_uniform(streams, len(self.names)))
            drawn = chains.states.T[: count - first]
            out[first : first + len(drawn)] = drawn
        return out


def _uniform(streams: list[np.random.Generator], labels: int) -> NDArray[np.float32]:
    shape = (labels, BLOCK)
    return np.concatenate([s.random(shape, dtype=np.float32) for s in streams], axis=1)


class GibbsChains:
    """Parallel Gibbs chains; each label is updated in all of them at once.

    The local fields ``h_i + Σ_j J_ij y_j`` are updated instead of recomputed, since few labels
    change per sweep and couplings are sparse.

    Args:
        model: The model to sample.
        chains: Number of chains C.
        clamped: bool ``(L, C)``: labels fixed as present, or ``None``.
        offsets: ``(L,)``, added to the fields, or ``None``.

    Attributes:
        states: uint8 ``(L, C)``; clamped labels are present from the start, others absent.
    """

    def __init__(
        self,
        model: IsingModel,
        chains: int,
        clamped: NDArray[np.bool_] | None = None,
        offsets: Array | None = None,
    ) -> None:
        shape = (len(model.names), chains)
        self.states: States = np.zeros(shape, np.uint8)
        if clamped is not None:
            self.states[clamped] = 1
        self.clamped = clamped
        self.offsets = np.zeros(len(model.names)) if offsets is None else offsets
        self.use(model)

    def use(self, model: IsingModel) -> None:
        """Continues from the current states with another model of the same labels."""
        self.couplings = model.couplings.astype(np.float32)
        self.competition = np.float32(model.competition)
        self.neighbours = [np.flatnonzero(row) for row in model.couplings]
        states = self.states.astype(np.float32)
        fields = (model.fields + self.offsets).astype(np.float32)
        self._pull: NDArray[np.float32] = fields[:, None] + self.couplings @ states
        self._present: NDArray[np.float32] = states.sum(0)

    def log_odds(self) -> NDArray[np.float32]:
        """Returns the log-odds of each label given the rest of its chain, float32 ``(L, C)``."""
        return self._pull - self.competition * (self._present - self.states)

    def sweep(self, uniform: NDArray[np.float32]) -> None:
        """Updates every label once, in order.

        Args:
            uniform: float32 ``(L, C)`` in [0, 1), the random numbers to use.
        """
        # y_i = 1 with probability σ(log-odds), that is, if logit(u) < log-odds
        with np.errstate(divide="ignore"):
            thresholds = np.log(uniform) - np.log1p(-uniform)
        for i, neighbours in enumerate(self.neighbours):
            others = self._present - self.states[i]
            new = thresholds[i] < self._pull[i] - self.competition * others
            if self.clamped is not None:
                new |= self.clamped[i]
            changed = np.flatnonzero(new != self.states[i])
            if not len(changed):
                continue
            self.states[i] = new
            step = np.where(new[changed], np.float32(1), np.float32(-1))
            self._present[changed] += step
            if len(neighbours):
                weights = self.couplings[neighbours, i]
                self._pull[np.ix_(neighbours, changed)] += weights[:, None] * step


def independent_fields(frequencies: Array) -> Array:
    """Returns the fields of independent labels with the given frequencies."""
    return np.log(frequencies) - np.log1p(-frequencies)


def refit_fields(
    model: IsingModel,
    frequencies: Array,
    *,
    chains: int = 4096,
    steps: int = 300,
    seed: int = 0,
) -> IsingModel:
    """Adjusts the fields so that labels have the given frequencies; couplings do not change.

    Stochastic approximation with persistent chains: each step moves ``h_i`` by the difference of
    target and observed log-odds, with decreasing step size; the second half is averaged.

    Args:
        model: Initial model.
        frequencies: Target marginals ``P(y_i = 1)``, in (0, 1), ``(L,)``.
        chains: Number of persistent Gibbs chains.
        steps: Number of steps, one sweep each.
        seed: Seed of the chains.
    """
    fields, goal = model.fields.copy(), independent_fields(frequencies)
    rng = np.random.default_rng([seed, 77])
    state = GibbsChains(model, chains)
    total, averaged = np.zeros_like(fields), 0
    for step in range(steps):
        state.sweep(rng.random(state.states.shape, dtype=np.float32))
        # the mean of conditional probabilities has a smaller variance than the mean of states
        seen = np.clip(_sigmoid(state.log_odds()).mean(1), 1e-6, 1 - 1e-6)
        rate = 0.3 / (1 + step / 60)
        fields = fields + rate * np.clip(goal - independent_fields(seen), -1, 1)
        state.use(replace(model, fields=fields))
        if step >= steps // 2:
            total += fields
            averaged += 1
    return replace(model, fields=total / averaged)


def _sigmoid(x: NDArray[np.float32]) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))

r"""Inference in a pairwise model of the labels of an image, exact or by mean field.

With logits z, label frequencies π and symmetric couplings J,

.. math:: \log p(y) = \sum_i z_i y_i + \sum_{i < j} J_{ij} (y_i - \pi_i) (y_j - \pi_j) + c
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MOST_EXACT = 16  # labels; all 2^L states are enumerated
STEPS = 50
SWEEPS = 100  # of the search for the most probable labels
_AT_ONCE = 2**21  # states times images per block


def mean_field(
    logits: Tensor, coupling: Tensor, rates: Tensor, steps: int = STEPS, damping: float = 0.5
) -> Tensor:
    r"""Returns the log-odds of the mean-field approximation, a product distribution.

    Damped iterations of :math:`q_i = \sigma(z_i + \sum_j J_{ij} (q_j - \pi_j))` (Wainwright and
    Jordan, *Graphical models, exponential families, and variational inference*, 2008, eq. 5.17).

    Args:
        logits: z ``(B, L)``.
        coupling: J ``(L, L)``, symmetric with a zero diagonal.
        rates: π ``(L,)``.
        steps: Number of iterations.
        damping: Share of the previous state that is kept in a step, at least 0 and below 1.
    """
    found = logits
    for _ in range(steps):
        wanted = logits + (found.sigmoid() - rates) @ coupling
        found = damping * found + (1 - damping) * wanted
    return found


def exact_marginals(logits: Tensor, coupling: Tensor, rates: Tensor) -> Tensor:
    """Returns the exact log-odds of each label, by enumeration; see :func:`mean_field`."""
    return _by_states(logits, coupling, rates, _log_odds)


def exact_mode(logits: Tensor, coupling: Tensor, rates: Tensor) -> Tensor:
    """Returns the most probable labels, bool ``(B, L)``; see :func:`mean_field`."""
    return _by_states(logits, coupling, rates, lambda score, states: states[score.argmax(1)] > 0.5)


def max_marginals(logits: Tensor, coupling: Tensor, rates: Tensor) -> Tensor:
    """Returns the score of the best labels with each label present, minus that with it absent.

    It is positive for the labels of the jointly most probable set. Exact for up to sixteen labels.
    For more, the other labels are those of the local optimum of :func:`mode`.

    Args: see :func:`mean_field`.
    """
    if logits.shape[1] <= MOST_EXACT:
        return _by_states(logits, coupling, rates, _best_apart)
    return logits + (mode(logits, coupling, rates).to(logits.dtype) - rates) @ coupling


def mode(logits: Tensor, coupling: Tensor, rates: Tensor) -> Tensor:
    """Returns the most probable labels, bool ``(B, L)``.

    Exact for up to sixteen labels. For more, it is a local optimum found from the marginals: no
    change of a single label makes it more probable (iterated conditional modes).

    Args: see :func:`mean_field`.
    """
    if logits.shape[1] <= MOST_EXACT:
        return exact_mode(logits, coupling, rates)
    state = (marginals(logits, coupling, rates) > 0).to(logits.dtype)
    for _ in range(SWEEPS):
        before = state.clone()
        for label in range(logits.shape[1]):
            others = (state - rates) @ coupling[:, label]
            state[:, label] = (logits[:, label] + others > 0).to(logits.dtype)
        if torch.equal(state, before):
            break
    return state.bool()


def joint_score(present: Tensor, logits: Tensor, coupling: Tensor, rates: Tensor) -> Tensor:
    """Returns the unnormalised log-probability of labels ``(B, L)``: ``(B,)``."""
    present = present.to(logits.dtype)
    apart = present - rates
    return (present * logits).sum(-1) + (apart @ coupling * apart).sum(-1) / 2


def marginals(logits: Tensor, coupling: Tensor, rates: Tensor) -> Tensor:
    """Returns the log-odds of each label: exact for few labels, else by :func:`mean_field`."""
    infer = exact_marginals if logits.shape[1] <= MOST_EXACT // 2 else mean_field
    return infer(logits, coupling, rates)


def _log_odds(
    score: Tensor, states: Tensor, reduce: Callable[..., Tensor] = torch.logsumexp
) -> Tensor:
    parts = []
    for state in states.T:
        on, off = (reduce(score[:, state == value], 1) for value in (1, 0))
        parts.append(on - off)
    return torch.stack(parts, 1)


def _best_apart(score: Tensor, states: Tensor) -> Tensor:
    return _log_odds(score, states, torch.amax)


def _by_states(
    logits: Tensor,
    coupling: Tensor,
    rates: Tensor,
    reduce: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Scores all states of a block of images, and reduces ``(b, 2^L)`` to ``(b, L)``."""
    labels = logits.shape[1]
    digits = torch.arange(2**labels, device=logits.device)[:, None]
    places = torch.arange(labels, device=logits.device)
    states = ((digits >> places) & 1).to(logits.dtype)  # (2^L, L)
    apart = states - rates
    pairs = (apart @ coupling * apart).sum(1) / 2
    rows = max(1, _AT_ONCE // len(states))
    parts = [reduce(part @ states.T + pairs, states) for part in logits.split(rows)]
    return torch.cat(parts)

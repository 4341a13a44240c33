"""Inference in a chain of labels, each present or absent: forward-backward and Viterbi.

Rabiner, *A tutorial on hidden Markov models*, Proceedings of the IEEE 77, 1989, sections III.A, B.
Everything is in log space. State 0 is absent, state 1 is present.
"""

from __future__ import annotations

import torch
from torch import Tensor


def chain_marginals(
    evidence: Tensor, initial: Tensor, transition: Tensor, *, joint: bool = False
) -> Tensor:
    """Returns the log-odds of each label given the evidence of all.

    With ``joint``, they are max-marginals: the log-probability of the best states of all labels
    with the label present, minus that with the label absent. They are positive for exactly the
    labels that :func:`viterbi` finds present, where the best states are unique.

    Args:
        evidence: ``(B, L)``: log-likelihood ratio of present against absent, in chain order.
        initial: ``(2,)``: log-probabilities of the states of the first label.
        transition: ``(L - 1, 2, 2)``: log-probability of the next state (last axis) given the
            current one.
        joint: Whether to maximise over the other labels, instead of summing.

    Returns:
        ``(B, L)``.
    """
    reduce = torch.amax if joint else torch.logsumexp
    emission = torch.stack([torch.zeros_like(evidence), evidence], -1)  # (B, L, 2)
    count = evidence.shape[1]
    forward = [initial + emission[:, 0]]
    for place in range(1, count):
        step = forward[-1][:, :, None] + transition[place - 1]
        forward.append(reduce(step, 1) + emission[:, place])
    backward = [torch.zeros_like(forward[0])]
    for place in range(count - 1, 0, -1):
        step = transition[place - 1] + (emission[:, place] + backward[-1])[:, None, :]
        backward.append(reduce(step, 2))
    both = torch.stack(forward, 1) + torch.stack(backward[::-1], 1)
    return both[..., 1] - both[..., 0]


def viterbi(evidence: Tensor, initial: Tensor, transition: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the jointly most probable states of all labels.

    Args:
        evidence: See :func:`chain_marginals`.
        initial: See :func:`chain_marginals`.
        transition: See :func:`chain_marginals`.

    Returns:
        bool ``(B, L)``, and the joint log-probability of these states and the evidence ``(B,)``, up
        to a term per image that does not depend on the states. Ties are resolved as absent.
    """
    emission = torch.stack([torch.zeros_like(evidence), evidence], -1)
    count = evidence.shape[1]
    score = initial + emission[:, 0]  # (B, 2)
    origins = []
    for place in range(1, count):
        best, origin = (score[:, :, None] + transition[place - 1]).max(1)
        score = best + emission[:, place]
        origins.append(origin)
    total, state = score.max(1)
    states = [state]
    for origin in reversed(origins):
        states.append(origin.gather(1, states[-1][:, None])[:, 0])
    return torch.stack(states[::-1], 1).bool(), total

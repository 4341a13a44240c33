"""A pairwise model of the labels of an image: an Ising model conditioned on the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gatlabel.decisions.hmm import checked_probabilities
from gatlabel.errors import InputError
from gatlabel.metrics.inputs import Array
from gatlabel.nn.label_field import joint_score, marginals, mode
from gatlabel.targets import Targets

STEPS = 100  # iterations of the fit


@dataclass(frozen=True)
class PairwiseLabelModel:
    r"""A model of labels that raise or lower each other's log-odds given by the image.

    With logits z of the image and label frequencies π,
    :math:`\log p(y | x) = \sum_i z_i y_i + \sum_{i<j} J_{ij} (y_i - \pi_i)(y_j - \pi_j) + c`.

    Example:
        >>> import torch
        >>> from gatlabel.decisions import PairwiseLabelModel
        >>> coupling = torch.tensor([[0.0, 2.0], [2.0, 0.0]])
        >>> model = PairwiseLabelModel(coupling, rates=torch.tensor([0.2, 0.2]))
        >>> model.decode(torch.tensor([[0.9, 0.45]]))[0].tolist()
        [[True, True]]

    Attributes:
        coupling: J ``(L, L)``, symmetric with a zero diagonal.
        rates: π ``(L,)``.
    """

    coupling: Tensor
    rates: Tensor

    def __post_init__(self) -> None:
        count = len(self.rates)
        coupling, rates = self.coupling.double(), self.rates.double()
        symmetric = coupling.shape == (count, count) and torch.allclose(coupling, coupling.T)
        if not symmetric or bool(coupling.diagonal().any()):
            raise InputError(
                f"coupling: expected a symmetric ({count}, {count}) matrix with zeros on its "
                "diagonal"
            )
        object.__setattr__(self, "coupling", coupling)
        object.__setattr__(self, "rates", rates)

    @classmethod
    def fit(cls, logits: Tensor, targets: Array, shrinkage: float = 3.0) -> PairwiseLabelModel:
        r"""Fits the couplings to the targets, with the image logits as offsets.

        It maximises the pseudo-likelihood of the known targets (Besag, *Statistical analysis of
        non-lattice data*, The Statistician 24, 1975) with the penalty
        :math:`\tfrac{1}{2}` ``shrinkage`` :math:`\sum_{i<j} J_{ij}^2`. An unknown label contributes
        nothing to its neighbours.

        Args:
            logits: ``(N, L)``, of a model that was not trained on these images.
            targets: ``(N, L)`` in [0, 1], -1 for unknown; soft targets from 0.5 are present.
            shrinkage: Above 0.

        Raises:
            InputError: If shapes differ, or the shrinkage is not above 0.
        """
        dense = Targets.of(targets).to_dense()
        if logits.shape != dense.shape or not shrinkage > 0:
            raise InputError(
                f"logits {tuple(logits.shape)}, targets {tuple(dense.shape)}, shrinkage="
                f"{shrinkage}: expected (N, L) twice, and a number above 0"
            )
        known, y = dense >= 0, (dense >= 0.5).double()
        count = known.sum(0).double()
        overall = (y.sum() + 0.5) / (count.sum() + 1)
        rates = ((y.sum(0) + overall) / (count + 1)).clamp(1e-6, 1 - 1e-6)
        return cls(_fitted(logits.detach().double(), y, known, rates, shrinkage), rates)

    def marginals(self, probabilities: Tensor) -> Tensor:
        """Returns the marginal probability of each label: float64 ``(N, L)``.

        They are exact for up to eight labels; for more labels, mean-field iterations approximate
        them.

        Args:
            probabilities: ``(N, L)`` in [0, 1], of the image alone.
        """
        logits = checked_probabilities(probabilities, len(self.rates)).logit(eps=1e-12)
        return marginals(logits, self.coupling, self.rates).sigmoid()

    def decode(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the most probable label set of each image, bool ``(N, L)``, and its score.

        It is exact for up to sixteen labels. For more labels, it is a local optimum found from the
        marginals: no change of a single label makes it more probable.

        Args:
            probabilities: As for :meth:`marginals`.

        Returns:
            The sets, and their log-probabilities up to a term per image ``(N,)``.
        """
        logits = checked_probabilities(probabilities, len(self.rates)).logit(eps=1e-12)
        found = mode(logits, self.coupling, self.rates)
        return found, joint_score(found, logits, self.coupling, self.rates)


@torch.enable_grad()
def _fitted(logits: Tensor, y: Tensor, known: Tensor, rates: Tensor, shrinkage: float) -> Tensor:
    count = len(rates)
    upper = torch.triu_indices(count, count, 1)
    free = torch.zeros(upper.shape[1], dtype=torch.float64, requires_grad=True)
    apart = torch.where(known, y - rates, 0.0)
    optimizer = torch.optim.LBFGS([free], max_iter=STEPS, line_search_fn="strong_wolfe")

    def symmetric() -> Tensor:
        half = torch.zeros(count, count, dtype=torch.float64)
        half = half.index_put((upper[0], upper[1]), free)
        return half + half.T

    def loss() -> Tensor:
        optimizer.zero_grad()
        each = F.binary_cross_entropy_with_logits(
            logits + apart @ symmetric(), y, weight=known.double(), reduction="sum"
        )
        total = each + shrinkage / 2 * free.square().sum()
        total.backward()
        return total

    if count > 1 and bool(known.any()):
        optimizer.step(loss)
    return symmetric().detach()

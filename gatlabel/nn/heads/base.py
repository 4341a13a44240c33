"""What every head is: features in, one logit per label out."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from gatlabel.nn.heads.protocols import AuxiliaryLosses, Foldable, LinearInit
from gatlabel.nn.identity import HasIdentity, Identity
from gatlabel.nn.pooling import with_positions
from gatlabel.values import whole_number

if TYPE_CHECKING:
    from gatlabel.graph import LabelGraph


MOST = 2**31 - 1  # of features, and of labels
#: Options that a state need not share: they do not change logits, or its tensors show them.
NOT_IDENTITY = ("in_features", "node_features", "dropout", "similarity_weight")


class Head(HasIdentity, ABC):
    """Base of all heads: ``forward``, ``config`` and ``param_groups``.

    What only some heads can do is an optional protocol (:mod:`gatlabel.nn.heads.protocols`).

    Args:
        in_features: Feature width D.
        labels: The L label names, or their number where the names are not known.

    Attributes:
        in_features: Feature width D.
        out_features: Number of labels L (the name ``nn.Linear`` uses).
        labels: The label names, in the order of the logits; ``None`` where they are not known.
        needs_map: Whether ``forward`` takes the feature map ``(B, D, h, w)`` instead of pooled
            features ``(..., D)``.
        kind: The name of the head in :data:`gatlabel.nn.HEADS`.
    """

    needs_map: ClassVar[bool] = False
    kind: ClassVar[str]

    def __init__(self, in_features: int, labels: int | LabelSet) -> None:
        super().__init__()
        self.labels = labels if isinstance(labels, LabelSet) else None
        count = len(labels) if isinstance(labels, LabelSet) else labels
        need = "a head needs at least one feature and one label: "
        self.in_features = whole_number(in_features, f"{need}in_features", 1, MOST)
        self.out_features = whole_number(count, f"{need}labels", 1, MOST)

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(..., D)`` -> logits ``(..., L)``, as ``nn.Linear`` has it.

        This is the forward of a :class:`Foldable` head; all others have one of their own.
        """
        return F.linear(features, *cast(Foldable, self).classifier())

    @property
    def config(self) -> dict[str, Any]:
        """The options, as primitives, that make a head of the same shape (the graph apart)."""
        return {"in_features": self.in_features}

    def identity(self) -> Identity:
        """Labels, and all options that change logits: a state of others is refused."""
        options = {name: v for name, v in self.config.items() if name not in NOT_IDENTITY}
        labels = None if self.labels is None else list(self.labels)
        return {"labels": labels, "head": self.kind, **options}

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Returns the parameters that an optimiser should treat in their own way, by role.

        ``linear``: a linear classifier of features; a convex problem, which learns at rates at
        which other parts would not. ``residual``: how far the head leaves that classifier, for a
        weight decay of their own. ``auxiliary``: what learns from further losses only, to be
        clipped apart. A parameter may have two roles, or none.
        """
        linear, residual = [], []
        if isinstance(self, LinearInit):
            own = (self.linear_weight(), self.label_bias())
            linear = [p for p in own if isinstance(p, nn.Parameter)]
            residual = self.residual_parameters()
        auxiliary = self.auxiliary_parameters() if isinstance(self, AuxiliaryLosses) else []
        return {"linear": linear, "residual": residual, "auxiliary": auxiliary}

    def label_bias(self) -> nn.Parameter | None:
        """The learned biases of the labels ``(L,)``, or ``None`` for a head without."""
        bias = getattr(self, "bias", None)
        return bias if isinstance(bias, nn.Parameter) else None

    @torch.no_grad()
    def init_bias(self, base_rates: Tensor) -> None:
        """Starts the biases, if there are any, at the log-odds of the labels' base rates.

        Then the first steps need not teach every label that it is rare (Lin et al., *Focal loss
        for dense object detection*, ICCV 2017, arXiv:1708.02002, section 3.3).

        Args:
            base_rates: ``(L,)`` in (0, 1), as :attr:`gatlabel.graph.Cooccurrence.base_rates`.

        Raises:
            InputError: If they are no ``L`` probabilities between 0 and 1.
        """
        if (
            base_rates.shape != (self.out_features,)
            or not ((base_rates > 0) & (base_rates < 1)).all()
        ):
            raise InputError(f"base rates: expected {self.out_features} values above 0 and below 1")
        bias = self.label_bias()
        if bias is not None:
            bias.copy_(base_rates.logit())

    def extra_repr(self) -> str:
        """What ``repr`` prints: every option of the head."""
        options = {**self.config, "labels": self.out_features}
        return ", ".join(f"{name}={value}" for name, value in options.items())


class MapHead(Head):
    """A head that looks at the feature map itself: it decides per label which positions count.

    Shapes:
        features ``(B, D, h, w)`` -> logits ``(B, L)``.
    """

    needs_map = True

    def positions(self, features: Tensor) -> Tensor:
        """Returns the map as one row per position, ``(B, D, h, w)`` -> ``(B, h·w, D)``.

        Raises:
            InputError: If the features are no map of the head's width, or it has no position.
        """
        if features.ndim != 4 or features.shape[1] != self.in_features:
            raise InputError(
                f"the head {self.kind!r} takes feature maps (B, {self.in_features}, h, w), got "
                f"{tuple(features.shape)}; a pooled vector is a map of 1 x 1"
            )
        # a copy where the map is not channels-last: every product below wants rows of channels
        return with_positions(features).flatten(2).transpose(1, 2).contiguous()


def check_width(hidden: int, heads: int) -> None:
    """Checks that a total width can be split over attention heads.

    Raises:
        InputError: If ``hidden`` is no multiple of ``heads``, or either is below 1.
    """
    if heads < 1 or hidden < heads or hidden % heads:
        raise InputError(
            f"hidden={hidden} is the total width over heads={heads}: it must be a multiple"
        )


def check_dropout(dropout: float) -> None:
    """Checks the probability of dropping a value in training.

    Raises:
        InputError: If it is not at least 0 and below 1.
    """
    if not 0 <= dropout < 1:
        raise InputError(f"dropout={dropout} is a probability: at least 0, below 1")


def given_labels(
    kind: str, labels: int | Sequence[str] | None, graph: LabelGraph | None
) -> int | LabelSet:
    """Returns the labels of a head that needs no graph but may take its labels from one.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given, or the names are no
            label names.
    """
    if (labels is None) == (graph is None):
        raise InputError(f"a {kind} needs its labels: give labels=… or graph=…, one of them")
    if labels is None:
        assert graph is not None
        return graph.labels
    if isinstance(labels, str | Sequence):
        return labels if isinstance(labels, LabelSet) else LabelSet(labels)
    return labels

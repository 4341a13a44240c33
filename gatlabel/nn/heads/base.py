"""The base class of heads, which map features to one logit per label."""

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


MOST = 2**31 - 1  # limit of both widths
#: Options that may differ from the state's: they do not change logits, or tensors reveal them.
NOT_IDENTITY = ("in_features", "node_features", "dropout", "similarity_weight")


class Head(HasIdentity, ABC):
    """Base of all heads: ``forward``, ``config`` and ``param_groups``.

    Abilities that only some heads have are optional protocols (:mod:`gatlabel.nn.heads.protocols`).

    Args:
        in_features: Feature width D.
        labels: The L label names, or their number if the names are unknown.

    Attributes:
        in_features: Feature width D.
        out_features: Number of labels L (named as in ``nn.Linear``).
        labels: The label names in the order of the logits, or ``None`` if unknown.
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
        """Maps features ``(..., D)`` to logits ``(..., L)``, as ``nn.Linear`` does.

        This is the forward of a :class:`Foldable` head; all others override it.
        """
        return F.linear(features, *cast(Foldable, self).classifier())

    @property
    def config(self) -> dict[str, Any]:
        """Options, as JSON values, that create a head of the same shape (without the graph)."""
        return {"in_features": self.in_features}

    def identity(self) -> Identity:
        """Labels and all options that change logits; a state with others is refused."""
        options = {name: v for name, v in self.config.items() if name not in NOT_IDENTITY}
        labels = None if self.labels is None else list(self.labels)
        return {"labels": labels, "head": self.kind, **options}

    def param_groups(self) -> dict[str, list[nn.Parameter]]:
        """Returns by role the parameters that an optimiser should treat separately.

        ``linear``: a linear classifier of features, a convex problem that allows larger learning
        rates than other parts. ``residual``: the head's deviation from that classifier, with its
        own weight decay. ``auxiliary``: parameters trained by auxiliary losses only, whose
        gradients are clipped separately. A parameter may have two roles, or none.
        """
        linear, residual = [], []
        if isinstance(self, LinearInit):
            own = (self.linear_weight(), self.label_bias())
            linear = [p for p in own if isinstance(p, nn.Parameter)]
            residual = self.residual_parameters()
        auxiliary = self.auxiliary_parameters() if isinstance(self, AuxiliaryLosses) else []
        return {"linear": linear, "residual": residual, "auxiliary": auxiliary}

    def label_bias(self) -> nn.Parameter | None:
        """The learned biases of the labels ``(L,)``, or ``None`` if the head has none."""
        bias = getattr(self, "bias", None)
        return bias if isinstance(bias, nn.Parameter) else None

    @torch.no_grad()
    def init_bias(self, base_rates: Tensor) -> None:
        """Initialises the biases, if any, with the log-odds of the labels' base rates.

        The first steps then need not learn that each label is rare (Lin et al., *Focal loss for
        dense object detection*, ICCV 2017, arXiv:1708.02002, section 3.3).

        Args:
            base_rates: ``(L,)`` in (0, 1), as :attr:`gatlabel.graph.Cooccurrence.base_rates`.

        Raises:
            InputError: If they are not ``L`` values strictly between 0 and 1.
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
        """Returns every option of the head, for ``repr``."""
        options = {**self.config, "labels": self.out_features}
        return ", ".join(f"{name}={value}" for name, value in options.items())


class MapHead(Head):
    """A head that works on the feature map and weighs positions for each label.

    Shapes:
        features ``(B, D, h, w)`` -> logits ``(B, L)``.
    """

    needs_map = True

    def positions(self, features: Tensor) -> Tensor:
        """Returns the map as one row per position, ``(B, D, h, w)`` -> ``(B, h·w, D)``.

        Raises:
            InputError: If the features are not a map of the head's width, or it has no positions.
        """
        if features.ndim != 4 or features.shape[1] != self.in_features:
            raise InputError(
                f"the head {self.kind!r} takes feature maps (B, {self.in_features}, h, w), got "
                f"{tuple(features.shape)}; a pooled vector is a map of 1 x 1"
            )
        # copies unless the map is channels-last: all products below need contiguous channels
        return with_positions(features).flatten(2).transpose(1, 2).contiguous()


def check_width(hidden: int, heads: int) -> None:
    """Checks that a total width can be divided among attention heads.

    Raises:
        InputError: If ``hidden`` is not a multiple of ``heads``, or either is below 1.
    """
    if heads < 1 or hidden < heads or hidden % heads:
        raise InputError(
            f"hidden={hidden} is the total width over heads={heads}: make it a multiple of heads"
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
    """Returns the labels of a head that needs no graph but accepts one for its labels.

    Raises:
        InputError: If neither or both of ``labels`` and ``graph`` are given, or the names are
            invalid.
    """
    if (labels is None) == (graph is None):
        raise InputError(f"a {kind} needs its labels: give either labels=… or graph=…")
    if labels is None:
        assert graph is not None
        return graph.labels
    if isinstance(labels, str | Sequence):
        return labels if isinstance(labels, LabelSet) else LabelSet(labels)
    return labels

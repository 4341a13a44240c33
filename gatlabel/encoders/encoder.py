"""The encoder class: a network without classifier, with its preprocessing."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from gatlabel.encoders.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from gatlabel.encoders.sizes import MOST_PIXELS
from gatlabel.encoders.stages import MOST_STAGES, Stages, find_stages
from gatlabel.errors import InputError, first_line
from gatlabel.nn.constants import HoldsConstants
from gatlabel.nn.modes import evaluating
from gatlabel.values import finite_number, shown, whole_number

OWN_MODULE = "module"


class Encoder(HoldsConstants):
    """A network from normalised images to a feature map, with its preprocessing.

    Attributes:
        name: Its name in :func:`gatlabel.encoders.create_encoder`; ``"module"`` for your own
            network.
        out_features: D, the channels of the map.
        preprocessing: Preprocessing of images in evaluation. Its size is the preferred one; other
            sizes work too.
        stride: Stride of the map in pixels if the network was truncated, otherwise ``None``.
        stages: Number of feature maps returned: the last one and those of the stages before.

    Args:
        name: See the attribute.
        trunk: Maps ``(B, 3, H, W)`` float to ``(B, D, h, w)``, or to ``(B, D)``, which is read as
            a map of one cell.
        out_features: See the attribute.
        image_size: The preferred side of an image in pixels.
        mean: Mean of each RGB channel, pixels scaled to 0..1.
        std: Standard deviation of each RGB channel, pixels scaled to 0..1.
        stride: See the attribute; the trunk must already end there.
        stages: See the attribute; above 1 for a chain of layers or a timm network.

    Raises:
        InputError: If a value is out of range, or the trunk has fewer stages.

    Shapes:
        - images: ``(B, 3, H, W)`` float, normalised by :meth:`normalize`
        - output: ``(B, D, h, w)``; with several stages a tuple of such maps, the last stage first
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
        stride: int | None = None,
        stages: int = 1,
    ) -> None:
        super().__init__()
        mean, std = (v.tolist() if isinstance(v, Tensor) else v for v in (mean, std))
        if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
            raise InputError(
                f"encoder {name!r}: mean and std are three numbers each (RGB, pixels scaled to "
                f"0..1), std above 0; got {shown(tuple(mean))} and {shown(tuple(std))}"
            )
        what = f"encoder {name!r}: "
        self.name = name
        self.trunk = trunk
        self.out_features = out_features
        self.stride = stride
        self.stages = whole_number(stages, f"{what}stages", 1, MOST_STAGES)
        self._found: dict[int, Stages] = {}  # by number: finding them runs the network
        self._stages = self._find_stages(self.stages)
        self.preprocessing = Preprocessing(
            whole_number(image_size, f"{what}image_size", 1, MOST_PIXELS),
            mean=tuple(finite_number(value, f"{what}mean") for value in mean),
            std=tuple(finite_number(value, f"{what}std") for value in std),
        )
        self.frozen = False
        # in units of bytes, so that normalising is one subtraction and one division; not saved with
        # the weights, since the config contains them
        self._mean: Tensor
        self._std: Tensor
        for part in ("mean", "std"):
            value = 255 * torch.tensor(getattr(self, part), device="cpu")
            self.constant(f"_{part}", value.view(1, 3, 1, 1))

    @property
    def image_size(self) -> int:
        """The preferred side of an image in pixels."""
        return self.preprocessing.size

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each RGB channel, pixels scaled to 0..1."""
        return self.preprocessing.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each RGB channel, pixels scaled to 0..1."""
        return self.preprocessing.std

    def normalize(self, images: Tensor) -> Tensor:
        """Converts pixels to the network's input, on the device of the encoder.

        Args:
            images: uint8 ``(B, 3, H, W)``, RGB, 0 to 255.

        Returns:
            float ``(B, 3, H, W)``: ``(pixel / 255 - mean) / std``.

        Raises:
            InputError: If the images are not a uint8 batch with three channels.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise InputError(
                f"images to normalise must be uint8 (B, 3, H, W), got {images.dtype} "
                f"{tuple(images.shape)}"
            )
        pixels = images.to(self._mean.device).to(self._mean.dtype)  # bytes are moved, not floats
        mean, std = self._mean, self._std
        side_by_side = torch.channels_last
        if (
            pixels.device.type == "cpu"
            and not torch.compiler.is_compiling()
            and pixels.is_contiguous(memory_format=side_by_side)
        ):
            # A row of mean pixels: repeating three numbers takes five times as long.
            shape = (1, 3, 1, pixels.shape[3])
            mean, std = (
                x.expand(shape).contiguous(memory_format=side_by_side) for x in (mean, std)
            )
        return pixels.sub_(mean).div_(std)

    def of_images(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns the map, or one of each stage, of images uint8 or normalised ``(B, 3, H, W)``."""
        if images.dtype == torch.uint8:
            images = self.normalize(images)
        found: Tensor | tuple[Tensor, ...] = self(
            images.contiguous(memory_format=torch.channels_last)
        )
        return found

    @property
    def pooled_features(self) -> int:
        """Width of the pooled features: the channels of all stages together."""
        return sum(self.stage_widths)

    @property
    def stage_widths(self) -> tuple[int, ...]:
        """Channels of the map of each stage, the last stage first."""
        return (self.out_features,) if self._stages is None else self._stages.widths

    def with_stages(self, stages: int) -> Encoder:
        """Returns this encoder, layers and all, with another number of stages.

        Raises:
            InputError: If the network has fewer, or they cannot be determined.
        """
        other = copy.copy(self)  # shares the layers
        other.stages, other._stages = stages, self._find_stages(stages)
        return other

    def _find_stages(self, count: int) -> Stages | None:
        if count > 1 and count not in self._found:
            self._found[count] = find_stages(self.trunk, count, f"encoder {self.name!r}")
        return self._found.get(count)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns the feature map ``(B, D, h, w)`` of normalised images ``(B, 3, H, W)``.

        With several stages it is a tuple of one map per stage, the last stage first.
        """
        if self._stages is not None:
            return tuple(map(_as_map, self._stages.run(self.trunk, images)))
        return _as_map(self.trunk(images))

    def require_size(self, size: int) -> None:
        """Runs the network once on a black image of a size, as small ones may shrink to nothing.

        Raises:
            InputError: If the network fails on images of this size.
        """
        try:
            feature_width(self.trunk, size, f"encoder {self.name!r}")
        except Exception as error:  # networks raise various errors for inputs
            raise InputError(
                f"image_size={size}: encoder {self.name!r} does not take images of {size} pixels "
                f"({first_line(error)})"
            ) from error

    def train(self, mode: bool = True) -> Self:
        """Sets training mode, except in parts that :func:`gatlabel.encoders.freeze` froze."""
        super().train(mode)
        for module in self.modules():
            if getattr(module, "frozen", False):
                for part in module.modules():
                    part.training = False
        return self

    @property
    def config(self) -> dict[str, Any]:
        """Plain values from which ``create_encoder(**config)`` creates the same encoder again.

        Weights are not included. Your own network cannot be created from values: its config only
        describes it, and loading the model requires passing the module.
        """
        config = {
            "name": self.name,
            "out_features": self.out_features,
            "image_size": self.image_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "stride": self.stride,
        }
        # omitted if 1, as in files of earlier versions
        return config if self.stages == 1 else {**config, "stages": self.stages}

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        out_features: int | None = None,
        *,
        image_size: int = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        stages: int = 1,
    ) -> Encoder:
        """Wraps any network without classifier.

        Args:
            module: Maps ``(B, 3, H, W)`` to a map ``(B, D, h, w)`` or to vectors ``(B, D)``.
            out_features: D; by default found by running the module once.
            image_size: The preferred side of an image in pixels.
            mean: Mean of each RGB channel used in training the network, pixels scaled to 0..1.
            std: Standard deviation of each RGB channel, likewise.
            stages: Number of feature maps; above 1 for ``nn.Sequential`` or a timm network.

        Raises:
            InputError: If the module returns something else, or has fewer stages.
        """
        if out_features is None:
            out_features = feature_width(module, image_size, f"module {type(module).__name__}")
        return cls(
            OWN_MODULE,
            module,
            out_features,
            image_size=image_size,
            mean=mean,
            std=std,
            stages=stages,
        )

    def extra_repr(self) -> str:
        """Shows name, width and preferred size."""
        stages = "" if self.stages == 1 else f", stages={self.stages}"
        return (
            f"{self.name!r}, out_features={self.out_features}, image_size={self.image_size}{stages}"
        )


def _as_map(features: Tensor) -> Tensor:
    return features[:, :, None, None] if features.ndim == 2 else features


@torch.no_grad()
def feature_width(module: nn.Module, size: int, what: str, needs_map: bool = False) -> int:
    """Finds D by running a network on one black image, without changing its training mode.

    Args:
        module: Maps ``(1, 3, size, size)`` to a map or a vector.
        size: Side of the image in pixels.
        what: Name of the network in error messages.
        needs_map: Whether the output must be a map whose channel axis has the width timm states.

    Raises:
        InputError: If the network returns something else.
    """
    first = next(module.parameters(), torch.empty(0))
    with evaluating(module):
        output = module(torch.zeros(1, 3, size, size, dtype=first.dtype, device=first.device))
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    widths = [getattr(module, name, None) for name in ("num_features", "head_hidden_size")]
    transposed = len(shape) == 4 and shape[1] not in widths  # timm's transformers: (B, h, w, D)
    if not isinstance(output, Tensor) or output.ndim not in (2, 4) or (needs_map and transposed):
        raise InputError(
            f"{what} returns {shape} for one image, expected a map (1, D, h, w) or a vector "
            "(1, D): take a CNN without its classifier"
        )
    return int(output.shape[1])

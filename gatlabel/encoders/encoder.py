"""What an encoder is: a network without classifier, and all one must know to feed it."""

from __future__ import annotations

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
    """A network from normalised images to a feature map, with all one must know to feed it.

    Attributes:
        name: What :func:`gatlabel.encoders.create_encoder` calls it; ``"module"`` for a network
            of one's own.
        out_features: D, the channels of the map.
        preprocessing: What evaluation does to images first. The size is the preferred one; other
            sizes work too.
        stride: Pixels a cell of the map where the network was made to end early, else ``None``.
        stages: How many maps it returns: its own, and those of the stages before.

    Args:
        name: See the attribute.
        trunk: From ``(B, 3, H, W)`` float to ``(B, D, h, w)``, or to ``(B, D)``, which is then
            read as a map of one cell.
        out_features: See the attribute.
        image_size: The preferred side of an image in pixels.
        mean: Of each RGB channel, pixels scaled to 0..1.
        std: The same for the standard deviation.
        stride: See the attribute; the trunk ends there already.
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
        self._stages: Stages | None = None
        if self.stages > 1:
            self._stages = find_stages(trunk, self.stages, f"encoder {name!r}")
        self.preprocessing = Preprocessing(
            whole_number(image_size, f"{what}image_size", 1, MOST_PIXELS),
            mean=tuple(finite_number(value, f"{what}mean") for value in mean),
            std=tuple(finite_number(value, f"{what}std") for value in std),
        )
        self.frozen = False
        # in units of bytes, so that normalising is one subtraction and one division; not saved
        # with the weights, since the config holds them
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
        """Turns pixels into the network's input, on the device the encoder is on.

        Args:
            images: uint8 ``(B, 3, H, W)``, RGB, 0 to 255.

        Returns:
            float ``(B, 3, H, W)``: ``(pixel / 255 - mean) / std``.

        Raises:
            InputError: If the images are no uint8 batch of three channels.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise InputError(
                f"images to normalise are uint8 (B, 3, H, W), got {images.dtype} "
                f"{tuple(images.shape)}"
            )
        pixels = images.to(self._mean.device).to(self._mean.dtype)  # bytes travel, not floats
        mean, std = self._mean, self._std
        side_by_side = torch.channels_last
        if (
            pixels.device.type == "cpu"
            and not torch.compiler.is_compiling()
            and pixels.is_contiguous(memory_format=side_by_side)
        ):
            # A row of pixels of the mean: to repeat three numbers takes five times as long.
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
        """Width of the pooled features: the channels of all stages."""
        return self.out_features if self._stages is None else sum(self._stages.widths)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Returns the feature map ``(B, D, h, w)`` of normalised images ``(B, 3, H, W)``.

        With several stages it is a tuple of one map a stage, the last stage first.
        """
        if self._stages is not None:
            return tuple(map(_as_map, self._stages.run(self.trunk, images)))
        return _as_map(self.trunk(images))

    def require_size(self, size: int) -> None:
        """Runs the network once on a black image of a size, since small ones shrink to nothing.

        Raises:
            InputError: If it does not take them.
        """
        try:
            feature_width(self.trunk, size, f"encoder {self.name!r}")
        except Exception as error:  # whatever a network says of its input
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
        """Plain values from which ``create_encoder(**config)`` makes the same encoder again.

        Weights are not part of it. A network of one's own cannot be made from values: its config
        says what it was, and whoever loads it has to bring the module.
        """
        config = {
            "name": self.name,
            "out_features": self.out_features,
            "image_size": self.image_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "stride": self.stride,
        }
        # left out where it is 1, as earlier versions wrote it
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
        """Makes an encoder of any network without classifier.

        Args:
            module: From ``(B, 3, H, W)`` to a map ``(B, D, h, w)`` or to vectors ``(B, D)``.
            out_features: D; found by running the module once when not given.
            image_size: The preferred side of an image in pixels.
            mean: Of each RGB channel, pixels scaled to 0..1, as the network was trained.
            std: The same for the standard deviation.
            stages: How many maps it returns; above 1 for ``nn.Sequential`` or a timm network.

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
    """Finds D by running a network on one black image; its modes stay as they were.

    Args:
        module: From ``(1, 3, size, size)`` to a map or a vector.
        size: In pixels.
        what: Which network, for the error message.
        needs_map: Whether a map must have the width timm states, in the place of channels.

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

"""The part of a saved model that describes its encoder; recreating it reads no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from gatlabel.encoders.creation import create_encoder
from gatlabel.encoders.encoder import Encoder
from gatlabel.encoders.sizes import MOST_PIXELS
from gatlabel.encoders.stages import MOST_STAGES
from gatlabel.errors import InputError, unknown_choice
from gatlabel.values import line_of_text, shown, three_numbers, whole_number

NAMES = ("name", "out_features", "image_size", "mean", "std", "stride", "stages")
MOST = 2**16  # channels


@dataclass(frozen=True)
class EncoderDescription:
    """The values of :attr:`Encoder.config`, checked.

    Attributes:
        name: See :class:`Encoder`, as for the other attributes.
        out_features: D.
        image_size: In pixels.
        mean: Mean of each RGB channel.
        std: Standard deviation of each RGB channel.
        stride: Stride in pixels, or ``None``.
        stages: Number of feature maps.
    """

    name: str
    out_features: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stride: int | None
    stages: int

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Reads the values from a model file.

        Raises:
            InputError: If a value is missing, out of range or unknown; encoder weights are not
                part of a description.
        """
        for name in content:
            if name not in NAMES:
                raise unknown_choice("value of an encoder", name, NAMES)
        stride = content.get("stride")
        return cls(
            line_of_text(content.get("name"), "encoder.name"),
            whole_number(content.get("out_features"), "encoder.out_features", 1, MOST),
            whole_number(content.get("image_size"), "encoder.image_size", 1, MOST_PIXELS),
            three_numbers(content.get("mean"), "encoder.mean"),
            three_numbers(content.get("std"), "encoder.std", above_zero=True),
            None if stride is None else whole_number(stride, "encoder.stride", 1, MOST_PIXELS),
            whole_number(content.get("stages", 1), "encoder.stages", 1, MOST_STAGES),
        )

    def make(self) -> Encoder:
        """Creates the encoder with random weights; nothing is downloaded or read.

        Raises:
            InputError: If there is no such network, or it does not match the description.
        """
        return create_encoder(
            self.name,
            out_features=self.out_features,
            image_size=self.image_size,
            mean=self.mean,
            std=self.std,
            stride=self.stride,
            stages=self.stages,
        )

    def require(self, encoder: Encoder) -> None:
        """Checks that a user's network has the same inputs and outputs as the saved one.

        Raises:
            InputError: If width, mean, std or number of stages differ.
        """
        for name in ("out_features", "mean", "std", "stages"):
            theirs, ours = getattr(encoder, name), getattr(self, name)
            if theirs != ours:
                raise InputError(
                    f"encoder.{name}={shown(ours)}, but the given encoder has {shown(theirs)}"
                )

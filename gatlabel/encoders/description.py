"""What of an encoder a saved model says: enough to make it again, and nothing that reads files."""

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
        name: See :class:`Encoder`, as are the others.
        out_features: D.
        image_size: In pixels.
        mean: Of each RGB channel.
        std: The same.
        stride: Pixels a cell, or ``None``.
        stages: How many maps.
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
        """Reads the values of a file.

        Raises:
            InputError: If one is missing, out of range or unknown; weights of encoders are no part
                of a description.
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
        """Makes the encoder with random weights; nothing is downloaded or read.

        Raises:
            InputError: If there is no such network, or it is another than described.
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
        """Checks that a network of one's own is fed as the saved one was.

        Raises:
            InputError: If width, mean, std or number of stages differ.
        """
        for name in ("out_features", "mean", "std", "stages"):
            theirs, ours = getattr(encoder, name), getattr(self, name)
            if theirs != ours:
                raise InputError(
                    f"encoder.{name}={shown(ours)}, but the encoder that was given has "
                    f"{shown(theirs)}"
                )

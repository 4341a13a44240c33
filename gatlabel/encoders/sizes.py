"""Limits of image sizes, and how images are resized for an encoder."""

from __future__ import annotations

from typing import Literal, get_args

MOST_PIXELS = 8192  # side of an image
SAFE_PIXELS = 96  # a side that every named network accepts

Resize = Literal["squash", "pad", "crop"]
RESIZES: tuple[str, ...] = get_args(Resize)
#: Colour of ``pad``: the mean colour of ImageNet, 0 to 255, about 0 after normalisation.
MEAN_COLOUR = (124, 116, 104)
LONGEST = 16  # largest aspect ratio that ``crop`` resizes

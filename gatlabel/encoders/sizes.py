"""How large images may be, and how they are brought to the size of an encoder."""

from __future__ import annotations

from typing import Literal, get_args

MOST_PIXELS = 8192  # side of an image
SAFE_PIXELS = 96  # a side that every network by name was run with when it was made

Resize = Literal["squash", "pad", "crop"]
RESIZES: tuple[str, ...] = get_args(Resize)
#: What ``pad`` adds: the mean colour of ImageNet, 0 to 255, which is about 0 after normalisation.
MEAN_COLOUR = (124, 116, 104)
LONGEST = 16  # of an image that ``crop`` resizes: the longer side, in shorter sides

"""What the option ``similarity`` may be."""

from __future__ import annotations

import re

from gatlabel.errors import InputError

#: Words of the option that choose, or share nothing; any other text is a choice made before.
CHOOSE, NOTHING = "auto", "none"
_SHARE = r"0\.\d+|\d(?:\.\d+)?e-\d+"
_NUMBER = r"\d+(?:\.\d+)?(?:e[-+]?\d+)?"
PART = re.compile(rf"(seen|unseen):([a-z]+)=({_SHARE})|map=({_NUMBER})")


def check_text(text: str) -> None:
    """Checks what the option may be.

    Raises:
        InputError: If it is none of its words, and no text of :func:`text_of`.
    """
    if text not in (CHOOSE, NOTHING) and not (text and all(map(PART.fullmatch, text.split()))):
        raise InputError(
            f"similarity={text}: expected auto, none, or a choice as config.yaml has it, such as "
            "seen:names=0.2 unseen:names=0.8"
        )

"""What the files of a benchmark's scores are called: no two runs alike, on any file system."""

from __future__ import annotations

import hashlib
import re

from gatlabel.experiments.contenders import Contender
from gatlabel.experiments.outcome import Setting

LONGEST = 60  # characters of a contender's name; file systems allow 255 bytes in all


def score_name(who: Contender, where: Setting, seed: int) -> str:
    """Returns the name of the file of a run.

    What a file system may not tell apart or not allow (slashes, capitals, a share that was
    rounded, a long path) is told by a hash of the exact run.
    """
    shares = [_exact(share) for share in (where.fraction, where.hidden)]
    plain = re.fullmatch(r"[a-z0-9~._-]+", who.key) and len(who.key) <= LONGEST
    if plain and "~".join(shares) == where.key:
        return old_score_name(who, where, seed)
    digest = hashlib.sha256("~".join([who.key, *shares]).encode()).hexdigest()[:12]
    return f"{_plain(who)[:LONGEST]}~{where.key}~{seed}~{digest}.npz"


def old_score_name(who: Contender, where: Setting, seed: int) -> str:
    """Returns the name that older versions gave the file, which other runs may have had too."""
    return f"{_plain(who)}~{where.key}~{seed}.npz"


def _plain(who: Contender) -> str:
    return "".join(c if c.isalnum() or c in "~.-_" else "+" for c in who.key)


def _exact(share: float | str) -> str:
    return share if isinstance(share, str) else repr(float(share)).removesuffix(".0")

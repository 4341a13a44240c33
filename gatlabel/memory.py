"""How the C library gives memory back, which decides how fast a network runs on a CPU.

glibc maps every block above 32 MiB anew, and unmaps it when it is freed. Feature maps are
such blocks: each layer then waits for the system to hand out, and to clear, the pages that the
layer before has just returned. Kept, they are at hand. docs/studies/memory.md has the figures.
"""

from __future__ import annotations

import ctypes
import sys

# <malloc.h>; both take an int
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT = 1 << 30  # bytes of a block; larger ones are still given back
_MOST_KEPT = 2**31 - 1  # bytes at the top of the heap


def keep_freed_memory() -> bool:
    """Lets this process keep the memory that it frees, for the next block of that size.

    The commands do so. In a program of one's own, call it once before a network is trained or run
    on a CPU. It does not change what is computed. The process holds as much memory as it ever
    used at once, and somewhat more.

    Returns:
        Whether there was something to set: only glibc has these settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl, or another allocator
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, _MOST_KEPT))

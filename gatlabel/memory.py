"""Memory release settings of the C library, which affect the speed of networks on a CPU.

glibc maps every block above 32 MiB separately and unmaps it when it is freed. Feature maps are such
blocks: each layer waits for the system to map and clear the pages that the previous layer has just
released. Kept, they are available at once. docs/studies/memory.md has measurements.
"""

from __future__ import annotations

import ctypes
import sys

# <malloc.h>; both arguments are int
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT = 1 << 30  # bytes of a block; larger ones are still released
_MOST_KEPT = 2**31 - 1  # bytes at the top of the heap


def keep_freed_memory() -> bool:
    """Makes this process keep freed memory for later blocks of the same size.

    The commands call it. In your own program, call it once before training or running a network on
    a CPU. Results do not change. The process then holds slightly more memory than its peak use.

    Returns:
        Whether the settings were applied: only glibc has them.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl, or another allocator
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, _MOST_KEPT))

"""Memory that is kept is not mapped again."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import torch
from gatlabel.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
torch.ones(64 << 20, dtype=torch.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(64 << 20, dtype=torch.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word: str) -> int:
    words = [sys.executable, "-c", CODE, word]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
def test_blocks_of_64_mib_are_mapped_once() -> None:
    pages = (64 << 20) // 4096  # of one block; huge ones count less
    usual, kept = faults("usual"), faults("keep")
    if usual < 4 * pages:
        pytest.skip("this system maps huge pages, or uses another allocator")
    assert kept < usual / 2

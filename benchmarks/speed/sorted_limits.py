"""How near to the truth kernel *sorted* stays in float32, over the spread of the scores.

    python benchmarks/speed/sorted_limits.py [--quick]

The kernel leaves float32 above a spread of 100; here it is held to it. Beside it the dense kernel,
in float32 too. Source and target scores are normal, scaled to the spread (range of the one plus
range of the other); 3,000 labels, 4 heads of 64 values, slope 0.2. The truth is float64 by rows
from the same float32 numbers. An error is the largest difference over the largest entry of the
truth, which is stated too: of gradients that vanish it is small. Errors, so a busy machine does
not matter; a minute. Writes benchmarks/results/sorted-limits.json.
"""

from __future__ import annotations

import math
from unittest import mock

import torch
from measuring import RESULTS, Row, arguments
from torch import Tensor
from torch.nn import functional as F

from gatlabel.experiments.environment import environment
from gatlabel.files import write_json
from gatlabel.nn.kernels import Adjacency, attend, spread

SPREADS, SEEDS, SLOPE = (10, 100, 800, 1_500), (0, 1, 2), 0.2
NAMES = ("values", "source_scores", "target_scores", "value_gradients")
FLOAT32 = {torch.float32: math.inf, torch.float64: math.inf}


def draw(width: float, seed: int, labels: int, heads: int, channels: int) -> list[Tensor]:
    """Source and target scores ``(H, L)`` of that spread, values and a gradient ``(H, L, C)``."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, heads, labels, generator=generator)
    scores *= width / spread(*scores)
    wide = torch.randn(2, heads, labels, channels, generator=generator)
    return [*scores, *wide]


def truth(given: list[Tensor]) -> list[Tensor]:
    """Values and the three gradients in float64, from the definition, head by head."""
    heads = []
    for numbers in zip(*(x.double() for x in given), strict=True):
        s, t, v = own = [x.requires_grad_() for x in numbers[:3]]
        out = F.leaky_relu(t[:, None] + s, SLOPE).softmax(1) @ v
        heads.append([out.detach(), *torch.autograd.grad(out, own, numbers[3])])
    return [torch.stack(found) for found in zip(*heads, strict=True)]


def computed(given: list[Tensor], kernel: str) -> list[Tensor]:
    """The same in float32 by a kernel."""
    own = [x.clone().requires_grad_() for x in given[:3]]
    graph = Adjacency(None, given[0].shape[1])
    with mock.patch("gatlabel.nn.kernels.sorted_sums.SPREAD_LIMIT", FLOAT32):
        out = attend(graph, *own, negative_slope=SLOPE, kernel=kernel)
        return [out.detach(), *torch.autograd.grad(out, own, given[3])]


def errors(width: float, seed: int, labels: int, heads: int = 4, channels: int = 64) -> Row:
    """One draw: the errors of both kernels, and the largest entry of each true result."""
    given = draw(width, seed, labels, heads, channels)
    wanted = truth(given)
    found: Row = {"spread": width, "seed": seed}
    for kernel in ("sorted", "dense"):
        pairs = zip(NAMES, computed(given, kernel), wanted, strict=True)
        found[kernel] = {n: float((a - b).abs().max() / b.abs().max()) for n, a, b in pairs}
    largest = {n: float(b.abs().max()) for n, b in zip(NAMES, wanted, strict=True)}
    return {**found, "largest": largest}


def main() -> None:
    torch.set_num_threads(1)
    asked = arguments(__doc__)
    rows = []
    for width in SPREADS:
        for seed in SEEDS:
            rows.append(errors(width, seed, 300 if asked.quick else 3_000))
            for kernel in ("sorted", "dense"):
                cells = "  ".join(f"{n} {rows[-1][kernel][n]:.1e}" for n in NAMES)
                print(f"spread {width:5d}, seed {seed}, {kernel:6s}  {cells}", flush=True)
    if not asked.quick:
        found = {**environment(workers=1), "threads": 1}
        write_json(RESULTS / "sorted-limits.json", {"rows": rows, "machine": found})


if __name__ == "__main__":
    main()

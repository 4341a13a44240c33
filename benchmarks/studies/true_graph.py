"""How near does what heads learn of the edges come to the true graph of the scenes?

    python benchmarks/studies/true_graph.py --presets voc coco --seeds 5

The label sets of scenes are drawn from an Ising model, so the couplings J are the true label graph.
Heads are trained on features of an encoder that saw other scenes, on the complete graph, so that
nothing but the images and their labels tells which edges matter. Compared with J over all edges:
the conditioned head's couplings, the GAT head's attention, the NPMI of the training labels, and the
couplings that a logistic regression of every label on all others finds in the same training labels
(which sees labels, not images: what could be known at best).

Reported per seed: Spearman's rank correlation with J, and the share of each label's five strongest
true neighbours that are among the five strongest found. Writes benchmarks/results/true-graph.json.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from study import arguments, write_result
from torch.nn import functional as F

from gatlabel.data.scenes import scene_config, true_graph
from gatlabel.experiments import make_config
from gatlabel.experiments.fitting import Features, fit_head
from gatlabel.experiments.optimizing import FitOptions
from gatlabel.experiments.preparation import FrozenData, prepare, read_task
from gatlabel.graph import Cooccurrence
from gatlabel.nn import ConditionedHead, GATHead

NEAREST = 5
Matrix = NDArray[np.float64]  # [i, j]: what j tells of i


def conditioned(data: FrozenData, counts: Cooccurrence, seed: int) -> Matrix:
    """The couplings that the conditioned head learns."""
    array = data.train.files["map"].open()
    torch.manual_seed(seed)
    head = ConditionedHead(array.shape[1], counts.graph("complete"))
    fit_head(head, Features(array), torch.from_numpy(data.train.targets), FitOptions(), seed)
    edges, effects = head.edge_effects()
    return _matrix(edges, effects, len(counts.labels))


def attention(data: FrozenData, counts: Cooccurrence, seed: int) -> Matrix:
    """The attention that the GAT head learns, mean over its heads."""
    array = data.train.files["pooled"].open()
    torch.manual_seed(seed)
    head = GATHead(array.shape[1], counts.graph("complete"))
    head.init_bias(torch.from_numpy(counts.base_rates))
    fit_head(head, Features(array), torch.from_numpy(data.train.targets), FitOptions(), seed)
    edges, weights = head.attention()
    return _matrix(edges, weights.detach().mean(1), len(counts.labels))


def npmi(data: FrozenData, counts: Cooccurrence, seed: int) -> Matrix:
    """NPMI of the training labels."""
    graph = counts.graph("npmi", top_k=len(counts.labels))
    dense: Matrix = graph.to_dense().double().numpy()
    return dense


def regression(data: FrozenData, counts: Cooccurrence, seed: int) -> Matrix:
    """Pseudo-likelihood estimate of the couplings from the training labels, L2-shrunk."""
    y = torch.from_numpy(data.train.targets).double()
    coupling = torch.zeros(y.shape[1], y.shape[1], dtype=torch.float64, requires_grad=True)
    field = torch.from_numpy(counts.base_rates).logit().clone().requires_grad_()
    off = 1 - torch.eye(len(coupling), dtype=torch.float64)
    optimizer = torch.optim.LBFGS([coupling, field], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> float:
        optimizer.zero_grad()
        symmetric = off * (coupling + coupling.T) / 2
        fit = F.binary_cross_entropy_with_logits(y @ symmetric + field, y, reduction="sum")
        total = fit + symmetric.square().sum()
        total.backward()
        return float(total.detach())

    optimizer.step(loss)
    found: Matrix = (off * (coupling + coupling.T) / 2).detach().numpy()
    return found


FOUND = {
    "conditioned, couplings": conditioned,
    "gat, attention": attention,
    "NPMI of the labels": npmi,
    "logistic regression on labels": regression,
}


def _matrix(edges: torch.Tensor, values: torch.Tensor, labels: int) -> Matrix:
    dense = np.zeros((labels, labels))
    dense[edges[1].numpy(), edges[0].numpy()] = values.double().numpy()
    return dense


def nearness(found: Matrix, true: Matrix) -> dict[str, float]:
    """Rank correlation with the true couplings, and the share of strongest neighbours found."""
    off = ~np.eye(len(true), dtype=bool)
    strongest = [
        set(np.argsort(-np.where(off, matrix, -np.inf), axis=1)[i, :NEAREST].tolist())
        for matrix in (true, found)
        for i in range(len(true))
    ]
    half = len(true)
    shared = [len(strongest[i] & strongest[half + i]) / NEAREST for i in range(half)]
    rank = float(spearmanr(found[off], true[off]).statistic)
    return {"spearman": round(rank, 4), f"top{NEAREST}": round(float(np.mean(shared)), 4)}


def main() -> None:
    """Trains, compares and writes."""
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("--presets", nargs="+", default=["voc", "coco"], choices=("voc", "coco"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for preset in options.presets:
        config = make_config(
            "heads",
            heads=("gat", "conditioned"),
            progress=False,
            **{"data": "scenes", "data.preset": preset},
        )
        data = prepare(config, read_task(config.train), print)
        counts = Cooccurrence.from_targets(data.train.targets, data.names)
        true = true_graph(scene_config(preset), signed=True).to_dense().double().numpy()
        for name, find in FOUND.items():
            for seed in range(options.seeds if name.startswith(("gat", "conditioned")) else 1):
                near = nearness(find(data, counts, seed), true)
                rows.append({"preset": preset, "found by": name, "seed": seed, **near})
                print(rows[-1], flush=True)
    write_result("true-graph", {"images": 2000, "runs": rows})


if __name__ == "__main__":
    main()

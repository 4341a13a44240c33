"""What could edges add at most to a conditioned head, where the truth is known?

    python benchmarks/studies/claims.py conditioned-scenes   # hours: trains the heads
    python benchmarks/studies/context_ceiling.py             # a minute

Takes the unary logits of the trained conditioned heads of that claim (edges ablated) on the
reported scenes, and adds context as the head does, with couplings from elsewhere:

- of the very Ising model that the label sets were drawn from, all of them or only those on the
  head's edges: what perfect knowledge of the graph is worth for these unary logits;
- found in the training labels by logistic regressions on the head's edges, and on random edges;
- the same true couplings added to the logits instead (mean field without a second cause), which
  also moves labels that are plainly seen, at the best of four strengths, chosen on these very
  images.

Writes benchmarks/results/context-ceiling.json: gains over the unary logits in points of mAP, one
number per seed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from claims import STUDIES
from study import arguments, write_result
from torch import Tensor

from gatlabel.data.scenes import SceneImages, label_model
from gatlabel.experiments import make_config
from gatlabel.experiments.graphs import make_graph, with_edges
from gatlabel.experiments.methods import Method
from gatlabel.experiments.outcome import Condition
from gatlabel.experiments.preparation import read_task
from gatlabel.experiments.store import Store
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.metrics import mean_average_precision
from gatlabel.missing.evidence import neighbour_weights
from gatlabel.nn.heads.noisy_or import noisy_or

STUDY = STUDIES["conditioned-scenes"]
GRAPH, STEPS, MISS_RATE = "npmi:top_k=10", 2, 0.5
STRENGTHS = (0.15, 0.3, 0.6, 1.0)


def mask(graph: LabelGraph) -> Tensor:
    """``[j, i]``: whether there is an edge j → i."""
    found = torch.zeros(len(graph.names), len(graph.names))
    found[graph.edge_index[0], graph.edge_index[1]] = 1
    return found


def regressed(targets: Tensor, rates: Tensor, graph: LabelGraph) -> Tensor:
    """``[j, i]``: what j adds to the log-odds of i, found in the training labels."""
    edges, weights = neighbour_weights(
        targets - rates, targets, targets >= 0, rates, graph, shrinkage=5.0
    )
    found = torch.zeros(len(rates), len(rates))
    found[edges[0], edges[1]] = weights
    return found


def with_context(unary: Tensor, couplings: Tensor, rates: Tensor) -> Tensor:
    """As :class:`gatlabel.nn.ConditionedHead` has it, without attention."""
    prior, logits = rates.logit(), unary
    for _ in range(STEPS):
        context = prior + (logits.sigmoid() - rates) @ couplings
        logits = noisy_or(unary, context, prior, MISS_RATE)
    return logits


def added(unary: Tensor, couplings: Tensor, rates: Tensor) -> Tensor:
    """Mean field: context moves every logit alike."""
    logits = unary
    for _ in range(STEPS):
        logits = unary + (logits.sigmoid() - rates) @ couplings
    return logits


def study(folder: Path) -> tuple[list[float], dict[str, list[float]]]:
    """Returns the mAP of the unary logits in points, one number per seed, and the gains."""
    store = Store(folder)
    store.load()
    config = make_config(STUDY.kind, **STUDY.options).train
    roles = read_task(config).roles
    assert isinstance(roles.report, SceneImages)
    model = label_model(roles.report.config)
    true = torch.from_numpy(model.couplings - model.competition).float()
    true.fill_diagonal_(0)
    targets = roles.train.targets.to_dense()
    counts = Cooccurrence.from_targets(roles.train.targets, roles.train.labels)
    rates = torch.from_numpy(counts.base_rates).float()
    graph = make_graph(GRAPH, counts)
    judged = roles.report.targets.to_dense()

    def points(logits: Tensor) -> float:
        return 100 * mean_average_precision(logits, judged).value

    cut, of_unary, gains = Method("conditioned", GRAPH, "ablated"), [], {}
    for seed in sorted(s for method, _, s in store.runs if method == cut):
        unary = torch.from_numpy(store.read_scores((cut, Condition(), seed)))
        of_unary.append(points(unary))
        random = with_edges(graph, "random", counts, seed)
        ways = {
            "true couplings": with_context(unary, true, rates),
            "true couplings on the head's edges": with_context(unary, true * mask(graph), rates),
            "regressed on the head's edges": with_context(
                unary, regressed(targets, rates, graph), rates
            ),
            "regressed on random edges": with_context(
                unary, regressed(targets, rates, random), rates
            ),
            "true couplings, added": max(
                (added(unary, k * true, rates) for k in STRENGTHS), key=points
            ),
        }
        for name, logits in ways.items():
            gains.setdefault(name, []).append(round(points(logits) - of_unary[-1], 3))
    return [round(value, 3) for value in of_unary], gains


def main() -> None:
    """Evaluates, prints and writes."""
    parser = arguments(__doc__)
    place = Path("runs") / "claims" / "conditioned-scenes"
    parser.add_argument("folder", type=Path, nargs="?", default=place)
    torch.set_num_threads(1)
    of_unary, gains = study(parser.parse_args().folder)
    print(f"unary logits: {np.mean(of_unary):.2f} over {len(of_unary)} seeds")
    for name, values in gains.items():
        print(f"{name}: {np.mean(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})")
    write_result("context-ceiling", {"mAP of unary logits": of_unary, "gains, points": gains})


if __name__ == "__main__":
    main()

"""Does the conditioned head find the couplings of the labels it is shown, and do they matter?

    python benchmarks/studies/conditioned_couplings.py

Labels are drawn from a sparse Ising model (20 labels, 24 couplings of 1 to 3), and a third of
those present leave no trace in their "image": a 3 x 3 map of noise with a direction of its own
for every label that shows. 2,000 of them train each head for 8 epochs, 2,000 judge it, three draws.
Two minutes on one core. Writes benchmarks/results/conditioned-couplings.json.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from study import write_result
from torch import Tensor, nn

from gatlabel.data.scenes.ising import IsingModel
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.losses import BCELoss
from gatlabel.metrics import mean_average_precision
from gatlabel.nn import ConditionedHead, CSRAHead, Head

LABELS, WIDTH, PAIRS, IMAGES = 20, 64, 24, 2000
EPOCHS, RATE, SEEDS = 8, 1e-2, (0, 1, 2)
ONE_LOSS = "one loss"
NAMES = [f"label {k}" for k in range(LABELS)]


def drawn(seed: int) -> tuple[IsingModel, Tensor, Tensor]:
    """The model, targets ``(N, L)`` and maps ``(N, D, 3, 3)``; the first half is for training."""
    rng = np.random.default_rng(seed)
    couplings = np.zeros((LABELS, LABELS))
    upper = np.column_stack(np.triu_indices(LABELS, 1))
    for i, j in rng.choice(upper, PAIRS, replace=False):
        couplings[i, j] = couplings[j, i] = rng.uniform(1, 3)
    model = IsingModel(tuple(NAMES), np.full(LABELS, -3.5), couplings)
    targets = torch.from_numpy(model.sample(2 * IMAGES, (seed,)).astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    directions = 6.6 / WIDTH**0.5 * torch.randn(LABELS, WIDTH, generator=generator)
    maps = torch.randn(len(targets), 9, WIDTH, generator=generator)
    shown = targets * (torch.rand(targets.shape, generator=generator) > 0.35)
    places = torch.randint(0, 9, targets.shape, generator=generator)
    for label in range(LABELS):
        rows = torch.arange(len(targets))
        maps[rows, places[:, label]] += shown[:, label, None] * directions[label]
    return model, targets, maps.transpose(1, 2).reshape(-1, WIDTH, 3, 3).contiguous()


def trained(head: Head, maps: Tensor, targets: Tensor, seed: int, one_loss: bool) -> Head:
    """AdamW, one-cycle, batches of 32; the shrunk parameters decay by 0.1.

    With ``one_loss`` all parts of a head learn from the loss of its final logits.
    """
    torch.manual_seed(seed)
    shrunk = {id(p) for p in head.param_groups()["residual"]}
    groups = [
        {"params": [p for p in head.parameters() if id(p) not in shrunk], "weight_decay": 1e-2},
        {"params": [p for p in head.parameters() if id(p) in shrunk], "weight_decay": 1e-1},
    ]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=RATE)
    batches = -(-len(maps) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=EPOCHS * batches, pct_start=0.2, cycle_momentum=False
    )
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(maps)).split(32):
            if one_loss:
                losses = (BCELoss()(head(maps[rows]), targets[rows]),)
            else:
                _, losses = head.forward_losses(maps[rows], targets[rows], BCELoss())
            loss = torch.stack(losses).sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return head.eval()


def methods(truth: LabelGraph, seed: int) -> dict[str, Callable[[], Head]]:
    """Makers of the heads to train."""
    counts = truth.counts
    assert counts is not None
    others = counts.graph("random", base=truth, seed=seed)
    none = counts.graph("identity")
    half = torch.full((LABELS,), 0.5)

    def conditioned(graph: LabelGraph, **options: object) -> Callable[[], Head]:
        return lambda: ConditionedHead(WIDTH, graph, hidden=32, **options)  # type: ignore[arg-type]

    return {
        "csra": lambda: CSRAHead(WIDTH, LABELS, lam=1.0),
        "no edges": conditioned(none),
        "random edges": conditioned(others),
        "true edges": conditioned(truth),
        "true edges, steps=0": conditioned(truth, steps=0),
        f"random edges, {ONE_LOSS}": conditioned(others),
        f"true edges, {ONE_LOSS}": conditioned(truth),
        "no edges, without base rates": conditioned(none, base_rates=half),
        "random edges, without base rates": conditioned(others, base_rates=half),
        "true edges, without base rates": conditioned(truth, base_rates=half),
    }


@torch.no_grad()
def judged(head: Head, maps: Tensor, targets: Tensor, truth: Tensor) -> dict[str, float]:
    """Test mAP, with the edges cut as well, and how the couplings found go with the true ones."""
    found = {"mAP": float(mean_average_precision(head(maps), targets).value)}
    if isinstance(head, ConditionedHead) and head.edge_index.shape[1]:
        cut = head.without_edges()(maps)
        found["mAP, edges cut"] = float(mean_average_precision(cut, targets).value)
        edges, effects = head.edge_effects()
        if head.steps:
            pair = torch.stack([effects, truth[edges[1], edges[0]]])
            found["mean coupling"] = float(effects.mean())
            if float(pair[1].std()) > 0:
                found["correlation with the true couplings"] = float(torch.corrcoef(pair)[0, 1])
    return found


def main() -> None:
    torch.set_num_threads(1)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in SEEDS:
        model, targets, maps = drawn(seed)
        learn, judge = slice(IMAGES), slice(IMAGES, None)
        true = torch.from_numpy(model.couplings).float()
        counts = Cooccurrence.from_targets(targets[learn], NAMES)
        truth = LabelGraph(NAMES, true.nonzero().T, counts=counts)
        for name, make in methods(truth, seed).items():
            torch.manual_seed(seed)
            head = trained(make(), maps[learn], targets[learn], seed, ONE_LOSS in name)
            row = judged(head, maps[judge], targets[judge], true)
            rows.setdefault(name, []).append(row)
            print(seed, name, {key: round(value, 3) for key, value in row.items()}, flush=True)
    content = {
        "protocol": "uninterpolated AP on logits; one entry a seed; no tuning, same for all heads",
        "seeds": list(SEEDS),
        "heads": rows,
    }
    write_result("conditioned-couplings", content)


if __name__ == "__main__":
    main()

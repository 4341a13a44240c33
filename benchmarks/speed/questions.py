"""How fast 100 of 100,000 questions are chosen, against a loop over questions.

    python benchmarks/speed/questions.py

1,250 images and 80 labels with 8 partners each. The two are timed in turn; the loop, which is
thousands of times slower, over a part of the questions.
Writes benchmarks/results/questions-speed.json.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import torch

from gatlabel.active import LogitVariance, PairwiseModel, choose_questions
from gatlabel.active.information import entropy
from gatlabel.baselines.moments import Moments
from gatlabel.files import write_json

IMAGES, LABELS, PARTNERS, COUNT, ROUNDS = 1250, 80, 8, 100, 15
LOOPED = 100  # questions of the loop


def loop(logits: torch.Tensor, pairs: PairwiseModel, questions: int) -> list[float]:
    """Expected information, question by question."""
    found = []
    for place in range(questions):
        row, label = divmod(place, LABELS)
        z = logits[row]
        gain = float(entropy(z[label]))
        q = float(torch.sigmoid(z[label]))
        for edge in (pairs.edges[0] == label).nonzero()[:, 0].tolist():
            other, w = z[pairs.edges[1, edge]], float(pairs.weights[edge])
            after = q * entropy(other + w * (1 - q)) + (1 - q) * entropy(other - w * q)
            gain += max(0.0, float(entropy(other) - after))
        found.append(gain)
    return found


def main() -> None:
    """Measures, prints and writes."""
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(IMAGES, LABELS, generator=rng) - 2
    features = torch.randn(IMAGES, 1280, generator=rng)
    sources = torch.stack([torch.randperm(LABELS, generator=rng)[:PARTNERS] for _ in range(LABELS)])
    targets = torch.arange(LABELS).repeat_interleave(PARTNERS)
    edges = torch.stack([sources.reshape(-1), targets])
    edges = edges[:, edges[0] != edges[1]]
    pairs = PairwiseModel(edges, torch.randn(edges.shape[1], generator=rng))
    answers = torch.full_like(logits, -1.0)
    known, rates = torch.full((LABELS,), 500), torch.full((LABELS,), 0.05)
    variance = LogitVariance.of(features, Moments.of(features), known, rates)  # once per run
    ours, theirs = [], []
    for _ in range(ROUNDS):
        began = time.process_time()
        choose_questions(logits, answers, pairs, COUNT, variance=variance)
        ours.append(1e3 * (time.process_time() - began))
        began = time.process_time()
        loop(logits, pairs, LOOPED)
        theirs.append(1e3 * (time.process_time() - began) * IMAGES * LABELS / LOOPED)
    ratio = statistics.median(t / o for o, t in zip(ours, theirs, strict=True))
    result = {
        "questions": IMAGES * LABELS,
        "chosen": COUNT,
        "milliseconds of CPU time": round(statistics.median(ours), 2),
        "the loop": round(statistics.median(theirs), 1),
        "ratio": round(ratio),
    }
    print(result)
    write_json(Path(__file__).parent.parent / "results" / "questions-speed.json", result)


if __name__ == "__main__":
    main()

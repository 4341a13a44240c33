"""How often intervals of mAP and of differences hold the truth, and how often tests err.

    python benchmarks/studies/coverage.py    # about 15 minutes of one core

An interrupted run goes on with the cells that are not there.

Cells are labels × images × frequencies × seeds × whether the models differ, see ranked_world.py for
what is drawn and for the truth. Besides the interval of the package, others are tried where there
is one seed: the delete-one jackknife and the influence function with normal quantiles, and in the
smallest cells percentile and basic (centred) bootstrap of images. Results go to
benchmarks/results/coverage.json.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ranked_world import Design, World
from study import RESULTS, arguments

from gatlabel.experiments.jackknife import STEP, Contributions, contributions
from gatlabel.experiments.statistics import paired_difference, too_few
from gatlabel.files import write_json

COVERAGE = RESULTS / "coverage.json"
SIMULATIONS = 400
RESAMPLES = 200
BOOTSTRAP_AT_MOST, OTHERS_AT_MOST = 10_000, 100_000  # numbers of targets
STEPS = {"half": STEP, "delete-one": 1.0, "influence": 1e-3}
Ends = dict[str, tuple[float, float]]


def designs() -> list[Design]:
    """All cells; of 5,000 images those with one seed and the long tail."""
    return [
        Design(labels, images, tail, seeds, equal)
        for labels in (20, 80, 300)
        for images in (100, 500, 5000)
        for tail in (("long", "five") if images < 5000 else ("long",))
        for seeds in ((1, 3) if images < 5000 and labels < 300 else (1,))
        for equal in (True, False)
    ]


def normal(found: Sequence[Contributions], other: Sequence[Contributions]) -> tuple[float, float]:
    """The interval of one run each with the normal quantile."""
    value = found[0].value - other[0].value
    half = 1.96 * float(np.sqrt(((found[0].images - other[0].images) ** 2).sum()))
    return value - half, value + half


def bootstrap(
    ours: NDArray[Any], theirs: NDArray[Any], targets: NDArray[Any], rng: np.random.Generator
) -> Ends:
    """Percentile and basic intervals; labels without a positive in a resample are left out."""
    count = len(targets)
    weights = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).T  # (N, R)
    drawn = [_resampled(scores, targets, weights) for scores in (ours, theirs)]
    low, high = np.percentile(drawn[0] - drawn[1], [2.5, 97.5])
    value = contributions(ours, targets).value - contributions(theirs, targets).value
    return {"percentile": (low, high), "basic": (2 * value - high, 2 * value - low)}


def _resampled(
    scores: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any]
) -> NDArray[np.float64]:
    """MAP of every resample ``(R,)``; scores without ties."""
    total, counted = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
    for s, t in zip(scores.T, targets.T, strict=True):
        order = np.argsort(-s)
        seen = np.cumsum(weights[order], axis=0)[t[order] == 1]
        hits = weights[order][t[order] == 1]
        found = np.cumsum(hits, axis=0)
        there = found[-1] > 0
        ap = (hits * found / np.maximum(seen, 1)).sum(axis=0) / np.maximum(found[-1], 1)
        total, counted = total + np.where(there, ap, 0), counted + there
    result: NDArray[np.float64] = total / np.maximum(counted, 1)
    return result


def simulate(design: Design, seed: int, simulations: int) -> dict[str, Any]:
    """Runs one cell and counts."""
    if design.equal and design.images < 5000:
        simulations *= 2  # the size of tests is pooled over 10,000 and more
    world, began = World(design, seed), time.process_time()
    inside: dict[str, list[bool]] = {}
    p_values, widths, positives, none = [], [], [], 0
    errors = []
    for _ in range(simulations):
        targets, scores, truth = world.draw()
        positives.append(targets.sum(axis=0))
        if too_few(targets):
            none += 1
            continue
        others = design.seeds == 1 and targets.size <= OTHERS_AT_MOST
        runs = {
            name: [[contributions(s, targets, step) for s in model] for model in scores]
            for name, step in STEPS.items()
            if others or name == "half"
        }
        true = truth[0] - truth[1]
        found = paired_difference(*runs["half"])
        zero = [Contributions(0.0, np.zeros(len(targets)))] * design.seeds
        alone = paired_difference(runs["half"][0], zero)
        ends: Ends = {"half, t": (found.low or 0.0, found.high or 0.0)}
        if others:
            ends |= {f"{name}, normal": normal(*both) for name, both in runs.items()}
        if others and targets.size <= BOOTSTRAP_AT_MOST:
            ends |= bootstrap(scores[0][0], scores[1][0], targets, world.rng)
        for name, (low, high) in ends.items():
            inside.setdefault(name, []).append(bool(low <= true <= high))
        held = (alone.low or 0.0) <= truth[0] <= (alone.high or 0.0)
        inside.setdefault("mAP: half, t", []).append(bool(held))
        p_values.append(found.p)
        widths.append((found.high or 0.0) - (found.low or 0.0))
        errors.append(found.value - true)
    counts = np.concatenate(positives)
    return {
        **dataclasses.asdict(design),
        "simulations": simulations,
        "without interval": none,
        "positives a label": round(float(counts.mean()), 1),
        "fewest": int(counts.min()),
        "coverage": {name: round(100 * float(np.mean(held)), 2) for name, held in inside.items()},
        "tests": len(p_values),
        "below 0.05": int(sum(p < 0.05 for p in p_values)),
        "below 0.01": int(sum(p < 0.01 for p in p_values)),
        "points wide": round(100 * float(np.mean(widths)), 3),
        "bias, points": round(100 * float(np.mean(errors)), 4),
        "seconds": round(time.process_time() - began, 1),
    }


def pooled(cells: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Coverage by method over all cells, and the size of tests where nothing differs."""
    found: dict[str, Any] = {"coverage": {}}
    for name in dict.fromkeys(name for cell in cells for name in cell["coverage"]):
        those = [cell for cell in cells if name in cell["coverage"]]
        held = sum(cell["coverage"][name] * cell["tests"] for cell in those)
        found["coverage"][name] = {
            "cells": len(those),
            "simulations": sum(cell["tests"] for cell in those),
            "pooled": round(held / sum(cell["tests"] for cell in those), 2),
            "least": min(cell["coverage"][name] for cell in those),
            "least of cells with 5 positives a label": min(
                (cell["coverage"][name] for cell in those if cell["fewest"] >= 5), default=None
            ),
        }
    same = [cell for cell in cells if cell["equal"]]
    tests = sum(cell["tests"] for cell in same)
    found["tests where nothing differs"] = {
        "tests": tests,
        **{
            f"size at {level}, per cent": round(
                100 * sum(cell[f"below {level}"] for cell in same) / max(tests, 1), 2
            )
            for level in ("0.05", "0.01")
        },
        "largest cell, per cent": max(
            (round(100 * cell["below 0.05"] / cell["tests"], 2) for cell in same), default=None
        ),
    }
    return found


def main() -> None:
    """Runs the cells and writes what was found."""
    parser = arguments(__doc__)
    parser.add_argument("--simulations", type=int, default=SIMULATIONS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    about = {"seed": options.seed, "simulations": options.simulations}
    cells = _there(about)
    open_cells = [d for d in designs() if all(_design(cell) != d for cell in cells)]
    with ProcessPoolExecutor(options.workers) as pool:
        run = partial(simulate, seed=options.seed, simulations=options.simulations)
        jobs = [pool.submit(run, design) for design in open_cells]
        for job in as_completed(jobs):
            print(cell := job.result(), flush=True)
            cells = sorted([*cells, cell], key=lambda each: designs().index(_design(each)))
            write_json(COVERAGE, {**about, "pooled": pooled(cells), "cells": cells})
    print(pooled(cells))


def _design(cell: dict[str, Any]) -> Design:
    return Design(*(cell[field.name] for field in dataclasses.fields(Design)))


def _there(about: dict[str, int]) -> list[dict[str, Any]]:
    """Cells that an interrupted run wrote, with the same seed and number of simulations."""
    if not COVERAGE.is_file():
        return []
    content = json.loads(COVERAGE.read_text(encoding="utf-8"))
    if {name: content[name] for name in about} != about:
        return []
    return [cell for cell in content["cells"] if _design(cell) in designs()]


if __name__ == "__main__":
    main()

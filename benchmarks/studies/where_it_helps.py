"""Where do the edges of a label graph help? One circumstance at a time, on drawn scenes.

    python benchmarks/studies/where_it_helps.py                    # all; hours on two cores
    python benchmarks/studies/where_it_helps.py occlusion noise    # some of them

Each circumstance is varied over a few values; for each, heads on the ``npmi`` graph choose from the
same settings and are compared with linear, no edges, random edges, permuted labels and the graph
cut at evaluation (``gatlabel benchmark graphs``), on features of an encoder trained once on other
scenes. "Wrong graph" puts graphs of growing wrongness side by side: the true graph of the scenes,
NPMI of the training labels, and the true graph with a quarter, half or all edges rewired.

Writes benchmarks/results/where-it-helps/PRESET-NAME.json: every difference with its interval, the
verdicts, the versions and the machine. Interrupted runs go on where they stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from study import RESULTS, arguments

from gatlabel.data.scenes import scene_config, true_graph
from gatlabel.experiments import make_config, run_benchmark
from gatlabel.files import write_json
from gatlabel.graph import LabelGraph

#: What is varied: the option of the benchmark or of training, and its values.
CIRCUMSTANCES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "strength": ("data.strength", (0.0, 0.5, 1.0, 1.5)),  # of the true couplings
    "occlusion": ("data.hidden", (0.0, 0.35, 0.7)),  # share of labels that cannot be seen
    "training-size": ("train_fractions", ((0.1,), (0.3,), (1.0,))),
    "missing-labels": ("mask_labels", ((0.1,), (0.5,), (0.9,))),
    "label-noise": ("missing.label_noise", (0.0, 0.2, 0.4)),
    "long-tail": ("data.long_tail", (0.0, 1.0, 1.5)),
    "wrong-graph": ("graphs", ()),  # graphs that are built here
}
REWIRED = (0.0, 0.25, 0.5, 1.0)


def wrong_graphs(preset: str, folder: Path) -> tuple[str, ...]:
    """Writes the true graph and ever wronger ones as files, and returns their names."""
    true = true_graph(scene_config(preset))
    # the five strongest true couplings of every label, as the graphs that are compared with it
    dense = true.to_dense().numpy()
    kept = np.argsort(-dense, axis=1)[:, :5]
    target = np.repeat(np.arange(len(dense)), 5)
    source = kept.ravel()
    present = dense[target, source] > 0
    edges, weight = np.stack([source, target])[:, present], dense[target, source][present]
    files = []
    for share in REWIRED:
        rng = np.random.default_rng(0)
        moved = edges.copy()
        chosen = rng.permutation(edges.shape[1])[: round(share * edges.shape[1])]
        if len(chosen):
            moved = with_some_rewired(edges, chosen, len(dense), rng)
        path = folder / f"true-{share:.0%}-rewired.json".replace("%", "pc")
        LabelGraph(true.labels, moved, weight, variant="true").save(path)
        files.append(str(path))
    return (*files, "npmi")


def with_some_rewired(
    edges: np.ndarray[Any, np.dtype[np.int64]],
    chosen: np.ndarray[Any, np.dtype[np.int64]],
    labels: int,
    rng: np.random.Generator,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Gives the chosen edges other sources, at random, so that no edge stands twice."""
    moved = edges.copy()
    taken = set(map(tuple, edges.T.tolist()))
    for edge in chosen.tolist():
        free = [
            s for s in range(labels) if s != moved[1, edge] and (s, moved[1, edge]) not in taken
        ]
        if free:
            moved[0, edge] = rng.choice(free)
            taken.add((int(moved[0, edge]), int(moved[1, edge])))
    return moved


def study(
    name: str, preset: str, heads: tuple[str, ...], seeds: int, trials: int
) -> dict[str, Any]:
    """Runs one circumstance over its values."""
    option, values = CIRCUMSTANCES[name]
    folder = Path("runs") / "where-it-helps" / preset / name
    folder.mkdir(parents=True, exist_ok=True)
    if name == "wrong-graph":
        values = (wrong_graphs(preset, folder),)
    rows: list[dict[str, Any]] = []
    about: dict[str, Any] = {}
    for value in values:
        given: dict[str, Any] = {"graphs": ("npmi",), option: value}
        shown = "graphs" if name == "wrong-graph" else str(value).strip("(),")
        config = make_config(
            "graphs",
            heads=heads,
            seeds=seeds,
            trials=trials,
            output=folder / shown,
            **{"data": "scenes", "data.preset": preset},
            **given,
        )
        result = run_benchmark(config)
        for c in result.comparisons:
            d = c.difference
            low, high = d.ends or (None, None)
            rows.append(
                {
                    "value": shown,
                    "ours": c.ours.title.replace(f"{folder}/", ""),
                    "against": c.against,
                    "points": round(100 * d.value, 2),
                    "low": low,
                    "high": high,
                    "p": d.p,
                    "p_holm": c.corrected,
                }
            )
        one = next(iter(result.data_sets.values()))
        about[shown] = {"verdict": result.verdict, "machine": dict(one.environment)}
    return {"varied": option, "preset": preset, "seeds": seeds, "trials": trials,
            "differences": rows, "runs": about}  # fmt: skip


def main() -> None:
    """Runs the circumstances that are named, or all."""
    parser = arguments(__doc__, seeds=5)
    parser.add_argument("names", nargs="*", metavar="circumstance", choices=[*CIRCUMSTANCES, []])
    parser.add_argument("--preset", default="coco", choices=("voc", "coco"))
    parser.add_argument("--heads", nargs="+", default=["gat", "conditioned"])
    parser.add_argument("--trials", type=int, default=3)
    options = parser.parse_args()
    for name in options.names or CIRCUMSTANCES:
        found = study(name, options.preset, tuple(options.heads), options.seeds, options.trials)
        write_json(RESULTS / "where-it-helps" / f"{options.preset}-{name}.json", found)
        for value, part in found["runs"].items():
            print(f"{name} {value}: {' '.join(part['verdict'])}", flush=True)


if __name__ == "__main__":
    main()

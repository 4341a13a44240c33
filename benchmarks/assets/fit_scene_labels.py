"""Fits the Ising models of the scenes' label sets and writes them into the package.

    python benchmarks/assets/fit_scene_labels.py

reads gatlabel/data/scenes/assets/{voc2007-trainval,coco2014-train}.json, writes ising-*.json
beside them and prints how well sampled frequencies agree with the published ones.
"""

from __future__ import annotations

import time

import numpy as np

from gatlabel.data.scenes.fitting import fit_ising, shrunken_pairs
from gatlabel.data.scenes.ising import IsingModel
from gatlabel.data.scenes.silhouettes import ASSETS
from gatlabel.data.scenes.statistics import FILES, published_statistics
from gatlabel.files import write_json


def as_json(model: IsingModel, source: str) -> dict[str, object]:
    i, j = np.nonzero(np.triu(model.couplings))
    edges = zip(i.tolist(), j.tolist(), model.couplings[i, j].round(4).tolist(), strict=True)
    return {
        "source": f"Ising model fitted to: {source}",
        "names": list(model.names),
        "fields": model.fields.round(4).tolist(),
        "competition": round(model.competition, 4),
        "couplings": [list(edge) for edge in edges],
    }


def main() -> None:
    for name in FILES:
        began = time.time()
        stats = published_statistics(name)
        model = fit_ising(stats.names, stats.counts, stats.pairs, stats.images)
        write_json(ASSETS / f"ising-{name}.json", as_json(model, stats.source), indent=None)
        y = model.sample(65536, (1,)).astype(np.float64)
        seen, wanted = y.mean(0), stats.counts / stats.images
        upper = np.triu_indices(len(y[0]), 1)
        pairs = (y.T @ y / len(y))[upper]
        target = shrunken_pairs(stats.counts, stats.pairs, stats.images)[upper]
        error = np.abs(seen / wanted - 1)
        print(
            f"{name}: {len(stats.names)} labels, competition"
            f" {model.competition:.2f}, {np.count_nonzero(model.couplings) // 2} couplings"
            f" in {time.time() - began:.0f} s; frequency error mean {error.mean():.3f}"
            f" max {error.max():.3f}; pair correlation"
            f" {np.corrcoef(np.sqrt(pairs), np.sqrt(target))[0, 1]:.4f};"
            f" labels an image {y.sum(1).mean():.2f} (published {wanted.sum():.2f}), empty"
            f" {np.mean(y.sum(1) == 0):.3f}; left out: {', '.join(stats.left_out)}"
        )


if __name__ == "__main__":
    main()

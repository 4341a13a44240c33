"""Draws the picture of the README from the results of the study on similarity.

python benchmarks/assets/draw_similarity.py    # docs/images/similarity.png
"""

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image

mpl.use("agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
SETS = {
    "coco-part": "COCO photographs",
    "voc2007-part": "VOC photographs",
    "scenes": "drawn scenes",
}
PARTS = (
    ("quarter", "unseen-permuted", "labels without a known positive:\nAP over permuted names"),
    ("all known", "seen", "labels with positives:\nAP over the linear head"),
)


def main() -> None:
    """Points and standard errors over the draws of each set, on one scale."""
    content = json.loads((ROOT / "benchmarks/results/similarity.json").read_text(encoding="utf-8"))
    found = {(row["data"], row["circumstance"]): row for row in content["rows"]}
    plt.rcParams.update({"font.size": 15, "font.family": "sans-serif"})
    figure, axes = plt.subplots(2, 1, sharex=True, figsize=(7.8, 4.6), layout="constrained")
    for axis, (circumstance, key, title), colour in zip(
        axes, PARTS, ("#c2410c", "#475569"), strict=True
    ):
        for height, name in enumerate(reversed(SETS)):
            values = np.array([draw[key] for draw in found[name, circumstance]["draws"]])
            mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
            axis.barh(height, mean, xerr=error, color=colour, height=0.55, capsize=4)
            side = max(mean + error, 0) + 0.25
            axis.text(side, height, f"{mean:+.1f} ± {error:.1f}".replace("-", "−"), va="center")
        axis.axvline(0, color="black", linewidth=1)
        axis.set_yticks(range(len(SETS)), list(reversed(SETS.values())))
        axis.set_title(title, fontsize=15, loc="left")
        axis.set_xlim(-1, 20)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("points of average precision")
    path = ROOT / "docs/images/similarity.png"
    figure.savefig(path, dpi=100)
    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(path)


if __name__ == "__main__":
    main()

"""Twenty-four small images of coloured squares, which a model learns in an epoch or two."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220)}


def write_colours(root: Path) -> Path:
    """Writes the images in two splits, and their labels.csv; returns the folder."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    lines = ["image,split,labels"]
    generator = torch.Generator().manual_seed(3)
    for number in range(24):
        image = Image.new("RGB", (40, 32), (90, 90, 90))
        present = []
        for place, (name, colour) in enumerate(COLOURS.items()):
            if torch.rand((), generator=generator) < 0.5 or place == number % 3:
                image.paste(colour, (2 + 12 * place, 6, 12 + 12 * place, 24))
                present.append(name)
        image.save(root / "images" / f"{number}.png")
        split = "train" if number < 16 else "val"
        lines.append(f"images/{number}.png,{split},{'|'.join(present)}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root

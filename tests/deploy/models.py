"""Small models to export, one of each head."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gatlabel.encoders import Encoder
from gatlabel.graph import Cooccurrence, LabelGraph
from gatlabel.model import MultiLabelClassifier
from tests.nn.head_cases import CASES, D, label_graph, perturbed

SIZE = 24
LABELS = ["chat noir", 'a "quoted" name', "猫", "ﬁ, ligature", "emoji 🐈", "[markup]"]


def encoder() -> Encoder:
    trunk = nn.Sequential(nn.Conv2d(3, D, 4, stride=4), nn.BatchNorm2d(D), nn.ReLU())
    return Encoder.from_module(trunk, out_features=D, image_size=SIZE)


def company_graph() -> LabelGraph:
    graph = label_graph()
    return LabelGraph(LABELS, graph.edge_index, graph.edge_weight)


def similarity_graph() -> LabelGraph:
    """Its heads share classifiers."""
    rng = np.random.default_rng(0)
    counts = Cooccurrence.from_targets(rng.integers(0, 2, (60, len(LABELS))), LABELS)
    return counts.graph("knn", vectors=rng.normal(size=(len(LABELS), 5)), k=2)


def make(
    kind: str, own: Encoder | None = None, graph: LabelGraph | None = None, **options: object
) -> MultiLabelClassifier:
    """A model of six labels whose head has left its start, with statistics of its own."""
    graph = graph or company_graph()
    head_options = dict(CASES[kind][1])
    model = MultiLabelClassifier.create(
        own or encoder(), kind, graph=graph, head_options=head_options, **options
    )
    perturbed(model.head)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
    return model.eval()


def random_images(count: int, size: int = SIZE) -> Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


def photos(folder: Path, height: int = 80, width: int = 90) -> list[Path]:
    """Five image files of six patches of colour, of another size than the model's."""
    rng = np.random.default_rng(0)
    paths = []
    for k, suffix in enumerate(["jpg", "png", "jpg", "png", "jpg"]):
        pixels = rng.integers(0, 255, (2, 3, 3), dtype=np.uint8).repeat(height // 2, 0)
        pixels = pixels.repeat(width // 3, 1)
        paths.append(folder / f"{k}.{suffix}")
        Image.fromarray(pixels).save(paths[-1])
    return paths

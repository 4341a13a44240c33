"""Train a torchvision network with a graph head in your own loop, then fold the head."""

import torch
from torchvision.models import resnet18

from gatlabel import Cooccurrence
from gatlabel.data import ImageDataset, loader, training_transform
from gatlabel.data.scenes import read_scenes
from gatlabel.encoders import Preprocessing
from gatlabel.losses import BCELoss
from gatlabel.metrics import evaluate_scores
from gatlabel.nn import GATHead

SIZE, EPOCHS = 32, 2
torch.manual_seed(0)

# Data: generated images; use read_csv("my-images") for photographs. Targets are 1, 0 or -1
# (unknown).
splits = read_scenes("voc", train=256, val=64, test=64, size=48)
train = loader(
    ImageDataset(splits.train, training_transform(SIZE, "light")), batch_size=32, train=True
)
test = loader(
    ImageDataset(splits.test, Preprocessing(SIZE).transform()), batch_size=32, train=False
)

# Graph: from the training split only.
graph = Cooccurrence.from_targets(splits.train.targets, splits.labels).graph("conditional")

# Model: the last layer is the graph head.
network = resnet18(num_classes=1)
network.fc = GATHead(network.fc.in_features, graph=graph, hidden=32)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
criterion = BCELoss()  # unknown targets have no loss


def inputs(images: torch.Tensor) -> torch.Tensor:
    """Normalises the uint8 images of the loader."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images / 255 - mean[:, None, None]) / std[:, None, None]


for epoch in range(1, EPOCHS + 1):
    network.train()
    for batch in train:
        loss = criterion(network(inputs(batch.inputs["image"])), batch.targets["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: loss of the last batch {loss.item():.3f}")

# Fold: at inference, the head is a linear layer.
network.eval()
network.fc = network.fc.fold()
assert type(network.fc) is torch.nn.Linear

with torch.inference_mode():
    logits = torch.cat([network(inputs(batch.inputs["image"])) for batch in test])
report = evaluate_scores(logits, splits.test.targets.to_dense(), splits.labels)
print(f"test mAP {report.metrics['mAP']:.3f}, guessing {report.metrics['mean_frequency']:.3f}")

"""A timm network with a graph head that is initialised by ridge regression on its features."""

import timm
import torch

from gatlabel import Cooccurrence
from gatlabel.baselines.ridge import ridge_start
from gatlabel.data import ImageDataset, loader
from gatlabel.data.scenes import read_scenes
from gatlabel.encoders import Preprocessing
from gatlabel.losses import BCELoss
from gatlabel.metrics import evaluate_scores
from gatlabel.nn import GATHead

SIZE = 32
torch.manual_seed(0)

splits = read_scenes("voc", train=256, val=8, test=64, size=48)
whole = Preprocessing(SIZE).transform()
train = loader(ImageDataset(splits.train, whole), batch_size=32, train=False)
test = loader(ImageDataset(splits.test, whole), batch_size=32, train=False)
graph = Cooccurrence.from_targets(splits.train.targets, splits.labels).graph("conditional")

# num_classes=0 removes timm's classifier; pretrained=True downloads ImageNet weights.
network = timm.create_model("resnet10t", pretrained=False, num_classes=0)
head = GATHead(network.num_features, graph=graph, hidden=32, heads=2)
model = torch.nn.Sequential(network, head)


def inputs(images: torch.Tensor) -> torch.Tensor:
    """Normalises the uint8 images of the loader with timm's mean and standard deviation."""
    mean, std = (torch.tensor(network.default_cfg[name])[:, None, None] for name in ("mean", "std"))
    return (images / 255 - mean) / std


# 1. Closed-form initialisation: one pass of the encoder, no epochs.
network.eval()
with torch.inference_mode():
    features = torch.cat([network(inputs(batch.inputs["image"])) for batch in train])
targets = splits.train.targets.to_dense()
start = ridge_start(features.clone(), targets)  # clone: no inference tensor
head.init_linear(start.weight, start.bias)
print(f"ridge regression: leave-one-out error {start.error:.3f} of the labels' variance")

# 2. Fine-tune; the residual of the graph has its own weight decay.
residual = head.param_groups()["residual"]
others = [p for p in model.parameters() if all(p is not r for r in residual)]
optimizer = torch.optim.AdamW(
    [{"params": residual, "weight_decay": 0.1}, {"params": others}], lr=3e-4
)
criterion = BCELoss()
for batch in train:  # one epoch with frozen batch-norm statistics (evaluation mode)
    loss = criterion(model(inputs(batch.inputs["image"])), batch.targets["labels"])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# 3. Fold and evaluate.
model[1] = head.eval().fold()
with torch.inference_mode():
    logits = torch.cat([model(inputs(batch.inputs["image"])) for batch in test])
report = evaluate_scores(logits, splits.test.targets.to_dense(), splits.labels)
print(f"test mAP {report.metrics['mAP']:.3f}, guessing {report.metrics['mean_frequency']:.3f}")

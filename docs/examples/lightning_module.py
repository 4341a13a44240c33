"""A LightningModule around a MultiLabelClassifier, with mAP over the validation set."""

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from gatlabel import Cooccurrence, MultiLabelClassifier
from gatlabel.batch import Batch
from gatlabel.data import ImageDataset, loader, training_transform
from gatlabel.data.scenes import read_scenes
from gatlabel.encoders import Encoder
from gatlabel.losses import AsymmetricLoss
from gatlabel.metrics import MeanAveragePrecision

SIZE = 32


class Classifier(pl.LightningModule):
    """Encoder, pooling and graph head; uint8 images are normalised inside the model."""

    def __init__(self, model: MultiLabelClassifier) -> None:
        super().__init__()
        self.model = model
        self.criterion = AsymmetricLoss(gamma_negative=2)
        self.map = MeanAveragePrecision(len(model.labels))

    def training_step(self, batch: Batch, step: int) -> Tensor:
        loss = self.criterion(self.model(batch.inputs["image"]), batch.targets["labels"])
        self.log("train_loss", loss, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Batch, step: int) -> None:
        self.map.update(self.model(batch.inputs["image"]), batch.targets["labels"])

    def on_validation_epoch_end(self) -> None:
        self.log("val_mAP", self.map.compute(), prog_bar=True)
        self.map.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


pl.seed_everything(0, verbose=False)
splits = read_scenes("voc", train=256, val=64, test=8, size=48)
graph = Cooccurrence.from_targets(splits.train.targets, splits.labels).graph()

trunk = nn.Sequential(
    *(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
    *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
)
encoder = Encoder.from_module(trunk, out_features=32, image_size=SIZE)
model = MultiLabelClassifier.create(
    encoder, head="gat", graph=graph, head_options={"hidden": 16}, pooling="max"
)
train = ImageDataset(splits.train, training_transform(SIZE, "light"))
val = ImageDataset(splits.val, model.preprocessing.transform())

trainer = pl.Trainer(
    max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=1,
)  # fmt: skip
trainer.fit(Classifier(model), loader(train, 32, train=True), loader(val, 32, train=False))
print(f"validation mAP {trainer.callback_metrics['val_mAP'].item():.3f}")

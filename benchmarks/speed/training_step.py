"""What a training step costs beside the computation, and what each option of it does.

    python benchmarks/speed/training_step.py [--quick]

Overhead: the run's own Lightning module (loss, logging) in Lightning's loop, as `gatlabel train`
sets it up, against a bare loop of the same model, batches, loss and optimiser; then against
Lightning with a module that does the least Lightning allows, which shows what is ours. The model is
tiny (one convolution, 20 labels, 8 images of 32 x 32): the loop is nearly all there is.

Options: ResNet-18 and EfficientNet-Lite0 at 128 pixels, 8 images, on the CPU: channels last
(always on), fused AdamW (on for float32), bfloat16 (--amp on, AdamW then not fused), and
torch.compile of the encoder (--compile; for ResNet-18 alone, left out with --quick).

Processor time of one thread, in turn. Writes benchmarks/results/training-step.json.
"""

from __future__ import annotations

import logging
import shutil
import time
import warnings
from collections.abc import Callable

import lightning.pytorch as pl
import torch
from measuring import Row, against, arguments, finish, limited, timed
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gatlabel import MultiLabelClassifier
from gatlabel.batch import IMAGE, Batch
from gatlabel.batch import LABELS as LABELS_TASK
from gatlabel.encoders import Encoder
from gatlabel.engine.averaging import MovingAverage
from gatlabel.engine.optimizers import make_optimizer, make_schedule
from gatlabel.nn import LinearHead
from gatlabel.nn.heads.protocols import forward_losses
from gatlabel.training.config import TrainConfig
from gatlabel.training.fitting import module_of, optimizer_of, spec_of
from gatlabel.training.losses import make_loss

LABELS = 20
NAMES = [f"label {k}" for k in range(LABELS)]
CONFIG = TrainConfig().with_options(
    {
        "run.epochs": 1,
        "optimizer.ema": 0.0,
        "run.device": "cpu",
        "run.amp": "off",
        "run.progress": False,
    }
)


def tiny() -> MultiLabelClassifier:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU())
    return MultiLabelClassifier(Encoder("tiny", network, 8), LinearHead(8, LABELS), NAMES)


def batches(steps: int) -> DataLoader[Batch]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8, 3, 32, 32), generator=generator, dtype=torch.uint8)
    targets = (torch.rand(8, LABELS, generator=generator) < 0.1).float()
    whole = [Batch.of_images(images, targets)] * steps
    return DataLoader(whole, batch_size=None)


class Least(pl.LightningModule):
    """A step without logging: what Lightning itself costs."""

    def __init__(self, model: MultiLabelClassifier, steps: int) -> None:
        super().__init__()
        self.model, self.loss, self.steps = model, make_loss(CONFIG), steps

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Returns the loss."""
        return self.loss(self.model(batch.inputs[IMAGE]), batch.targets[LABELS_TASK])

    def configure_optimizers(self) -> dict[str, object]:
        """Returns the run's optimiser and schedule."""
        optimizer = make_optimizer(self.model, optimizer_of(CONFIG), spec_of(CONFIG))
        scheduler = make_schedule(optimizer, CONFIG.optimizer.schedule, 1, self.steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def bare(steps: int) -> None:
    model, loss = tiny().train(), make_loss(CONFIG)
    optimizer = make_optimizer(model, optimizer_of(CONFIG), spec_of(CONFIG))
    scheduler = make_schedule(optimizer, CONFIG.optimizer.schedule, 1, steps)
    for batch in batches(steps):
        optimizer.zero_grad()
        loss(model(batch.inputs[IMAGE]), batch.targets[LABELS_TASK]).backward()
        if CONFIG.optimizer.clip_gradient:
            nn.utils.clip_grad_norm_(model.parameters(), CONFIG.optimizer.clip_gradient)
        optimizer.step()
        scheduler.step()


def lightning(module: pl.LightningModule, steps: int, average: bool = False) -> None:
    callbacks: list[pl.Callback] = [MovingAverage(0.99)] if average else []
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        gradient_clip_val=CONFIG.optimizer.clip_gradient or None,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=1,
    )
    trainer.fit(module, batches(steps))


def overhead(quick: bool) -> list[Row]:
    steps = 100 if quick else 150
    runs: dict[str, Callable[[], object]] = {
        "bare": lambda: bare(steps),
        "least": lambda: lightning(Least(tiny(), steps), steps),
        "ours": lambda: lightning(module_of(tiny(), CONFIG, steps), steps),
        "average": lambda: lightning(module_of(tiny(), CONFIG, steps), steps, average=True),
    }
    times = timed(runs, 3 if quick else 5)

    def extra(one: str, other: str) -> list[float]:
        pairs = zip(times[one].runs, times[other].runs, strict=True)
        return [1000 * (a - b) / steps for a, b in pairs]

    alone = [1000 * run / steps for run in times["bare"].runs]
    return [
        limited("tiny training step, bare loop", alone, "ms", None),
        limited("  Lightning adds, with the least module", extra("least", "bare"), "ms", None),
        limited("  our module adds to that (logging the loss)", extra("ours", "least"), "ms", None),
        limited("  the moving average of the weights adds", extra("average", "ours"), "ms", None),
    ]


def stepper(
    model: MultiLabelClassifier,
    *,
    device: str = "cpu",
    batch: int = 8,
    pixels: int = 128,
    last: bool = True,
    fused: bool = True,
    amp: bool = False,
    compiled: bool = False,
) -> tuple[Callable[[], None], float]:
    """One step as the run's own module takes it, and the seconds the first one took.

    Args:
        model: The model.
        device: Where it learns.
        batch: Images in a step.
        pixels: Their side.
        last: Channels last, which the model always is.
        fused: The optimiser as the run makes it, which is fused in float32; else it never is.
        amp: bfloat16.
        compiled: What ``--compile`` compiles: the encoder.
    """
    model.to(device).train()
    if not last:
        model.encoder.to(memory_format=torch.contiguous_format)
    if compiled:
        model.encoder.compile()
    optimizer = make_optimizer(
        model,
        optimizer_of(CONFIG),
        spec_of(CONFIG.with_options({"run.amp": "on" if amp else "off"})),
    )
    if not fused:
        for group in optimizer.param_groups:
            group["fused"] = False
    images = torch.randint(256, (batch, 3, pixels, pixels), dtype=torch.uint8, device=device)
    targets = (torch.rand(batch, len(model.labels), device=device) < 0.05).float()
    loss = make_loss(CONFIG)

    def features() -> Tensor:
        if last:
            return model.features(images)
        return model.pool(model.encoder(model.encoder.normalize(images)))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=amp):
            _, losses = forward_losses(model.head, features(), targets, loss)
        torch.stack(losses).sum().backward()
        if CONFIG.optimizer.clip_gradient:
            nn.utils.clip_grad_norm_(model.parameters(), CONFIG.optimizer.clip_gradient)
        optimizer.step()

    start = time.perf_counter()
    step()
    return step, time.perf_counter() - start


def has_compiler() -> bool:
    """Whether torch.compile finds the compiler that it needs."""
    return bool(shutil.which("g++") or shutil.which("c++"))


def options(quick: bool) -> list[Row]:
    rows = []
    kinds: dict[str, dict[str, bool]] = {
        "not channels last": {"last": False},
        "AdamW not fused": {"fused": False},
        "bfloat16": {"run.amp": True},
    }
    for backbone in ("resnet18", "efficientnet_lite0"):
        wanted = {"as it is": {}, **kinds}
        if backbone == "resnet18" and not quick and has_compiler():
            wanted["compiled"] = {"compiled": True}
        made = {}
        for name, chosen in wanted.items():
            torch.manual_seed(0)
            model = MultiLabelClassifier.create(backbone, "linear", labels=NAMES, weights=None)
            made[name] = stepper(model, **chosen)
        times = timed({name: step for name, (step, _) in made.items()}, 3 if quick else 5)
        peer = times.pop("as it is")
        for name, found in times.items():
            row = against(f"{backbone} step, {name} (peer: as it is)", found, peer, None)
            rows.append({**row, "first_step_s": made[name][1]})
    return rows


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    asked = arguments(__doc__)
    finish("training-step", overhead(asked.quick) + options(asked.quick), asked.quick)


if __name__ == "__main__":
    main()

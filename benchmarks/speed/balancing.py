"""What balancing of three tasks costs per training step beside equal weights.

    python benchmarks/speed/balancing.py [--quick]

20 labels, 80 labels and a number, 64 images in a step, all labelled for all tasks, which is the
most there is to compute. Two encoders: two layers (1280 to 512 to 512) on given features, where
heads and balancing are a large part of a step, and ShuffleNet (x0.5, 64 pixels). A step is the
run's own objective, clipping and optimiser, with the second forward pass where a balancer has one.

The ratio of each round, all methods in turn, processor time of one thread. Writes
benchmarks/results/balancing.json.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from measuring import Row, arguments, finish, limited, timed
from torch import nn

from gatlabel.batch import FEATURES, IMAGE, Batch
from gatlabel.encoders import create_encoder
from gatlabel.engine.balancing import BALANCERS, create_balancer
from gatlabel.engine.optimizers import make_optimizer
from gatlabel.engine.options import OptimizerOptions
from gatlabel.engine.specs import FitSpec
from gatlabel.engine.supervised import Supervised
from gatlabel.model import Model
from gatlabel.nn import LinearHead
from gatlabel.tasks import MultiLabelTask, RegressionTask

TASKS = {"voc": 20, "coco": 80, "count": 1}
IMAGES, WIDTH, HIDDEN, PIXELS = 64, 1280, 512, 64
OPTIMIZER = OptimizerOptions(lr=1e-3, encoder_lr=1.0)
#: At most so many times the step of equal weights; 1.15 for all others.
LIMITS = {"famo": 1.5, "gradnorm": 1.5}


class Layers(nn.Sequential):
    """Two layers on given features."""

    out_features = HIDDEN

    def __init__(self) -> None:
        layers = nn.Linear(WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()
        super().__init__(*layers)


def make_model(kind: str) -> Model:
    torch.manual_seed(0)
    if kind == FEATURES:
        encoder: nn.Module = Layers()
        width = HIDDEN
    else:
        encoder = create_encoder("shufflenet_v2_x0_5", weights=None)
        width = encoder.out_features
    names = {task: [f"{task} {k}" for k in range(size)] for task, size in TASKS.items()}
    heads = {task: LinearHead(width, own) for task, own in names.items()}
    tasks = [MultiLabelTask(task, names[task], heads[task]) for task in ("voc", "coco")]
    count = RegressionTask("count", names["count"], heads["count"], offset=[2.0], scale=[1.5])
    size = None if kind == FEATURES else PIXELS
    return Model({kind: encoder}, [*tasks, count], image_size=size)


def make_batch(kind: str, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    if kind == FEATURES:
        given = torch.randn(IMAGES, WIDTH, generator=generator)
    else:
        shape = (IMAGES, 3, PIXELS, PIXELS)
        given = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    targets = {
        task: (torch.rand(IMAGES, size, generator=generator) < 0.1).float()
        for task, size in TASKS.items()
        if size > 1
    }
    targets["count"] = torch.rand(IMAGES, 1, generator=generator) * 5
    return Batch({kind: given}, targets, torch.arange(IMAGES))


def stepper(kind: str, name: str, steps: int) -> Callable[[], None]:
    """One step with a balancer on each of some batches."""
    model, batches = make_model(kind).train(), [make_batch(kind, step) for step in range(steps)]
    # equal weights train without a balancer
    balancer = None if name == "equal" else create_balancer(name, list(TASKS))
    objective = Supervised(balancer=balancer)
    spec = FitSpec(epochs=1, device="cpu")
    optimizer = make_optimizer(model, OPTIMIZER, spec, list(objective.parameters()))

    def run() -> None:
        for batch in batches:
            optimizer.zero_grad()
            losses = objective.step(model, batch, 0)
            objective.total(losses).backward()
            objective.reported(losses)
            nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER.clip_gradient)
            optimizer.step()
            if objective.needs_end_step:
                objective.end_step(model, batch, 0)

    return run


def rows_of(kind: str, what: str, steps: int, rounds: int) -> list[Row]:
    times = timed({name: stepper(kind, name, steps) for name in BALANCERS}, rounds)
    equal = times["equal"]
    rows = []
    for name, found in times.items():
        ratios = [own / base for own, base in zip(found.runs, equal.runs, strict=True)]
        limit = None if name == "equal" else LIMITS.get(name, 1.15)
        added = 1000 * (found.median - equal.median) / steps
        more = {"step_ms": 1000 * found.median / steps, "added_ms": added}
        rows.append(limited(f"{name}, {what}", ratios, "x", limit, **more))
    return rows


def main() -> None:
    torch.set_num_threads(1)
    asked = arguments(__doc__)
    rows = rows_of(FEATURES, "two layers on features", 10, 5 if asked.quick else 100)
    rows += rows_of(IMAGE, "ShuffleNet x0.5", 2, 3 if asked.quick else 25)
    finish("balancing", rows, asked.quick)


if __name__ == "__main__":
    main()

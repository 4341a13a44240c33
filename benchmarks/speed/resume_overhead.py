"""What resuming costs beyond reading the data: seconds to the first step, fresh and resumed.

One process trains on scenes and is stopped in its second epoch; then it is resumed. Both times the
clock runs from the end of reading the data to the first training step. The epoch that had begun is
repeated; that is not part of it.

    python benchmarks/speed/resume_overhead.py [--backbone efficientnet_lite0]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path

from gatlabel.engine.module import TrainingModule
from gatlabel.errors import Interrupted
from gatlabel.training import plain, resume, run, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    read, step = run.read_data, TrainingModule.on_train_batch_start
    clock: dict[str, float] = {}
    steps = 0

    def read_data(*arguments, **named):
        splits = read(*arguments, **named)
        clock["read"] = time.perf_counter()
        return splits

    def on_train_batch_start(self, batch, index) -> None:
        nonlocal steps
        clock.setdefault("step", time.perf_counter())
        steps += 1
        if steps == 8:  # in the second epoch of four steps each, or the first resumed one
            os.kill(os.getpid(), signal.SIGTERM)
        step(self, batch, index)

    run.read_data, TrainingModule.on_train_batch_start = read_data, on_train_batch_start
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as place:
            config = plain().with_options(
                {
                    "encoder.backbone": options.backbone,
                    "data.train_images": 128,
                    "data.test_images": 64,
                    "run.epochs": 3,
                    "run.output": Path(place) / "run",
                    "run.progress": False,
                    "run.compare": "no",
                }
            )
            found = []
            for action in (lambda c=config: train(c), lambda c=config: resume(c.output)):
                clock.clear()
                steps = 0
                with contextlib.suppress(Interrupted):
                    action()
                found.append(clock["step"] - clock["read"])
            size = (Path(place) / "run" / "checkpoints" / "last.ckpt").stat().st_size
        fresh, resumed = found
        print(
            f"round {number}: fresh {fresh:.2f} s, resumed {resumed:.2f} s, "
            f"difference {resumed - fresh:+.2f} s; checkpoint {size / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()

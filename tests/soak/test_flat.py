"""Two thousand steps with everything that a run can have: memory, handles and threads stay flat."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gatlabel.engine.callbacks import Curves
from gatlabel.training import plain, train

pytestmark = [pytest.mark.soak, pytest.mark.slow]
EPOCHS, STEPS = 20, 100
WARM = 8  # epochs until allocators and caches have what they need


def use() -> tuple[int, int, int]:
    """Resident memory in kB, open handles, threads."""
    status = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status if ":" in line)
    handles = len(list(Path("/proc/self/fd").iterdir()))
    return int(fields["VmRSS"].split()[0]), handles, int(fields["Threads"])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_two_thousand_steps_are_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "data"
    root.mkdir()
    generator = np.random.default_rng(0)
    lines = ["image,split,labels"]
    for number in range(2 * STEPS + 20):
        pixels = generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        labels = "|".join(name for name in "abcd" if generator.random() < 0.5)
        lines.append(f"{number}.png,{'train' if number < 2 * STEPS else 'val'},{labels}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    seen: list[tuple[int, int, int]] = []
    written = Curves.on_train_epoch_end

    def on_train_epoch_end(self, trainer, module) -> None:
        written(self, trainer, module)
        seen.append(use())

    monkeypatch.setattr(Curves, "on_train_epoch_end", on_train_epoch_end)
    config = plain().with_options(
        {
            "data": "csv",
            "data.root": root,
            "run.output": tmp_path / "run",
            "encoder.backbone": "shufflenet_v2_x0_5",
            "encoder.weights": "none",
            "images.size": 32,
            "head.hidden": 8,
            "head.heads": 2,
            "head.dropout": 0.1,
            "run.batch_size": 2,
            "run.epochs": EPOCHS,
            "run.workers": 2,
            "missing.mask_labels": 0.3,
            "missing.unknown": "complete",
            "run.patience": EPOCHS,
            "run.keep": "best",
            "run.on_nan": "skip",
            "run.tensorboard": True,
            "run.progress": True,
            "images.cache": "disk",
            "images.cache_folder": tmp_path / "cache",
            "run.compare": "no",
        }
    )
    train(config)
    assert len(seen) == EPOCHS
    memory, handles, threads = (np.array(column[WARM:]) for column in zip(*seen, strict=True))
    half = len(memory) // 2
    growth = memory[half:].mean() - memory[:half].mean()
    assert growth < 6_000, memory.tolist()  # kB over some 600 steps; noise of the allocator is 2 MB
    assert handles.max() == handles.min(), handles.tolist()
    assert threads.max() == threads.min(), threads.tolist()

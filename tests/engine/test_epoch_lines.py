"""One line per epoch where there is no progress bar; rows of earlier checkpoints."""

import re
from pathlib import Path

import pytest

from gatlabel.engine.callbacks import rows_of
from gatlabel.engine.epoch_lines import in_words
from gatlabel.training import plain, train


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "1 h"), (12000, "3 h 20 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert in_words(seconds) == text


def test_rows_of_earlier_checkpoints_count_from_one() -> None:
    old = {"rows": [{"epoch": 0, "lr": 0.1}, {"epoch": 1, "lr": 0.2}]}
    new = {"rows": [{"epoch": 1, "lr": 0.1}, {"epoch": 2, "lr": 0.2}]}
    assert rows_of(old) == rows_of(new) == new["rows"]
    assert old["rows"][0]["epoch"] == 0
    assert rows_of({"rows": []}) == []


def test_a_run_without_a_progress_bar_logs_every_epoch(tmp_path: Path) -> None:
    config = plain().with_options(
        {
            "run.epochs": 2,
            "data.train_images": 16,
            "data.test_images": 8,
            "images.size": 32,
            "run.batch_size": 8,
            "encoder.backbone": "shufflenet_v2_x0_5",
            "encoder.weights": "none",
            "head": "linear",
            "run.compare": "no",
            "run.progress": False,
            "run.output": tmp_path / "run",
        }
    )
    lines: list[str] = []
    result = train(config, log=lines.append)
    found = [line for line in lines if line.startswith("epoch ")]
    begin = r"epoch {}/2: train loss \d+\.\d{{4}}, validation mAP [01]\.\d{{3}}, \d+\.\d s"
    assert re.fullmatch(begin.format(1) + r", about \d+ (s|min) left", found[0]), found
    assert re.fullmatch(begin.format(2), found[1]), found
    assert len(found) == 2
    assert [row["epoch"] for row in result.curves] == [1, 2]

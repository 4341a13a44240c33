"""Differences over seeds of committed benchmarks."""

import json
import math
from pathlib import Path

import pytest

TABLE = """head,graph,edges,unknown,completion,fraction,masked,seed,mAP
linear,,own,ignore,,1,0,1,0.42
linear,,own,ignore,,1,0,0,0.40
linear,,own,ignore,,0.5,0,0,0.90
gat,npmi,own,ignore,,1,0,0,0.41
gat,npmi,own,ignore,,1,0,1,0.45
"""


def test_seeds_are_paired_by_their_numbers(load, tmp_path: Path) -> None:
    script = load("over_seeds")
    (tmp_path / "results.csv").write_text(TABLE, encoding="utf-8")
    points = script.read_points(tmp_path)
    found = script.over_seeds(points, "gat · npmi")
    # differences of 1 and 3 points: standard error 1, and t(0.975; 1) = 12.706
    assert found["linear"][:3] == pytest.approx((2.0, 2 - 12.706, 2 + 12.706), abs=1e-3)
    assert found["linear"][3] == pytest.approx(1 - 2 * math.atan(2.0) / math.pi)  # Cauchy


def test_json_files_are_read_and_p_is_corrected(load, tmp_path: Path) -> None:
    script = load("over_seeds")
    file = tmp_path / "runs.json"
    means = {"ours": [3.0, 5.0], "one": [2.0, 2.0], "same": [2.0, 2.0]}
    file.write_text(json.dumps({"mAP": means}), encoding="utf-8")
    found = script.over_seeds(script.read_points(file), "ours")
    assert found["one"] == found["same"]
    assert found["one"][3] == pytest.approx(2 * (1 - 2 * math.atan(2.0) / math.pi))

"""Differences over seeds of committed results."""

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
CAUCHY = 1 - 2 * math.atan(2.0) / math.pi  # p of t = 2 with one degree of freedom


def test_seeds_are_paired_by_their_numbers(load, tmp_path: Path) -> None:
    script = load("over_seeds")
    (tmp_path / "results.csv").write_text(TABLE, encoding="utf-8")
    places = script.read_places(tmp_path)
    assert list(places) == ["", "50% of the images"]
    (row,) = script.over_seeds({"": places[""]}, "gat · npmi")
    # differences of 1 and 3 points: standard error 1, and t(0.975; 1) = 12.706
    assert row[:3] == ("", "gat · npmi", "linear")
    assert row[3:6] == pytest.approx((2.0, 2 - 12.706, 2 + 12.706), abs=1e-3)
    assert row.p == pytest.approx(CAUCHY)


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ({"mAP": {"a": [2.0, 2.0], "b": [3.0, 5.0]}}, [""]),
        (
            {"differences": [
                {"data": "voc", "fraction": share, "mAP": {"a": [2.0, 2.0], "b": [3.0, 5.0]}}
                for share in (0.1, 1.0)
            ]},
            ["voc, 10%", "voc, 100%"],
        ),
        (
            {"rows": [
                {"data": "voc", "hidden": hidden, "unknown": name, "mAP": values}
                for hidden in (0.5, "single")
                for name, values in (("a", [2.0, 2.0]), ("b", [3.0, 5.0]))
            ]},
            ["voc, 50%", "voc, single"],
        ),
    ],
)  # fmt: skip
def test_files_of_studies_are_compared_in_every_place(load, tmp_path: Path, content, places):
    script = load("over_seeds")
    file = tmp_path / "runs.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    rows = script.over_seeds(script.read_places(file), "a", base=True)
    assert [row.place for row in rows] == places
    assert [row[1:4] for row in rows] == [("b", "a", 2.0)] * len(places)
    assert [row.p for row in rows] == pytest.approx([min(1, len(places) * CAUCHY)] * len(places))

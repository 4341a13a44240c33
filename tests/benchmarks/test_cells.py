"""Finished cells of a study are not run again, and ``--figures`` has all of them."""

from functools import partial
from pathlib import Path

import pytest


def test_a_second_start_goes_on_after_the_last_finished_cell(load, tmp_path: Path) -> None:
    kept = load("cells")
    ran: list[int] = []

    def run(seed: int):
        if seed == 2 and len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(seed)
        return {"mAP": 10.0 * seed}

    def start():
        cells = kept.Cells(tmp_path / "out")
        for seed in range(3):
            cells.fill({"set": "scenes", "seed": seed}, lambda seed=seed: run(seed))
        return cells

    with pytest.raises(KeyboardInterrupt):
        start()
    ran.append(-1)
    cells = start()
    assert ran == [0, 1, -1, 2]
    assert [row["mAP"] for row in cells.rows] == [0.0, 10.0, 20.0]
    assert cells.find(seed=1) == [{"set": "scenes", "seed": 1, "mAP": 10.0}]
    assert kept.Cells(tmp_path / "out").rows == cells.rows


def test_what_decay_changed_is_compared_within_seeds(load, monkeypatch) -> None:
    script = load("depth_decay")
    written = {}
    monkeypatch.setattr(script, "write_result", lambda name, content: written.update(content))
    cells = [
        {"set": "scenes", "images": 100, "seed": seed, "decay": decay, "mAP": 20.0 + seed - lost}
        for seed in range(3)
        for decay, lost in (("1", 0.0), ("0.5", 1.0 + seed / 2))
    ]
    script.figures([*cells, {**cells[-1], "seed": 7}])  # a seed without decay 1 does not count
    by_decay = {row["decay"]: row for row in written["figures"]}
    assert by_decay["1"]["mAP"] == 21.0
    assert by_decay["0.5"]["difference"] == -1.5
    assert by_decay["0.5"]["seeds"] == 3
    low, high = by_decay["0.5"]["interval"]
    assert low < -2.7  # t with two degrees of freedom: 4.30 * 0.5 / sqrt(3)
    assert high > -0.3


def test_folds_of_photographs_leave_each_image_out_once(
    load, shared_data: Path, tmp_path: Path
) -> None:
    script = load("many_photographs")
    for name, images, _ in script.GRID:
        read = script.both if name == script.BOTH else partial(script.read_set, name)
        whole = read(shared_data, tmp_path)
        tested: list[int] = []
        for fold in range(script.FOLDS):
            data = script.fold_of(whole, fold)
            tested += data.test.tolist()
            assert not {*data.test} & ({*data.pool} | {*data.reserve})
            assert len(data.pool) >= images - 1
        assert sorted(tested) == sorted([*whole.pool, *whole.test])


def test_both_sets_of_photographs_have_the_labels_of_the_first(
    load, shared_data: Path, tmp_path: Path
) -> None:
    script = load("many_photographs")
    both = script.both(shared_data, tmp_path)
    assert all((both.root / name).is_file() for name in both.names)
    coco = script.read_set("coco-part", shared_data, tmp_path)
    name = coco.names[int(coco.present[:, coco.labels.index("couch")].argmax())]
    row = both.names.index(f"coco-part/{name}")
    assert both.present[row, both.labels.index("sofa")] == 1
    assert both.present[len(both.names) - len(coco.names) :].sum() == sum(
        coco.present[:, coco.labels.index(script.IN_COCO.get(label, label))].sum()
        for label in both.labels
    )

"""The study of peers: what is counted, what is run again, and what each method does with images."""

import importlib.util
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

from tests.conftest import ROOT

LABELS = ("cat", "dog", "sofa", "kite")


@pytest.fixture
def study(load, monkeypatch):
    """Imports a part of the study."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "studies"))
    return lambda name: load(f"peer_study.{name}")


@pytest.fixture
def root(tmp_path):
    """A set of 36 images of random blocks under the name of one that has a validation reserve."""
    folder = tmp_path / "voc2007-part"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = ["image,split,labels,difficult"]
    for k in range(36):
        blocks = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        blocks.resize((64, 64), Image.Resampling.NEAREST).save(folder / f"{k}.png")
        present = [name for i, name in enumerate(LABELS) if (k >> i) % 2]
        rows.append(f"{k}.png,{'train' if k < 20 else 'val'},{'|'.join(present)},"
                    f"{'sofa' if k in (3, 30) else ''}")  # fmt: skip
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "classes.txt").write_text("\n".join(LABELS) + "\n")
    vectors = tmp_path / "label-statistics"
    vectors.mkdir()
    np.savez(vectors / "voc-glove300.npz", names=np.array(LABELS), vectors=np.eye(4, 6))
    return tmp_path


@pytest.fixture
def task(study, root, monkeypatch):
    monkeypatch.setitem(study("sets").RESERVED, "voc2007-part", 6)
    data = study("sets").read_set("voc2007-part", root, root)
    train, val = data.draw(16, seed=3)
    (root / "cell").mkdir()
    torch.manual_seed(0)
    return study("task").Task(data, train, val, 64, 0.1, 3, root / "cell", root / "passes", root)


class Ticking:
    """A fake processor clock that advances by a given amount."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def ticking(study, monkeypatch, step: float = 0.0) -> Ticking:
    found = Ticking(step)
    for name in ("clock", "probing"):
        monkeypatch.setattr(study(name), "cpu_seconds", found)
    return found


def test_what_is_outside_is_not_counted(study, monkeypatch) -> None:
    ticks = ticking(study, monkeypatch)
    clock = study("clock").Clock()
    ticks.now += 2

    def fail_after(seconds: float) -> None:
        with clock.outside():
            ticks.now += seconds
            raise KeyError

    with pytest.raises(KeyError):
        fail_after(50)
    ticks.now += 1
    assert clock.seconds == 3


@pytest.mark.parametrize(
    ("left", "epoch", "epochs"), [(10, 3, 3), (9, 3, 3), (2, 3, 1), (-5, 3, 1)]
)
def test_epochs_that_fit(study, left: float, epoch: float, epochs: int) -> None:
    assert study("clock").epochs_that_fit(left, epoch) == epochs


def test_the_full_grid(study) -> None:
    cells = study("cells")
    full = list(cells.cells_of(cells.GRIDS["full"], seeds=2))
    assert len({cell.key for cell in full}) == len(full) == len(set(full))
    assert not any(c.data == "coco-part" and c.images == 500 for c in full)
    rare = {(c.data, c.images) for c in full if c.budget == 300 or c.method in cells.OTHERS}
    assert rare == {("voc2007-part", 500)}
    half = len(full) // 2
    assert [c.seed for c in full] == [0] * half + [1] * half  # whole replications
    first = [c.method for c in full if c.data == "scenes" and c.images == 100 and c.budget == 10]
    assert first[0] != first[len(first) // 2]  # another method begins
    assert {c.size for c in full} == {0, 160}


def test_draws(task) -> None:
    data = task.data
    train, val = data.draw(16, seed=3)
    larger, _ = data.draw(20, seed=3)
    assert larger[:16].tolist() == train.tolist() != data.draw(16, seed=4)[0].tolist()
    assert not set(val) & (set(train) | set(data.test))
    assert len(val) == 6
    assert len(data.test) == 10
    assert data.present[3, 2] == 1 == data.present[30, 2]  # difficult: present in training
    assert data.judged[30, 2] == (-1 if (30 >> 2) % 2 == 0 else 1)
    with pytest.raises(SystemExit, match="21 training images"):
        data.draw(21, seed=0)


def test_without_a_reserve_validation_is_what_was_not_drawn(study, root, monkeypatch) -> None:
    monkeypatch.setitem(study("sets").RESERVED, "voc2007-part", 0)
    data = study("sets").read_set("voc2007-part", root, root)
    train, val = data.draw(16, seed=0)
    assert set(train) | set(val) == set(range(20))
    assert len(data.test) == 16


def record_for(cell, finished: bool = False, **notes) -> dict:
    seconds = dict.fromkeys(("budget seconds", "pass seconds", "fit seconds", "test seconds"), 1.0)
    return {**cell.to_dict(), **seconds, "finished": finished, "notes": notes}


def add(records, cell, scores=None, **more) -> None:
    path = records.scores(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, scores=np.zeros((2, 2), np.float32) if scores is None else scores)
    records.add(record_for(cell, **more))


def test_records_survive_a_kill(study, tmp_path) -> None:
    Cell, records = study("cells").Cell, study("records").Records(tmp_path)
    first, second = (Cell("scenes", 100, 10, "plain", seed) for seed in (0, 1))
    add(records, first)
    with records.path.open("a") as file:
        file.write('{"data": "scenes", "images": 1')  # cut off
    add(records, second)
    records.add(record_for(Cell("scenes", 100, 10, "plain", 2)))  # its scores were not written
    assert set(records.read()) == {first, second}


def test_a_finished_method_is_not_given_more_time(study, tmp_path) -> None:
    Cell, parts = study("cells").Cell, study("records")
    records = parts.Records(tmp_path)
    ridge, svm = (Cell("scenes", 100, 10, name, 0) for name in ("ridge", "sklearn-svm"))
    add(records, ridge, finished=True)
    add(records, svm)
    longer = Cell("scenes", 100, 60, "ridge", 0)
    assert parts.record_of(longer, records.read())[0] == ridge
    assert parts.record_of(Cell("scenes", 100, 60, "sklearn-svm", 0), records.read()) is None
    assert parts.record_of(Cell("scenes", 100, 60, "ridge", 1), records.read()) is None


def test_a_second_start_runs_what_is_missing(study, tmp_path, monkeypatch) -> None:
    running, Cell = study("running"), study("cells").Cell
    places = running.Places(tmp_path, tmp_path / "out", "another-python")
    records = study("records").Records(places.out)
    cells = [Cell("scenes", 100, 10, name, 0) for name in ("plain", "fastai", "csra")]
    called = []

    def call(request, python, _):
        called.append((request.get("cell", {}).get("method", "pass"), python))
        if called[-1][0] in ("pass", broken):
            return None
        cell = Cell(**request["cell"])
        add(SimpleNamespace(scores=records.scores, add=lambda record: None), cell)
        return record_for(cell)

    monkeypatch.setattr(running, "_call", call)
    broken = "fastai"
    assert running.run_cells(cells, places) == 1
    assert [name for name, _ in called] == ["pass", "plain", "fastai", "csra"]
    assert dict(called)["fastai"] == "another-python" != dict(called)["plain"]
    called.clear()
    broken = ""
    assert running.run_cells(cells, places) == 0
    assert [name for name, _ in called] == ["pass", "fastai"]
    called.clear()
    assert running.run_cells(cells, places) == 0
    assert called == []


def test_a_package_is_looked_for_in_the_python_that_runs_it(study) -> None:
    assert study("running").has_package(sys.executable, "numpy")
    assert not study("running").has_package(sys.executable, "no_such_package")


def test_ridge_is_charged_for_its_features(study, task, monkeypatch) -> None:
    done = study("passes").Pass(np.random.default_rng(0).normal(size=(36, 5)).astype("f4"), 0.5)
    forms = study("closed_form")
    monkeypatch.setattr(forms, "run_pass", lambda *_: done)
    fitted = forms.fit_ridge(task, study("clock").Clock())
    assert (fitted.fit_charge, fitted.test_charge) == (0.5 * 22, 0.5 * 10)
    assert fitted.finished
    from gatlabel.baselines.ridge import ridge_start

    x, y = torch.tensor(done.features), torch.tensor(task.data.present)
    start = ridge_start(x[task.train], y[task.train])
    wanted = x[task.data.test] @ start.weight.T + start.bias
    assert np.allclose(fitted.predict(), wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize(("step", "tried"), [(0.0, 6), (100.0, 1)])
@pytest.mark.parametrize("kind", ["logistic", "svm"])
def test_sklearn_tries_what_fits(study, task, monkeypatch, kind: str, step: float, tried: int):
    pytest.importorskip("sklearn")
    done = study("passes").Pass(np.random.default_rng(0).normal(size=(36, 5)).astype("f4"), 0.0)
    forms = study("closed_form")
    monkeypatch.setattr(forms, "run_pass", lambda *_: done)
    ticking(study, monkeypatch, step)
    fitted = forms.fit_sklearn(kind)(task, study("clock").Clock())
    assert len(fitted.notes["tried"]) == tried
    assert fitted.finished is (tried == 6)
    assert fitted.predict().shape == (10, 4)


def test_a_pass_is_run_once(study, task, monkeypatch) -> None:
    passes = study("passes")
    first = passes.run_pass(task.data, 32, task.passes)
    assert first.features.shape[0] == 36
    assert first.seconds > 0
    monkeypatch.setattr(passes, "encoder_features", None)
    again = passes.run_pass(task.data, 32, task.passes)
    assert again.seconds == first.seconds
    assert np.array_equal(again.features, first.features)


@pytest.mark.parametrize(
    "name",
    [
        *("plain", "csra", "ml-decoder", "ml-gcn"),
        pytest.param("fastai", marks=pytest.mark.filterwarnings("ignore")),
    ],
)
def test_trained_methods(study, task, monkeypatch, name: str) -> None:
    if name == "fastai":
        pytest.importorskip("fastai")
    fit = study("methods").method(name)
    before = task.files(task.data.test)[0].stat().st_mtime_ns
    fitted = fit(task, study("clock").Clock())
    scores = fitted.predict()
    assert scores.shape == (10, 4)
    assert np.isfinite(scores).all()
    assert scores.std(0).max() > 1e-5  # it looks at the images
    assert fitted.notes["epochs"] >= 1
    assert not fitted.finished
    assert task.files(task.data.test)[0].stat().st_mtime_ns == before


def test_timing_an_epoch_changes_nothing(study, monkeypatch) -> None:
    ticking(study, monkeypatch, 1.0)
    model = torch.nn.Linear(2, 1)
    wanted = [p.clone() for p in model.parameters()]
    seen = []

    def begin(trained, epochs):
        def train(batches):
            for _ in batches:
                seen.append(torch.rand(1))
                with torch.no_grad():
                    trained.weight += 1

        return train

    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert study("probing").seconds_a_batch(model, begin, [0] * 9) == pytest.approx(1 / 3)
    assert len(seen) == 4
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), wanted, strict=True))
    assert study("probing").seconds_a_batch(model, begin, [0]) == 1.0


def test_gatlabel_is_run_by_its_command(study, task, monkeypatch) -> None:
    method = study("gatlabel_method")

    def short(root, table, classes, seconds, folder):
        assert float(seconds) == task.seconds
        return (f"train --data csv --root {root} --data.annotations {table} "
                f"--data.classes {classes} --recipe plain --epochs 1 --backbone mobilenet_v3_small "
                "--weights none --run.compare no")  # fmt: skip

    assert method.command("R", "T", "C", "9", "F").split()[-2:] == ["--time", "9"]
    monkeypatch.setattr(method, "command", short)
    fitted = method.fit_gatlabel("linear")(task, study("clock").Clock())
    assert fitted.notes["chosen size"] == 64
    assert fitted.notes["head"] == "linear"
    assert fitted.predict().shape == (10, 4)
    with pytest.raises(SystemExit, match="exit code 2"):
        method.fit_gatlabel("no-such-head")(task, study("clock").Clock())


def test_a_worker_answers(study, task, root) -> None:
    cell = study("cells").Cell("voc2007-part", 16, 10, "ridge", 3, 32)
    note = root / "passes" / "voc2007-part-160"
    note.mkdir(parents=True)
    np.save(note / "features.npy", np.zeros((36, 2), np.float32))
    (note / "pass.json").write_text(json.dumps({"seconds": 0.25}))
    request = {"cell": cell.to_dict(), "root": str(root), "out": str(root)}
    record, scores = study("worker").run(request)
    assert record["pass seconds"] == 0.25 * 22  # counted at 160 px, whatever the size
    assert record["budget seconds"] == 0.25 * 22 + 10
    assert scores.shape == (10, 4)


def test_measured_is_map_and_contributions_by_seed(study) -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(2, 12, 3)).astype("f4"), np.zeros((12, 3), np.float32)
    targets[[0, 3, 5, 1, 4], [0, 0, 0, 1, 1]] = 1
    found = study("comparing").measure(list(scores), targets)
    assert found.images.shape == (2, 12)
    for s in range(2):
        ap = [average_precision_score(targets[:, k], scores[s, :, k]) for k in range(2)]
        assert found.points[s] == pytest.approx(100 * np.mean(ap))


def test_pooling(study) -> None:
    parts = study("comparing")
    points, without = np.array([1.0, 2.0, 3.0]), np.tile([0.2, 0.1, -0.1, -0.2], (3, 1))
    one = parts.pooled([[parts.Difference(points, without)]])
    images = float((without[0] ** 2).sum())
    assert one.value == 2
    assert one.error == pytest.approx((images + 1 / 3) ** 0.5)
    twice = parts.pooled([[parts.Difference(points, without)] * 2])
    assert twice.error == pytest.approx(one.error)  # the same images again say nothing more
    two = parts.pooled([[parts.Difference(points, without)]] * 2)
    assert two.error == pytest.approx(one.error / 2**0.5)  # another set does
    assert two.freedom == pytest.approx(2 * one.freedom)
    low, high = one.interval()
    assert low < 2 < high
    assert one.p_below(high) > 0.97 > 0.03 > one.p_below(low)
    none = parts.pooled([[parts.Difference(0 * points, 0 * without)]])
    assert none.p_different() == 1
    assert none.p_below(-1) == 0


def test_results_fill_the_page(study, root, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(study("sets").RESERVED, "voc2007-part", 6)
    results, Cell, out = study("results"), study("cells").Cell, tmp_path / "out"
    monkeypatch.setattr(results, "MEASURES", {"mAP of labels with 10 positives": 2, "mAP": 1})
    data = study("sets").read_set("voc2007-part", root, out)
    records, truth = study("records").Records(out), data.judged[data.test]
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(size=(2, *truth.shape)).astype("f4")
        ours, theirs = truth + 0.1 * noise[0], noise[1]
        for method, scores, size in (
            ("default", ours, 0),
            ("fastai", theirs, 160),
            ("fastai", theirs, 224),
        ):
            cell = Cell("voc2007-part", 100, 10, method, seed, size)
            add(records, cell, scores, **{"chosen size": 192})
    cell = Cell("voc2007-part", 100, 10, "ridge", 0)  # one seed alone is not compared
    add(records, cell, truth, finished=True)
    page = tmp_path / "page.md"
    tables = study("tables")
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    results.write_results(root, out, tmp_path / "peers.json", page)
    content = json.loads((tmp_path / "peers.json").read_text())
    by_method = {row["method"]: row for row in content["figures"]}
    assert by_method["default"]["chosen sizes"] == [192]
    assert np.mean(by_method["default"]["mAP"]) > np.mean(by_method["fastai"]["mAP"])
    better = [t for t in content["tests"] if t["question"] == "better" and t["measure"] == "mAP"]
    assert [(t["theirs"], t["size"]) for t in better] == [("fastai", 160), ("fastai", 224)]
    assert [r["method"] for r in content["figures"]].count("default") == 1  # the runs are the same
    assert content["commits"]["default"] == ["unknown"]
    assert better[0]["points"] > 0
    assert not [t for t in content["tests"] if t["question"] == "not worse"]
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{tables.END}\nafter\n")
    assert "old" not in text
    assert tables.tables(content) in text
    spread = tables._spread(by_method["default"]["mAP of labels with 10 positives"])
    assert f"| voc2007-part | 100 | 10 s | default | 192 | 3 | {spread} |" in text
    (tmp_path / "bare.md").write_text("no marks")
    with pytest.raises(SystemExit, match="no place for tables"):
        tables.fill_page(tmp_path / "bare.md", content)


def test_the_page_describes_the_metrics(study) -> None:
    results, tables = study("results"), study("tables")
    text = results.PAGE.read_text(encoding="utf-8")
    assert text.count(tables.BEGIN) == 1
    if results.RESULTS.is_file():
        content = json.loads(results.RESULTS.read_text(encoding="utf-8"))
        assert tables.tables(content) in text
        assert content["lines"] == study("lines").user_lines()


def test_lines_are_those_of_the_code(study, monkeypatch, tmp_path) -> None:
    lines = study("lines")
    found = lines.user_lines()
    assert found["default"] == found["linear"] == 1
    assert found["plain"] > found["fastai"] > found["ridge"] > 1
    (tmp_path / "a.py").write_text("x\n# user: begin one\na\n\n  b\n# user: end\nc\n")
    monkeypatch.setattr(lines, "HERE", tmp_path)
    assert lines._count("a.py:one") == 2
    with pytest.raises(SystemExit, match="no part 'two'"):
        lines._count("a.py:two")


def test_fastai_is_not_a_dependency() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert text.count("fastai") == 1  # the extra peers
    assert importlib.util.find_spec("gatlabel") is not None

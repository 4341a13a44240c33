"""The scripts on speed run, at sizes of no consequence; a test has no business with figures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmarks.conftest import FOLDER, Load


def times(load: Load, *runs: float):
    return load("kernels.timing").Times(runs, runs)


def test_rows_compare_medians_and_state_the_spread_of_the_rounds(load: Load) -> None:
    measuring = load("speed.measuring")
    row = measuring.against("x", times(load, 1, 2, 4), times(load, 10, 10, 12), 4, note="n")
    assert row["ratio"] == 5
    assert row["spread"] == [3, 10]
    assert (row["target"], row["note"]) == (4, "n")
    limit = measuring.limited("y", [3, 1, 2], "MB", 5)
    assert (limit["value"], limit["spread"], limit["limit"]) == (2, [1, 3], 5)
    assert measuring.joined([times(load, 1), times(load, 2, 3)]).runs == (1, 2, 3)


def test_contenders_take_turns(load: Load) -> None:
    order: list[str] = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    found = load("kernels.timing").interleaved(runs, 2)
    assert order == ["a", "b"] * 3  # the first round warms up
    assert len(found["a"].runs) == len(found["b"].clock) == 2


@pytest.mark.parametrize(
    ("row", "reached"),
    [
        ({"ratio": 4.0, "target": 4}, "yes"),
        ({"ratio": 3.6, "target": 4}, "within noise"),
        ({"ratio": 3.4, "target": 4}, "no"),
        ({"value": 1.0, "limit": 1.3, "unit": "x"}, "yes"),
        ({"value": 1.4, "limit": 1.3, "unit": "x"}, "no"),
        ({"value": 1.4, "limit": None, "unit": "x"}, ""),
    ],
)
def test_the_table_says_what_was_reached(load: Load, row: dict[str, object], reached: str) -> None:
    assert load("table").line({"row": "made up", "spread": [0, 9], **row})["reached"] == reached


def test_the_table_is_made_of_all_results_and_put_into_the_page(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = load("table")
    page = tmp_path / "speed.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    monkeypatch.setattr(table, "PAGE", page)
    rows = [
        {"row": "training picture a", "ratio": 2.5, "target": 2, "spread": [2, 3]},
        {"row": "mAP: off", "value": 1e-16, "limit": 1e-12, "spread": [0, 1e-16], "unit": ""},
    ]
    rows[0]["against_float_first"] = 3.5
    machine = {"processor": "P", "cores": 2}
    machine["versions"] = {"torch": "1", "numpy": "2", "torchvision": "3"}
    content = {"rows": rows, "machine": machine}
    (tmp_path / "pipeline.json").write_text(json.dumps(content), encoding="utf-8")
    ratio = {"median": 1.1, "min": 1.0, "max": 1.2, "target": 1.25}
    content = {"ratio": ratio, "machine": "2 cores"}
    (tmp_path / "import-time.json").write_text(json.dumps(content), encoding="utf-8")
    table.main()
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- table -->\n| what | peer |")
    assert text.endswith("<!-- end of table -->\nafter\n")
    assert "old" not in text
    peer = "Pillow + transforms.v2, float"
    assert f"| training picture a | {peer} last | ≥ 2 × | 2.5 × | 2 – 3 | yes |" in text
    assert f"| training picture a | {peer} first | ≥ 2 × | 3.5 × |  | yes |" in text
    assert (
        "| import of gatlabel.nn, times import torch |  | ≤ 1.25 × | 1.1 × | 1 – 1.2 | yes |"
        in text
    )
    assert "- pipeline: P, 2 cores, 1 thread used; torch 1, numpy 2, torchvision 3" in text
    assert "no counts.json" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["rows"]) == 4


def test_counts_are_compared_with_the_peers(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = load("counts")
    monkeypatch.setattr(counts, "IMAGES", 300)
    monkeypatch.setattr(counts, "LABELS", 40)
    monkeypatch.setattr(counts, "NAMES", [f"label {k}" for k in range(40)])
    matrix = counts.targets()
    assert matrix.shape == (300, 40)
    assert (matrix.sum(1) == 5).all()
    counts.check()
    loop = counts.loop
    monkeypatch.setattr(counts, "loop", lambda rows: loop(rows[1:]))
    with pytest.raises(SystemExit, match="differ from networkx"):
        counts.check()


def test_average_precisions_agree(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = load("metrics")
    monkeypatch.setattr(metrics, "IMAGES", 400)
    monkeypatch.setattr(metrics, "LABELS", 5)
    data = metrics.example(0.3)
    assert len(data[0].unique()) < 1000  # with ties
    torch.testing.assert_close(
        metrics.ours(*data), metrics.theirs(*data).double(), rtol=1e-5, atol=0
    )


def test_pictures_are_loaded_by_every_contender(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATLABEL_SHARED", str(tmp_path / "nowhere"))  # so pictures are drawn
    pipeline = load("pipeline")
    monkeypatch.setattr(pipeline, "TARGETS", {"file": {32: 2}, "cached": {32: 7}})
    source = pipeline.write_pictures(tmp_path, 2)
    assert source.load(0).shape == (3, 375, 500)
    rows = pipeline.rows_of(source, 32, True, 1)
    targets = {row["row"].partition(", ")[2]: row["target"] for row in rows}
    assert targets["files"] == 2
    assert targets["memory cache"] == targets["disk cache"] == 7
    assert targets["memory cache, normalised on the CPU"] is None
    assert any("decoding alone" in what for what in targets)
    assert all(row["against_float_first"] > 0 for row in rows)


# Lightning uses what torch and itself have deprecated; nothing of ours can change it
@pytest.mark.filterwarnings("ignore")
def test_training_steps_run(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    script = load("training_step")
    script.bare(2)
    for module in (
        script.Least(script.tiny(), 2),
        script.TrainingModule(script.tiny(), script.CONFIG, 2),
    ):
        before = [p.detach().clone() for p in module.model.parameters()]
        script.lightning(module, 2)
        after = list(module.model.parameters())
        assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("amp", [False, True])
def test_a_step_is_what_the_package_does(
    load: Load, monkeypatch: pytest.MonkeyPatch, amp: bool
) -> None:
    """The encoder alone is compiled, and AdamW is fused in float32 only."""
    script = load("training_step")
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    fused: list[bool] = []
    original = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda self: (fused.extend(g["fused"] for g in self.param_groups), original(self))[1],
    )
    model = script.tiny()
    before = [p.detach().clone() for p in model.parameters()]
    script.stepper(model, pixels=32, amp=amp, compiled=True)
    assert compiled == [model.encoder]
    assert set(fused) == {not amp}
    assert not any(map(torch.equal, before, model.parameters()))
    fused.clear()
    script.stepper(model, pixels=32, amp=amp, fused=False, last=False)
    assert set(fused) == {False}


NAMES = ("plain", "complete", "complete-dense", "default", "pyg", "linear")
PARTS = {
    "conditioned": (16, 24),
    "conditioned-map": (16, 24, 1024),
    "conditioned-narrow": (16, 24),
    "conditioned-narrow-map": (16, 24, 256),
    "conditioned-whole": (16, 24),
    "conditioned-training": (2,),
}


@pytest.mark.parametrize("name", [*NAMES, *PARTS])
def test_every_contender_makes_a_step(load: Load, name: str) -> None:
    contenders = load("kernels.contenders")
    found = contenders.contender(name, 24)()
    if name in NAMES:
        assert found.shape in ((16, 24), (24, 16))
    else:
        assert found.shape == PARTS[name]
    assert found.isfinite().all()


def test_the_plain_head_is_compared_with_the_peer_before_it_is_timed(load: Load) -> None:
    contenders = load("kernels.contenders")
    ours = contenders.plain_head(24)
    features = torch.randn(contenders.BATCH, contenders.WIDTH)
    theirs = contenders.PyGHead(24, ours)
    assert contenders.check_equal(ours, theirs, features) < 1e-4
    with torch.no_grad():
        theirs.first.bias += 1
    assert contenders.check_equal(ours, theirs, features) > 1e-3


def test_the_choice_is_compared_with_every_kernel(load: Load) -> None:
    (row,) = load("kernels.rows").choice((20,))
    assert row["limit"] == 1.1
    assert {kernel for cell in row["cells"] for kernel in cell["seconds"]} == {
        "dense",
        "csr",
        "sorted",
    }
    assert all(cell["chosen"] in cell["seconds"] for cell in row["cells"])


def test_the_script_for_a_gpu_runs_without_one(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("triton")
    gpu = load("gpu")
    monkeypatch.setattr(gpu, "GRID_CHANNELS", (16,))
    rows = [
        *gpu.steps((24,), "cpu", 1, pixels=32),
        *gpu.heads((24,), "cpu", 1),
        *gpu.kernels((10,), "cpu", 1, ("triton",)),  # in Triton's interpreter
    ]
    peers = ["linear head"] * 2 + ["two PyG GATConv"] * 2
    assert [row["against"] for row in rows[:4]] == peers
    sparse, quarter, complete = rows[4]["cells"]
    assert [cell["edges"] for cell in rows[4]["cells"]] == [40, 20, 100]
    for cell in (sparse, quarter):
        assert set(cell["seconds"]) == {"dense", "csr", "triton"}
    assert set(complete["seconds"]) == {"dense", "sorted"}
    assert sparse["chosen"] == "dense"
    named = [row["row"] for row in gpu.options("cpu", 1, pixels=32, compiles=False)]
    assert [name.split("step, ")[1].removesuffix(" (peer: as it is)") for name in named] == [
        "not channels last",
        "--amp on",
        "--amp off, AdamW not fused",
    ]
    heard = gpu.conditioned(24, "cpu", 1, compiles=False)
    assert all(row["value"] > 0 and "eager: time of its map" in row["row"] for row in heard)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert "no CUDA device, left out" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("script", ["counts", "metrics", "attention"])
def test_scripts_run_from_the_command_line(script: str) -> None:
    """Quick runs write no result; peaks and contenders are measured in processes of their own."""
    results = FOLDER / "results"
    before = {path: path.stat().st_mtime_ns for path in results.iterdir()}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--quick"]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=600)
    assert {path: path.stat().st_mtime_ns for path in results.iterdir()} == before

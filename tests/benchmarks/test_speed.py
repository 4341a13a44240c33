"""The speed scripts run, at tiny sizes; measured times are not tested."""

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
    measuring = load("measuring")
    row = measuring.against("x", times(load, 1, 2, 4), times(load, 10, 10, 12), 4, note="n")
    assert row["ratio"] == 5
    assert row["spread"] == [3, 10]
    assert (row["target"], row["note"]) == (4, "n")
    limit = measuring.limited("y", [3, 1, 2], "MB", 5)
    assert (limit["value"], limit["spread"], limit["limit"]) == (2, [1, 3], 5)
    assert measuring.joined([times(load, 1), times(load, 2, 3)]).runs == (1, 2, 3)


def test_methods_take_turns(load: Load) -> None:
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
def test_the_table_shows_the_results(load: Load, row: dict[str, object], reached: str) -> None:
    assert load("table").line({"row": "made up", "spread": [0, 9], **row})["reached"] == reached


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.0018, "x", "1.002"), (0.99964, "×", "1.000"), (1.1, "x", "1.1"), (13.104, "×", "13.1"),
     (1.0018, "ms", "1")],
)  # fmt: skip
def test_ratios_near_one_keep_three_decimals(
    load: Load, value: float, unit: str, text: str
) -> None:
    assert load("table").figure(value, unit) == text


def test_the_table_invents_no_spread(load: Load) -> None:
    """A result without its rounds' ratios has medians and extremes of each method only."""
    times_ = {"median_s": 1.0, "min_s": 0.5, "max_s": 2.0}
    row = {"row": "plain", "ratio": 4.0, "target": 4, "ours": times_, "peer": times_}
    assert load("table").line(row)["spread"] == ""


def test_each_part_of_a_result_has_its_own_machine(load: Load) -> None:
    attention = load("attention")
    old = {
        "rows": [{"part": "plain", "row": "a"}, {"part": "choice", "row": "b"}],
        "load": "1", "machine": "old", "versions": {"torch": "1"},
    }  # fmt: skip
    first = attention.joined(old, [{"part": "choice", "row": "c"}], {"choice": {"load": "2"}})
    assert [row["row"] for row in first["rows"]] == ["a", "c"]
    shared = {"load": "1", "machine": "old", "versions": {"torch": "1"}}
    assert first["parts"] == {"plain": shared, "choice": {"load": "2"}}
    second = attention.joined(first, [{"part": "plain", "row": "d"}], {"plain": {"load": "3"}})
    assert [row["row"] for row in second["rows"]] == ["c", "d"]
    assert second["parts"] == {"choice": {"load": "2"}, "plain": {"load": "3"}}
    assert attention.joined({}, first["rows"], first["parts"]) == first


@pytest.mark.parametrize("parts", [False, True])
def test_the_table_reads_attention_in_both_forms(
    load: Load,
    parts: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = load("table")
    page = tmp_path / "speed.md"
    page.write_text("<!-- table -->\n<!-- end of table -->\n", encoding="utf-8")
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    monkeypatch.setattr(table, "PAGE", page)
    row = {"part": "plain", "row": "plain, L=80", "ratio": 4.0, "target": 4, "spread": [3, 5]}
    content: dict[str, object] = {"rows": [row], "load": "1", "machine": "2 cores"}
    if parts:
        content = {"rows": [row], "parts": {"plain": {"load": "1", "machine": "2 cores"}}}
    (tmp_path / "attention.json").write_text(json.dumps(content), encoding="utf-8")
    table.main()
    printed = capsys.readouterr().out
    assert "| plain, L=80 | two PyG GATConv | ≥ 4 × | 4 × | 3 – 5 | yes |" in printed
    assert f"- attention{' (plain)' if parts else ''}: 2 cores" in printed


def test_the_table_is_made_of_all_results_and_put_into_the_page(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = load("table")
    page = tmp_path / "speed.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    monkeypatch.setattr(table, "PAGE", page)
    rows = [
        {"row": "training image a", "ratio": 2.5, "target": 2, "spread": [2, 3]},
        {"row": "mAP: off", "value": 1e-16, "limit": 1e-12, "spread": [0, 1e-16], "unit": ""},
    ]
    rows[0] |= {"against_float_first": 3.5, "spread_float_first": [3, 4]}
    machine = {"processor": "P", "cores": 2}
    machine["versions"] = {"torch": "1", "numpy": "2", "torchvision": "3"}
    content = {"rows": rows, "machine": machine}
    (tmp_path / "pipeline.json").write_text(json.dumps(content), encoding="utf-8")
    row = {"row": "import gatlabel, times import torch", "value": 0.1, "spread": [0.1, 0.2]}
    content = {"rows": [{**row, "limit": 0.3, "unit": "×"}], "machine": "2 cores"}
    (tmp_path / "import-time.json").write_text(json.dumps(content), encoding="utf-8")
    table.main()
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- table -->\n| what | peer |")
    assert text.endswith("<!-- end of table -->\nafter\n")
    assert "old" not in text
    peer = "Pillow + transforms.v2, float"
    assert f"| training image a | {peer} last | ≥ 2 × | 2.5 × | 2 – 3 | yes |" in text
    assert f"| training image a | {peer} first | ≥ 2 × | 3.5 × | 3 – 4 | yes |" in text
    assert "| import gatlabel, times import torch |  | ≤ 0.3 × | 0.1 × | 0.1 – 0.2 | yes |" in text
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


def test_images_are_loaded_by_every_method(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATLABEL_SHARED", str(tmp_path / "nowhere"))  # so images are drawn
    pipeline = load("pipeline")
    monkeypatch.setattr(pipeline, "TARGETS", {"file": {32: 2}, "cached": {32: 7}})
    source = pipeline.write_images(tmp_path, 2)
    assert source.load(0).shape == (3, 375, 500)
    rows = pipeline.rows_of(source, 32, True, 1)
    targets = {row["row"].partition(", ")[2]: row["target"] for row in rows}
    assert targets["files"] == 2
    assert targets["memory cache"] == targets["disk cache"] == 7
    assert targets["memory cache, normalised on the CPU"] is None
    assert any("decoding alone" in what for what in targets)
    for row in rows:
        low, high = row["spread_float_first"]
        assert 0 < low == pytest.approx(row["against_float_first"]) == high  # one round
    told: list[str] = []

    def here(commands: dict[str, tuple[object, ...]], rounds: int):
        """One process for all: each of their own takes seconds to start."""
        told.extend(commands)
        runs = {name: pipeline.method(name, source, 32, True) for name in commands}
        return load("kernels.timing").interleaved(runs, rounds)

    monkeypatch.setattr(pipeline, "served", here)
    assert "batch" in pipeline.batch_row(source, 32, 1)["row"]
    assert pipeline.jitter_row(source, 32, 1)["against"] == "transforms.v2.ColorJitter"
    assert told == ["batch", "torch's batch", "jitter", "torchvision's jitter"]


def test_torchvision_changes_planes_and_ours_pixels(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The layout that each one's own crop leaves, which is also the one it is faster with."""
    monkeypatch.setenv("GATLABEL_SHARED", str(tmp_path / "nowhere"))
    pipeline = load("pipeline")
    source = pipeline.write_images(tmp_path, 1)
    for ours, kind, strides in (
        (True, pipeline.ColourJitter, (1, 96, 3)),
        (False, pipeline.v2.ColorJitter, (1024, 32, 1)),
    ):
        seen = []
        with monkeypatch.context() as patch:
            patch.setattr(kind, "forward", lambda self, image, seen=seen: seen.append(image))
            pipeline.jitter(source, 32, ours)()
        assert len(seen) == pipeline.BATCH
        assert {image.stride() for image in seen} == {strides}
        assert {image.dtype for image in seen} == {torch.uint8}


# Lightning uses what torch and itself have deprecated; nothing of ours can change it
@pytest.mark.filterwarnings("ignore")
def test_training_steps_run(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    script = load("training_step")
    script.bare(2)
    for module in (
        script.Least(script.tiny(), 2),
        script.module_of(script.tiny(), script.CONFIG, 2),
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
    "attention-csr-5-8": (4, 24, 8),
    "attention-sorted-24-8": (4, 24, 8),
    "conditioned": (16, 24),
    "conditioned-map": (16, 24, 1024),
    "conditioned-narrow": (16, 24),
    "conditioned-narrow-map": (16, 24, 256),
    "conditioned-narrow-dense": (16, 24),
    "conditioned-whole": (16, 24),
    "conditioned-training": (2,),
}


@pytest.mark.parametrize("name", [*NAMES, *PARTS])
def test_every_method_makes_a_step(load: Load, name: str) -> None:
    methods = load("kernels.methods")
    found = methods.method(name, 24)()
    if name in NAMES:
        assert found.shape in ((16, 24), (24, 16))
    else:
        assert found.shape == PARTS[name]
    assert found.isfinite().all()


def test_the_plain_head_is_compared_with_the_peer_before_it_is_timed(load: Load) -> None:
    methods = load("kernels.methods")
    ours = methods.plain_head(24)
    features = torch.randn(methods.BATCH, methods.WIDTH)
    theirs = methods.PyGHead(24, ours)
    assert methods.check_equal(ours, theirs, features) < 1e-4
    with torch.no_grad():
        theirs.first.bias += 1
    assert methods.check_equal(ours, theirs, features) > 1e-3


def test_a_step_can_be_made_to_take_the_dense_form(load: Load) -> None:
    methods = load("kernels.methods")
    features, evidence = torch.randn(2, 200, 1024), torch.randn(2, 200)
    sparse = methods.ConditionedStep(200, 256).head.messages
    dense = methods.ConditionedStep(200, 256, dense=True).head.messages
    assert (sparse.attend.dense, dense.attend.dense) == (False, True)
    dense.load_state_dict(sparse.state_dict())
    torch.testing.assert_close(
        dense(features, evidence), sparse(features, evidence), rtol=1e-3, atol=1e-4
    )


def test_the_choice_is_compared_with_every_kernel(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, methods, timing = (load(f"kernels.{name}") for name in ("grid", "methods", "timing"))

    def here(named: dict[str, str], labels: int, rounds: int):
        """One process for all: a process for each method takes seconds to start."""
        runs = {role: methods.method(name, labels) for role, name in named.items()}
        return timing.interleaved(runs, min(rounds, 3))

    monkeypatch.setattr(grid, "apart", here)
    (row,) = grid.choice((20,))
    assert row["limit"] == 1.1
    assert {kernel for cell in row["cells"] for kernel in cell["seconds"]} == {
        "dense",
        "csr",
        "sorted",
    }
    for cell in row["cells"]:
        assert len(cell["seconds"]) > 1  # one kernel alone would be the best by construction
        assert cell["loss"] == cell["seconds"][cell["chosen"]] / min(cell["seconds"].values())
    assert row["value"] == max(cell["loss"] for cell in row["cells"])
    assert row["spread"] == row["worst"]["spread"]


def test_the_grid_is_closest_where_the_choice_changes(load: Load) -> None:
    grid = load("kernels.grid")
    assert grid.neighbours(500) == [4, 16, 50, 64, 75, 100, 125, 300, 500]


def test_rows_of_limits_state_the_spread_of_their_rounds(load: Load) -> None:
    rows = load("kernels.rows")
    runs = {"encoder": (10.0, 20.0, 10.0), "ours": (1.0, 1.0, 2.0), "peer": (1.0, 1.0, 1.0)}
    found = {name: times(load, *seconds) for name, seconds in runs.items()}
    row = rows._added("x", found)
    assert (row["value"], row["spread"]) == (1, [1, 12 / 11])
    assert row["ok"]
    assert not rows._limit("y", [2, 1, 3], 1.5, "GB")["ok"]
    assert rows._limit("y", [2, 1, 3], 1.9, "GB")["ok"]  # by its 15 %


def test_curves_are_drawn_from_their_file(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    curves = load("kernels.curves")
    monkeypatch.setattr(curves, "OUTPUT", tmp_path / "curves.json")
    monkeypatch.setattr(curves, "IMAGES", tmp_path)
    monkeypatch.setattr(curves, "measure", lambda kernel, labels, degree: (1e-3 * labels, degree))
    curves.measure_all(True, {"load": "1"})
    assert not (tmp_path / "curves.json").exists()
    curves.measure_all(False, {"load": "1"})
    content = json.loads((tmp_path / "curves.json").read_text(encoding="utf-8"))
    assert content["load"] == "1"
    assert content["labels"]["csr"][0] == [50, 0.05, 16]
    assert content["density"]["dense"][-1] == [0.6, 1.0, 600]
    curves.draw(content)
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "kernels-labels.png",
        "kernels-density.png",
    }


def test_errors_of_the_sorted_kernel_are_of_its_float32_sums(load: Load) -> None:
    script = load("sorted_limits")
    given = script.draw(100, 0, 200, 2, 8)
    assert script.spread(*given[:2]) == pytest.approx(100)
    wanted = script.truth(given)
    assert {x.dtype for x in wanted} == {torch.float64}
    found = script.errors(800, 0, 200, 2, 8)
    # Left to itself the kernel would compute by rows, and be as near as with a spread of 10.
    assert found["sorted"]["source_scores"] > 1e-5
    assert found["sorted"]["values"] < 1e-5
    near = script.errors(10, 0, 200, 2, 8)
    assert max(near["sorted"].values()) < 1e-5
    assert near["largest"]["target_scores"] > 1e3 * found["largest"]["target_scores"]


def test_the_script_for_a_gpu_runs_without_one(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu = load("gpu")
    monkeypatch.setattr(gpu, "GRID_CHANNELS", (16,))
    rows = [
        *gpu.steps((24,), "cpu", 1, pixels=32),
        *gpu.heads((24,), "cpu", 1),
        *gpu.kernels((10,), "cpu", 1),
    ]
    peers = ["linear head"] * 2 + ["two PyG GATConv"] * 2
    assert [row["against"] for row in rows[:4]] == peers
    sparse, quarter, complete = rows[4]["cells"]
    assert [cell["edges"] for cell in rows[4]["cells"]] == [40, 20, 100]
    for cell in (sparse, quarter):
        assert set(cell["seconds"]) == {"dense", "csr"}
    assert set(complete["seconds"]) == {"dense", "sorted"}
    assert sparse["chosen"] == "dense"
    named = [row["row"] for row in gpu.options("cpu", 1, pixels=32, compiles=False)]
    assert [name.split("step, ")[1].removesuffix(" (peer: as it is)") for name in named] == [
        "not channels last",
        "--run.amp on",
        "--run.amp off, AdamW not fused",
    ]
    rows = gpu.conditioned(24, "cpu", 1, compiles=False)
    assert all(row["value"] > 0 and "eager: time of its map" in row["row"] for row in rows)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert "no CUDA device, left out" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("counts", "--alone 1000"),
        ("counts", "--peak ours"),
        ("metrics", "--peak ours"),
        ("attention", "--quick --rows default"),
    ],
)
def test_scripts_run_from_the_command_line(script: str, words: str) -> None:
    """Peaks and methods are measured in processes of their own."""
    before = written()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(FOLDER / "speed" / f"{script}.py"), *words.split()]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, timeout=600)
    assert done.stdout.strip()
    assert written() == before


@pytest.mark.parametrize("script", ["counts", "metrics"])
def test_quick_runs_write_no_result(
    script: str, load: Load, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load(script)
    small = {"IMAGES": 3_000, "LABELS": 60, "NAMES": [f"label {k}" for k in range(60)]}
    for name, value in small.items():
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "peak_megabytes", lambda script, method: 1.0)
    if script == "counts":
        monkeypatch.setattr(module, "seconds_alone", lambda *words: times(load, 1.0))
    monkeypatch.setattr(sys, "argv", [script, "--quick"])
    before = written()
    module.main()
    assert len(capsys.readouterr().out.splitlines()) >= 3
    assert written() == before


def written() -> dict[Path, int]:
    """When each result was written."""
    return {path: path.stat().st_mtime_ns for path in (FOLDER / "results").iterdir()}

"""A fault at the changes that a run makes to its files: a full disk, or a kill.

``make soak`` tries every change, of a new run, one that replaces another, and a resumed one.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.driver import MODES, SCENARIOS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(words, check=True)
    return library


def run_cases(shim: Path, work: Path, scenario: str, mode: str, *places: str) -> list[dict]:
    environment = {**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "tests.faults.driver", str(work), scenario, mode, *places]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["changes"] > 60
    return cases


def assert_all_well(cases: list[dict]) -> None:
    wrong = [case for case in cases if case["problems"]]
    assert not wrong, json.dumps(wrong[:3], indent=1)


# shares of the changes of a run: of its beginning, training, its end, and the swap
PLACES = ("0", "0.1", "0.45", "0.6", "0.75", "0.85", "0.97")


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "mode"), [("overwrite", "full"), ("overwrite", "kill")])
def test_a_fault_at_some_changes_of_a_run(
    scenario: str, mode: str, shim: Path, tmp_path: Path
) -> None:
    cases = run_cases(shim, tmp_path, scenario, mode, *PLACES)
    assert_all_well(cases)
    assert [case["code"] for case in cases] == [2 if mode == "full" else -9] * len(PLACES)


@pytest.mark.soak
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "count"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fault_at_every_change_of_a_run(
    scenario: str, mode: str, shim: Path, tmp_path: Path
) -> None:
    cases = run_cases(shim, tmp_path, scenario, mode, "every")
    assert_all_well(cases)
    assert len(cases) > 60

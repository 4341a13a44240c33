"""Trains tiny runs in forks of one warmed process, each with a fault at another change of a file.

Started with ``shim.so`` preloaded: ``python -m tests.faults.driver WORK SCENARIO MODE PLACE...``.
Prints one JSON object per case, with what was wrong in it.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.model import MultiLabelClassifier
from gatlabel.training.run_folder import RunFolder
from gatlabel.training.run_swap import swap_is_pending

TINY = [
    *("--data.train-images", "16", "--data.test-images", "8", "--image-size", "32"),
    *("--batch-size", "8", "--backbone", "shufflenet_v2_x0_5", "--weights", "none"),
    *("--head", "linear", "--run.compare", "no", "--progress", "false", "--epochs", "2"),
]
MODES = {"count": 0, "once": 1, "full": 2, "kill": 3}
SCENARIOS = ("new", "overwrite", "resume", "logs")


class Driver:
    """Runs cases of one scenario in a folder.

    Args:
        work: An empty folder.
        scenario: ``new``, ``overwrite`` (of a finished run), ``resume`` (after an epoch), or
            ``logs`` (new, with TensorBoard).
    """

    def __init__(self, work: Path, scenario: str) -> None:
        self.target, self.start, self.scenario = work / "run", work / "start", scenario
        self.error = work / "stderr.txt"
        self.shim = ctypes.CDLL(None)
        self.shim.fault_struck.restype = ctypes.c_void_p
        self.words = ["train", "--output", str(self.target), *TINY, "--seed", "1"]
        self._prepare()
        assert self._run(self.words, None) == 0, self.error.read_text()  # the reference
        self.reference = contents(self.target)
        if scenario == "resume":
            self.words = ["train", "--resume", str(self.target)]

    def _prepare(self) -> None:
        if self.scenario == "logs":
            self.words += ["--run.tensorboard", "true"]
        if self.scenario in ("new", "logs"):
            return
        words = ["train", "--output", str(self.target), *TINY]
        if self.scenario == "resume":
            assert self._run([*words, "--seed", "1"], _stop_after_an_epoch) == 2
        else:
            assert self._run(words, None) == 0
            (self.target / "notes.txt").write_text("mine")
            self.words.append("--overwrite=true")
        self.target.rename(self.start)
        self.before = contents(self.start)

    def _run(self, words: Sequence[str], first: Callable[[], object] | None) -> int:
        """Runs a command in a fork; returns its exit code, or minus the signal that ended it."""
        child = os.fork()
        if child == 0:
            file = os.open(self.error, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, 1)
            os.dup2(file, 2)
            if first:
                first()
            code = 1
            try:
                code = main(words)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                what = ctypes.string_at(self.shim.fault_struck()).decode()
                print(f"struck: {what}\nchanges: {self.shim.fault_seen()}", flush=True)
                sys.stderr.flush()
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def case(self, mode: str, at: int, number: int = errno.ENOSPC) -> dict[str, object]:
        """Runs one case and returns what was wrong."""
        shutil.rmtree(self.target, ignore_errors=True)
        if self.start.exists():
            shutil.copytree(self.start, self.target)
        arm = (str(self.target).encode(), at, MODES[mode], number)
        code = self._run(self.words, lambda: self.shim.fault_arm(*arm))
        text = self.error.read_text()
        problems = self._check_end(code, text, mode) + self._check_state()
        if mode != "once" and code != 0:
            problems += self._check_going_on()
        return {"at": at, "mode": mode, "code": code, "problems": problems, "text": text}

    def _check_end(self, code: int, text: str, mode: str) -> list[str]:
        if mode == "kill":
            return [] if code in (0, -9) else [f"exit code {code}"]
        problems = [] if code in (0, 2) else [f"exit code {code}"]
        problems += [word for word in ("Traceback", "Exception ignored") if word in text]
        lines = [line for line in text.splitlines() if line.startswith("gatlabel: ")]
        if code == 2 and not (len(lines) == 1 and str(self.target) in lines[0]):
            problems.append(f"not one line that names a file: {lines}")
        if code == 2 and "No space left on device" not in text and "disk full" not in text:
            problems.append("no reason")
        if list(self.target.rglob(".gatlabel-*")):
            problems.append("a temporary was left")
        return problems

    def _check_state(self) -> list[str]:
        """Checkpoints can be read, and a model that answers is the old one or the new one."""
        problems = []
        for path in self.target.rglob("*.ckpt"):
            if not path.name.startswith(".gatlabel-"):
                try:
                    torch.load(path, weights_only=True)
                except Exception as error:
                    problems.append(f"{path} cannot be read: {error}")
        found = contents(self.target)
        answers = [self.reference] + ([self.before] if self.scenario == "overwrite" else [])
        if "model.json" in found:
            names = ("model.json", "model.safetensors")
            if not any(all(found.get(n) == one[n] for n in names) for one in answers):
                problems.append("a model that is neither the old one nor the new one")
        elif self.scenario == "overwrite":
            try:
                MultiLabelClassifier.from_pretrained(self.target)
            except InputError as error:
                if "--resume" not in str(error):
                    problems.append(f"loading does not say how to go on: {error}")
        if self.scenario == "overwrite" and not swap_is_pending(self.target):
            if found.get("config.yaml") == self.before["config.yaml"]:
                if {**found, **self.before} != found:
                    problems.append("the old run has changed")
            elif not RunFolder(self.target).finished:
                problems.append("neither run is there")
        return problems

    def _check_going_on(self) -> list[str]:
        """When there is space again, the run continues and equals an uninterrupted one."""
        words = ["train", "--resume", str(self.target)]
        code = self._run(words, None)
        same = contents(self.target).get("model.safetensors") == self.reference["model.safetensors"]
        if code != 0 or not same:
            code = self._run(self.words, None)  # it had not begun
        found = contents(self.target)
        problems = [] if code == 0 else [f"does not go on ({code}): {self.error.read_text()}"]
        if found.get("model.safetensors") != self.reference["model.safetensors"]:
            problems.append("another model in the end")
        # a finished run is not touched, not even to remove the lock of one killed at its very end
        left = [path.name for path in self.target.rglob(".*") if path.name != ".lock"]
        return problems + ([f"left: {left}"] if left else [])


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder that are not hidden, by name."""
    names = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in names.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def _stop_after_an_epoch() -> None:
    written = RunFolder.write_curves

    def stop(self: RunFolder, rows: Sequence[dict[str, float]]) -> None:
        if len(rows) == 2:
            raise InputError("stopped")
        written(self, rows)

    RunFolder.write_curves = stop  # type: ignore[method-assign, assignment]


def run_cases(work: Path, scenario: str, mode: str, steps: Sequence[str]) -> None:
    """Runs the cases that the command line names: ``every``, ``every:STEP:FIRST``, or numbers."""
    driver = Driver(work, scenario)
    driver.case("count", 0)
    total = int(driver.error.read_text().rsplit("changes: ", 1)[1])
    print(json.dumps({"changes": total}), flush=True)
    if steps[0].startswith("every"):
        step, first = (int(part) for part in (steps[0] + ":1:0").split(":")[1:3])
        places = range(first, total, step)
    else:
        places = [round(float(share) * (total - 1)) for share in steps]  # type: ignore[assignment]
    for at in places:
        print(json.dumps(driver.case(mode, at)), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_cases(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])

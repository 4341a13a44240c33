"""The fuzzer itself: cases repeat, and what breaks a rule is found."""

import mmap
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from gatlabel.errors import InputError
from tests.fuzz import guard
from tests.fuzz.case import Case, run_case
from tests.fuzz.image_headers import corrupt_sides
from tests.fuzz.raw_bytes import corrupt
from tests.fuzz.samples import HEIGHT, WIDTH, Samples
from tests.fuzz.texts import corrupt_lines, corrupt_table, corrupt_xml
from tests.fuzz.trees import corrupt_tree, json_bytes, yaml_bytes

TREE = {"names": ["cat", "dog"], "edges": [[0, 1, 0.5]], "options": {"k": 2}}
MUTATORS: dict[str, Callable[[Random], object]] = {
    "bytes": lambda rng: corrupt(rng, b"hello world" * 9, b"other"),
    "tree": lambda rng: json_bytes(rng, corrupt_tree(rng, TREE, ["cat"])),
    "yaml": lambda rng: yaml_bytes(rng, corrupt_tree(rng, TREE)),
    "table": lambda rng: corrupt_table(rng, "image,cat\na.png,1\nb.png,0\n"),
    "lines": lambda rng: corrupt_lines(rng, "cat\ndog\n"),
    "xml": lambda rng: corrupt_xml(rng, "<a><name>cat</name><difficult>1</difficult></a>"),
    "sides": lambda rng: corrupt_sides(rng, bytes([WIDTH, 0, HEIGHT, 0, 0, WIDTH]), WIDTH, HEIGHT),
}


@pytest.mark.parametrize("name", MUTATORS)
def test_a_seed_gives_one_change_and_others_others(name: str) -> None:
    found = [MUTATORS[name](Random(seed)) for seed in range(40)]
    assert found == [MUTATORS[name](Random(seed)) for seed in range(40)]
    assert len(set(found)) > 10


def run(act: Callable[[Case], object], folder: Path, name: str = "images") -> str:
    """What is wrong with a case that does this."""
    (folder / "samples").mkdir(exist_ok=True)
    outcome = run_case(name, lambda case: act(case) and None, 0, 0, Samples(folder / "samples"))
    assert (outcome.kind == "wrong") == bool(outcome.said)
    return outcome.said


def called(act: Callable[[Case], object]) -> Callable[[Case], object]:
    return lambda case: case.call(act, case)


def fail(error: BaseException) -> Callable[[Case], object]:
    def act(case: Case) -> None:
        raise error

    return act


def print_text(text: str) -> Callable[[Case], object]:
    """A command that prints, as if gatlabel's own did."""

    def act(case: Case) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.fuzz.case.main", lambda words: sys.stderr.write(text) and 2)
            case.command("train")

    return act


def keep_memory(case: Case) -> None:
    # not from the heap, which may have kept as much that other tests have freed
    with mmap.mmap(-1, guard.MEMORY + (64 << 20)) as pages:
        pages[:: mmap.PAGESIZE] = bytes(len(pages) // mmap.PAGESIZE)


def wait(case: Case) -> None:
    time.sleep(5)


def work(case: Case) -> None:
    while True:
        pass


BROKEN: dict[str, tuple[Callable[[Case], object], str]] = {
    "a traceback": (called(fail(KeyError("x"))), "KeyError"),
    "no message": (called(fail(InputError(""))), "without a message"),
    "input changed": (called(lambda case: case.put("a", "x")), "has changed: a"),
    "a file elsewhere": (called(lambda c: (c.folder.parent / "x").write_text("")), "open .*x"),
    "removed elsewhere": (called(lambda c: c.samples.secret.unlink()), "os.remove .*secret"),
    "the secret": (called(lambda case: case.samples.secret.read_text()), "opens .*secret"),
    "a program": (called(lambda case: subprocess.run(["true"], check=True)), "subprocess.Popen"),
    "a shell": (called(lambda case: os.system("true")), "os.system"),
    "the network": (called(lambda case: socket.create_connection(("localhost", 9))), "socket"),
    "left behind": (called(lambda c: (c.folder / "tmp" / "x").write_text("x")), "temporary"),
    "memory": (called(keep_memory), "MiB"),
    "waiting": (called(wait), "too long by the clock"),
    "working": (called(work), "too long by the processor"),
    "two lines": (print_text("gatlabel: a\ngatlabel: b\n"), "2 lines of error"),
    "no last line": (print_text("gatlabel: a\nmore\n"), "exit code 2 with 1"),
    "a traceback printed": (print_text("Traceback (most recent call last):\n"), "a traceback"),
    "an escape": (print_text("gatlabel: \x1b]0;x\x07\n"), "prints"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_rule_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MEMORY", 64 << 20)
    limits = {"waiting": "WAITING", "working": "SECONDS"}
    if name in limits:  # others may take long on a busy machine
        monkeypatch.setattr(guard, limits[name], 0.3)
    act, said = BROKEN[name]
    found = run(act, tmp_path)
    assert re.search(said, found), found


def test_what_is_refused_is_right(tmp_path: Path) -> None:
    assert run(called(fail(InputError("no"))), tmp_path) == ""
    assert run(print_text("log\ngatlabel: no\n"), tmp_path) == ""
    assert run(called(lambda case: (case.folder / "out").write_text("x")), tmp_path) == ""

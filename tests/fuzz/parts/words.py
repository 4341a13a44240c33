"""Command lines: real commands and options with odd values, in any order."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random

from gatlabel.cli import main
from gatlabel.option_values import words_of
from gatlabel.options import leaves
from gatlabel.training import TrainConfig
from tests.fuzz.case import Case, _streams
from tests.fuzz.training import no_training
from tests.fuzz.trees import NUMBERS

COMMANDS = (
    *(("train",), ("evaluate",), ("predict",), ("export",), ("explain",), ("graph", "build")),
    *(("graph", "show"), ("graph", "compare"), ("benchmark", "graphs"), ("benchmark", "heads")),
    ("benchmark", "summary"),
)
ODD = (
    *("", " ", "-", "--", "-h", "--help", "--debug", "--version", "=", "a=b", "none", "null", "~"),
    *("true", "false", "[]", "[a,b]", "{}", "{a: 1}", "*", "&a", "!!int 1", "\n", "\0", "\udcff"),
    *("\x1b[31m", "\u2028", "a" * 300, "a" * 9000, "2026-99-99", "1_0", "0x1", "1:2", "%", "é"),
    *("../..", ".", "/", "/dev/null", "/dev/full", "/nonexistent/x", "pipe", "\\t", "\\", "'", '"'),
)


def words(case: Case) -> None:
    """Runs a random command line."""
    rng = case.rng
    command = rng.choice(COMMANDS)
    given = [*command, *_arguments(case, command)]
    options = _options(command)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        option = rng.choice(options)
        value = _value(rng, case)
        given += rng.choice(([option, value], [f"{option}={value}"], [option]))
    if rng.random() < 0.1:
        given.insert(rng.randrange(len(given) + 1), _value(rng, case))
    if rng.random() < 0.05:
        rng.shuffle(given)
    with no_training():
        case.command(*given)


def _arguments(case: Case, command: tuple[str, ...]) -> list[str]:
    """What the command needs, mostly right, and small enough to be quick."""
    samples, rng = case.samples, case.rng
    run = str(rng.choice((samples.run, samples.run, samples.begun, samples.bundles["onnx"])))
    image = str(samples.data / "images" / "1.png")
    data = ["--data", "csv", "--root", str(samples.data), "--output", "out", "--no-progress"]
    small = ["--backbone", "shufflenet_v2_x0_5", "--weights", "none", "--image-size", "32"]
    right: dict[tuple[str, ...], list[str]] = {
        ("train",): [*data, *small],
        ("evaluate",): [run],
        ("predict",): [run, image],
        ("export",): [run, "--output", "out"],
        ("explain",): [run],
        ("graph", "build"): [str(samples.run / "counts.json"), "graph.json"],
        ("graph", "show"): [run],
        ("graph", "compare"): [run],
        ("benchmark", "graphs"): [*data, *small],
        ("benchmark", "heads"): [*data, *small],
        ("benchmark", "summary"): [str(samples.benchmark), "--no-progress"],
    }
    found = right[command]
    if rng.random() < 0.15:
        found[rng.randrange(len(found))] = _value(rng, case)
    return found


def _value(rng: Random, case: Case) -> str:
    kind = rng.choice(("odd", "odd", "number", "choice", "choice", "path"))
    if kind == "number":
        return str(rng.choice(NUMBERS))
    if kind == "choice":
        return rng.choice(_choices())
    if kind == "path":
        data, run = case.samples.data, case.samples.run
        files = (data / "labels.csv", run / "graph.json", Path("x/y"))
        return str(rng.choice((data, run, case.samples.benchmark, *files)))
    return rng.choice(ODD)


@cache
def _choices() -> tuple[str, ...]:
    """The words that options of training take."""
    found: set[str] = set()
    for leaf in leaves(TrainConfig):
        found |= {*map(str, words_of(leaf.hint)), str(leaf.field.default)}
        found |= set(leaf.field.metadata.get("choices", ()))
    return tuple(sorted(found))


@cache
def _options(command: tuple[str, ...]) -> tuple[str, ...]:
    """The options that the help of a command lists."""
    topics = TrainConfig.__dataclass_fields__ if command[0] in ("train", "benchmark") else ()
    text = ""
    for topic in ("", *topics):
        with _streams() as (out, _):
            try:
                main([*command, "--help", *([topic] if topic else [])])
            except SystemExit:
                text += out.read()
    return tuple(sorted(set(re.findall(r"--[a-z][a-z.-]+[a-z]", text))))

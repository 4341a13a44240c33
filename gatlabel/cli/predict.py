"""``gatlabel predict``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gatlabel.cli.output import ascii_only, show_lines
from gatlabel.cli.parsing import Namespace, Parser, check_outputs, make_parser, parse
from gatlabel.data.image_files import MAX_PIXELS
from gatlabel.errors import InputError
from gatlabel.interruptions import uninterrupted
from gatlabel.printing import on_terminal

STANDARD = "-"


def predict_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser(
        "predict",
        "Labels images with a trained run or a bundle. An image that cannot be read gets a record "
        "with an error. Exit code 0; 2 if no image could be read, or with --strict if any could "
        "not.",
    )
    parser.add_argument(
        "run", type=Path, help="The run folder, or a bundle written by gatlabel export."
    )
    parser.add_argument(
        "images",
        nargs="+",
        help="Images, folders of images, patterns (quoted), or - to read paths from standard "
        "input, one per line.",
    )
    parser.add_argument(
        "--format",
        type=Literal["auto", "table", "csv", "jsonl", "json"],
        default="auto",
        help="table, csv, jsonl (one JSON object per line) or json (one array); auto: table on a "
        "terminal, else csv.",
    )
    parser.add_argument("--json", type=bool, default=False, help="Short for --format json.")
    parser.add_argument(
        *("--output", "-o"),
        type=Path | None,
        help="Write to this file; default, and -: standard output.",
    )
    parser.add_argument(
        "--threshold",
        type=float | None,
        help="Probability from which a label is present; default: the run's or bundle's.",
    )
    parser.add_argument(
        "--on-error",
        type=Literal["skip", "stop"],
        default="skip",
        help="For an image that cannot be read: skip writes a record with the error, stop ends.",
    )
    parser.add_argument(
        "--strict", type=bool, default=False, help="Exit code 2 if any image could not be read."
    )
    parser.add_argument("--batch-size", type=int, default=32, help="Images per batch.")
    parser.add_argument(
        "--workers",
        type=int | None,
        help="Decoding threads; default: one per processor, at most 8; 0: no reading ahead.",
    )
    parser.add_argument(
        "--explain",
        type=int,
        default=0,
        help="Number of labels to explain per image (jsonl and json, runs only).",
    )
    parser.add_argument("--amp", type=bool, default=False, help="Mixed precision (runs only).")
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, help="Maximum number of pixels of an image."
    )
    parser.add_argument(
        "--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 or mps."
    )
    parser.add_argument(
        "--progress", type=bool, default=True, help="Show progress on standard error."
    )
    return parser


def predict_command(words: list[str]) -> None:
    """Labels images as they are found, and writes each prediction at once."""
    options = parse(predict_parser(), words)
    to_file = options.output is not None and str(options.output) != STANDARD
    if to_file:
        check_outputs(options, "output")
    kind = _format(options, to_file)
    if options.explain and kind not in ("json", "jsonl"):
        raise InputError(
            "--explain needs --format jsonl or json: other formats cannot represent it"
        )
    from gatlabel.cli.predict_progress import StreamProgress
    from gatlabel.cli.prediction_lines import FORMATS
    from gatlabel.cli.task_lines import TASK_FORMATS
    from gatlabel.deploy import Predictor, TaskPredictor

    predictor: Any = Predictor.load(
        options.run,
        threshold=options.threshold,
        device=options.device,
        batch_size=options.batch_size,
        max_pixels=options.max_pixels,
        workers=options.workers,
        amp=options.amp,
    )
    plain = not to_file and ascii_only()
    lines: Any
    if isinstance(predictor, TaskPredictor):
        lines = TASK_FORMATS[kind](predictor.tasks, plain)
    else:
        lines = FORMATS[kind](predictor.labels.names, plain)
    in_place = on_terminal("stderr") and (to_file or not on_terminal("stdout"))
    progress = StreamProgress(shown=options.progress, in_place=in_place)
    found = predictor.stream(
        _sources(options.images), on_error=options.on_error, explain=options.explain
    )
    with _writer(options.output if to_file else None, wrap=kind == "table") as write:
        write(lines.head())
        try:
            for prediction in found:
                write(lines.record(prediction))
                progress.count(prediction)
        finally:
            write(lines.tail())
            progress.end()
    _raise_failures(progress.images, progress.failed, progress.first_error, options.strict)


def _format(options: Namespace, to_file: bool) -> str:
    kind: str = options.format
    if options.json:
        if kind not in ("auto", "json"):
            raise InputError(f"--json and --format {kind} contradict each other: give one")
        return "json"
    if kind != "auto":
        return kind
    return "table" if not to_file and on_terminal("stdout") else "csv"


def _sources(given: Sequence[str]) -> Iterator[str]:
    for source in given:
        if source == STANDARD:
            yield from _paths_of_standard_input()
        else:
            yield source


def _paths_of_standard_input() -> Iterator[str]:
    """Yields the lines of standard input as paths, as they arrive; empty ones are skipped."""
    if sys.stdin is None:
        raise InputError("cannot read paths from standard input: it is closed")
    for line in getattr(sys.stdin, "buffer", sys.stdin):
        path = os.fsdecode(line).removesuffix("\n").removesuffix("\r")  # names of any bytes
        if path:
            yield path


@contextmanager
def _writer(path: Path | None, *, wrap: bool) -> Iterator[Callable[[str], None]]:
    """Yields a function that writes text, at once and complete, to a file or standard output."""
    if path is None:
        yield partial(show_lines, wrap=wrap)
        return
    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error

    def write(text: str) -> None:
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        try:
            with uninterrupted():
                while rest:
                    rest = rest[file.write(rest) :]
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error

    with file:
        yield write


def _raise_failures(images: int, failed: int, first: str | None, strict: bool) -> None:
    if failed and failed == images == 1:
        raise InputError(first or "")
    if failed and failed == images:
        raise InputError(f"none of the {images:,} images could be read; the first: {first}")
    if failed and strict:
        raise InputError(f"{failed:,} of {images:,} images could not be read; the first: {first}")

"""Training that ends where it would begin: options and files are read, nothing is learned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gatlabel.errors import InputError
from tests.fuzz.case import Case, WrongError

WORD = "the fuzzer trains no model"


@contextmanager
def no_training() -> Iterator[None]:
    """Ends runs and benchmarks with an error of the caller's when all else was found right."""

    def refuse(*arguments: object, **options: object) -> None:
        raise InputError(WORD)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatlabel.training.run.fit", refuse)
        patch.setattr("gatlabel.experiments.run_benchmark", refuse)
        yield


def begin_training(case: Case, *words: object) -> None:
    """Runs ``train`` up to the first step; what is refused before it leaves no run folder."""
    output = case.folder / "out"
    with no_training():
        code = case.command("train", *words, "--output", output)
    # a run in closed form is finished without a step
    if code and WORD not in case.said and output.exists():
        left = sorted(str(path.relative_to(output)) for path in output.rglob("*"))
        raise WrongError(f"refused, but the run folder holds {left}")

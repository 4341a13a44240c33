"""Training that ends where it would begin: options and files are read, nothing is learned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gatlabel.errors import InputError

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

"""A few cases of every part; ``make fuzz`` runs thousands."""

from pathlib import Path

import pytest

from tests.fuzz.case import run_case
from tests.fuzz.parts import PARTS
from tests.fuzz.samples import Samples

COUNTS = {
    "images": 50,
    "annotations": 35,
    "graphs": 25,
    "caches": 5,
    "weights": 6,
    "configs": 12,
    "runs": 10,
    "bundles": 6,
    "benchmarks": 5,
    "words": 7,
}


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return Samples(tmp_path_factory.mktemp("fuzz"))


def test_every_part_has_cases() -> None:
    assert COUNTS.keys() == PARTS.keys()


@pytest.mark.parametrize("name", PARTS)
def test_corrupted_files_are_read_or_refused(name: str, samples: Samples, tmp_path: Path) -> None:
    part, _ = PARTS[name]
    kinds = []
    for number in range(COUNTS[name]):
        outcome = run_case(name, part, seed=7, number=number, samples=samples, keep=tmp_path)
        assert outcome.kind != "wrong", f"--part {name} --seed 7 --number {number}\n{outcome.said}"
        kinds.append(outcome.kind)
    assert (
        "refused" in kinds or name == "caches"
    )  # else nothing was corrupted; caches are made anew

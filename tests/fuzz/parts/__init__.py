"""The parts of the fuzzer, and the share of the cases that each has."""

from __future__ import annotations

from tests.fuzz.case import Part
from tests.fuzz.parts.annotations import annotations
from tests.fuzz.parts.benchmarks import benchmarks
from tests.fuzz.parts.bundles import bundles
from tests.fuzz.parts.configs import configs
from tests.fuzz.parts.graphs import graphs
from tests.fuzz.parts.images import images
from tests.fuzz.parts.runs import runs
from tests.fuzz.parts.words import words

PARTS: dict[str, tuple[Part, int]] = {
    "images": (images, 30),
    "annotations": (annotations, 20),
    "graphs": (graphs, 15),
    "configs": (configs, 8),
    "runs": (runs, 11),
    "bundles": (bundles, 6),
    "benchmarks": (benchmarks, 4),
    "words": (words, 6),
}

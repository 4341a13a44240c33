"""The parts of the fuzzer, and the share of the cases that each has."""

from __future__ import annotations

from tests.fuzz.case import Part
from tests.fuzz.parts.annotations import annotations
from tests.fuzz.parts.benchmarks import benchmarks
from tests.fuzz.parts.bundles import bundles
from tests.fuzz.parts.caches import caches
from tests.fuzz.parts.configs import configs
from tests.fuzz.parts.graphs import graphs
from tests.fuzz.parts.images import images
from tests.fuzz.parts.runs import runs
from tests.fuzz.parts.weights import weights
from tests.fuzz.parts.words import words

PARTS: dict[str, tuple[Part, int]] = {
    "images": (images, 29),
    "annotations": (annotations, 19),
    "graphs": (graphs, 14),
    "caches": (caches, 3),
    "weights": (weights, 3),
    "configs": (configs, 7),
    "runs": (runs, 10),
    "bundles": (bundles, 6),
    "benchmarks": (benchmarks, 4),
    "words": (words, 5),
}

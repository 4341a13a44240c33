"""What the studies share: arguments, photographs, and how results are written."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatlabel.experiments.environment import environment
from gatlabel.files import write_json

RESULTS = Path(__file__).parent.parent / "results"
#: Options for the sets of photographs below the shared folder.
PHOTOGRAPHS = {"data": "csv", "encoder.backbone": "efficientnet_lite0", "images.size": 224}


def arguments(
    document: str | None, *, seeds: int | None = None, shared: bool = False
) -> argparse.ArgumentParser:
    """Returns a parser with the common options of studies.

    Args:
        document: The docstring of the script; its first line describes it.
        seeds: Default number of seeds; none: no such option.
        shared: Whether the study reads photographs.
    """
    parser = argparse.ArgumentParser(description=(document or "").splitlines()[0])
    if seeds is not None:
        parser.add_argument("--seeds", type=int, default=seeds)
    if shared:
        text = "folder with the photographs, in data/"
        parser.add_argument("--shared", type=Path, default=Path("..") / "shared", help=text)
    return parser


def write_result(name: str, content: Mapping[str, Any], workers: int = 1) -> None:
    """Writes ``benchmarks/results/NAME.json``, with the environment, over an older one."""
    write_json(RESULTS / f"{name}.json", {**content, "machine": environment(workers)})

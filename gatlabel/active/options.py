"""The options of ``gatlabel suggest``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatlabel.errors import InputError
from gatlabel.options import Options, option

_MANY = 10**7


@dataclass(frozen=True, kw_only=True)
class SuggestConfig(Options):
    """All options of ``gatlabel suggest``."""

    run: Path | None = option(None, "The run folder.")
    pool: Path | None = option(None, "Folder of images without labels.")
    by: Literal["questions", "images"] = option("questions", "What to rank.")
    count: int = option(100, "Number to choose.", least=1, most=_MANY)
    per_image: int | None = option(
        None, "Maximum number of questions per image; none: no limit.", least=1, most=_MANY
    )
    answers: tuple[Path, ...] = option(
        (), "Answers so far: CSV files (image, label, answer) or JSON files from Label Studio."
    )
    ask: bool = option(
        False, "Ask in the terminal, answered by single keys. Answers are added to the last file."
    )
    update: Path | None = option(None, "Folder for the updated run.")
    output: Path | None = option(None, "File for all rows, .csv or .json.")
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ask and (not self.answers or self.answers[-1].suffix.lower() != ".csv"):
            raise InputError("ask=True: needs a CSV file for the answers: --answers answers.csv")
        if self.ask and self.by == "images":
            raise InputError("ask=True: is for single questions; omit by=images")

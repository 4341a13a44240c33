"""The options of ``gatlabel fewshot`` and ``gatlabel extend``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatlabel.errors import InputError
from gatlabel.options import Options, option

_MANY = 10**6
Learner = Literal["finetune", "imprinting", "ridge", "lda", "similar"]


@dataclass(frozen=True, kw_only=True)
class FewShotOptions(Options):
    """The options of few-shot episodes."""

    shots: tuple[int, ...] = option(
        (1, 2, 5, 10), "Images per novel label, with commas; 0 for none.", least=0, most=_MANY
    )
    episodes: int = option(
        10, "Number of episodes; an interval needs at least 2.", least=2, most=_MANY
    )
    novel: float | str | tuple[str, ...] = option(
        0.25,
        "Novel labels: a share, drawn in each episode; names separated by commas; or laso, the "
        "published split of COCO.",
    )
    learners: tuple[Learner, ...] = option(
        ("finetune", "imprinting", "ridge", "lda", "similar"), "Learners, separated by commas."
    )
    with_novel: bool | None = option(
        None,
        "Evaluate on images with at least one novel label only, as LaSO does. None: only for laso.",
    )
    seed: int = option(0, "Seed of the random episodes.", least=0, most=2**32 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("shots", "learners"):
            given = getattr(self, name)
            if not given or len(set(given)) < len(given):
                text = ",".join(map(str, given))
                raise InputError(f"{name}={text}: give different ones, at least one")
        if isinstance(self.novel, int | float) and not 0 < self.novel < 1:
            raise InputError(f"novel={self.novel}: a share of labels is above 0 and below 1")

    @property
    def novel_names(self) -> tuple[str, ...]:
        """The novel labels where they are named, else none."""
        if isinstance(self.novel, str):
            return tuple(name.strip() for name in self.novel.split(","))
        return self.novel if isinstance(self.novel, tuple) else ()

    @property
    def is_laso(self) -> bool:
        """Whether the novel labels are those of LaSO."""
        return self.novel_names == ("laso",)

    @property
    def judged_with_novel(self) -> bool:
        """Whether only images with a novel label are judged by."""
        return self.is_laso if self.with_novel is None else self.with_novel


@dataclass(frozen=True, kw_only=True)
class FewShotConfig(FewShotOptions):
    """All options of ``gatlabel fewshot``."""

    run: Path | None = option(None, "The run folder.")
    similarity: str = option(
        "names", "Source of label similarity: names, a file of vectors or of a graph, or none."
    )
    split: str | None = option(None, "Evaluate on val or test. None: test, else val.")
    output: Path | None = option(
        None,
        "Folder for fewshot.json and fewshot.csv. Finished episodes are kept there too: "
        "the same command continues after a kill.",
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps.")


@dataclass(frozen=True, kw_only=True)
class ExtendConfig(Options):
    """All options of ``gatlabel extend``."""

    run: Path | None = option(None, "The run folder.")
    label: str | None = option(None, "The new label.")
    output: Path | None = option(None, "The new run folder.")
    like: tuple[str, ...] = option((), "Similar labels, optionally with weights: dog:2,cat.")
    similarity: str | None = option(
        None,
        "Source of similar labels without like: names, or a file of label vectors or of edges. "
        "None: the source that the run has chosen, or else names, if there are no images.",
    )
    images: tuple[Path, ...] = option((), "Images of the label, or folders.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.like and self.similarity is not None:
            raise InputError("like names the similar labels: omit similarity")
        self.shares()

    def shares(self) -> dict[str, float]:
        """Returns the shares of the similar labels that are named, by name.

        Raises:
            InputError: If a share is not above 0, or a label is named twice.
        """
        found: dict[str, float] = {}
        for part in self.like:
            name, colon, text = part.rpartition(":")
            try:
                name, value = (name, float(text)) if colon else (part, 1.0)
            except ValueError:
                name, value = part, 1.0  # a name with a colon
            name = name.strip()
            if not 0 < value < float("inf"):
                raise InputError(f"like: the weight of {name!r} is {value:g}: must be above 0")
            if not name or name in found:
                raise InputError(f"like={','.join(self.like)}: give different labels")
            found[name] = value
        return found

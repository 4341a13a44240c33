"""``gatlabel extend``."""

from __future__ import annotations

import time
from pathlib import Path

from gatlabel.cli.output import show
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.errors import InputError

DESCRIPTION = (
    "Adds a label to a trained run without training, and writes a new run. The classifiers of "
    "the other labels are unchanged to the last bit."
)


def extend_parser() -> Parser:
    """Creates the parser of the command."""
    parser = make_parser("extend", DESCRIPTION)
    parser.add_argument("run", type=Path, help="The run folder.")
    parser.add_argument("--label", type=str, required=True, help="The new label.")
    parser.add_argument("--output", type=Path, required=True, help="The new run folder.")
    parser.add_argument(
        "--like", type=str | None, help="Similar labels, optionally with weights: dog:2,cat."
    )
    parser.add_argument(
        "--similarity",
        type=str | None,
        help="Source of similar labels without --like: names, or a file of label vectors or of "
        "edges; default: names if there are no images.",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        type=Path,
        default=[],
        help="Images of the label, or folders.",
    )
    return parser


def extend_command(words: list[str]) -> None:
    """Adds a label to a run."""
    options = parse(extend_parser(), words)
    like = _shares(options.like)
    similarity = options.similarity
    if like and similarity is not None:
        raise InputError("--like names the similar labels: omit --similarity")
    if like is None and similarity is None and not options.images:
        similarity = "names"
    from gatlabel.fewshot.extending import extend_run
    from gatlabel.fewshot.run_features import image_paths

    paths = image_paths(options.images)

    began = time.perf_counter()
    made = extend_run(
        options.run,
        options.label,
        options.output,
        like=like,
        similarity=similarity,
        images=paths,
        log=show,
    )
    similar = ", ".join(f"{name} {share:.2f}" for name, share in made.label.like.items())
    show(
        f"{options.label}: {made.label.images} images, similar labels: {similar or 'none'}; "
        f"{made.folder} has {len(made.model.labels)} labels, "
        f"{time.perf_counter() - began:.1f} s"
    )


def _shares(text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, colon, share = part.rpartition(":")
        try:
            name, value = (name, float(share)) if colon else (part, 1.0)
        except ValueError:
            name, value = part, 1.0  # a name with a colon
        name = name.strip()
        if not 0 < value < float("inf"):
            raise InputError(f"--like: the weight of {name!r} is {value:g}: must be above 0")
        if not name or name in shares:
            raise InputError(f"--like {text}: give different labels, separated by commas")
        shares[name] = value
    return shares

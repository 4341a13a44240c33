"""``gatlabel predict``."""

from __future__ import annotations

from pathlib import Path

from gatlabel.cli.output import add_row, make_table, show_json, show_table
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.data.image_files import MAX_PIXELS
from gatlabel.errors import InputError

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def predict_parser() -> Parser:
    """Makes the parser of the command."""
    parser = make_parser("predict", "Labels images with a trained run or a bundle.")
    parser.add_argument(
        "run", type=Path, help="The run folder, or a bundle that gatlabel export wrote."
    )
    parser.add_argument("images", nargs="+", type=Path, help="Images, or folders of images.")
    parser.add_argument("--json", type=bool, default=False, help="Print JSON instead of a table.")
    parser.add_argument(
        "--threshold",
        type=float | None,
        help="Probability from which a label is present; default: the bundle's, 0.5 for a run.",
    )
    parser.add_argument(
        "--on-error", type=str, default="stop", help="At an image that cannot be read: stop, skip."
    )
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, help="Most pixels that an image may have."
    )
    parser.add_argument(
        "--device", type=str, default="auto", help="auto, cpu, cuda, cuda:1 or mps."
    )
    return parser


def predict_command(words: list[str]) -> None:
    """Labels images, or all images of folders."""
    options = parse(predict_parser(), words)
    paths = [path for given in options.images for path in image_paths(given)]
    from gatlabel.deploy import Predictor

    predictor = Predictor.load(
        options.run,
        threshold=options.threshold,
        device=options.device,
        max_pixels=options.max_pixels,
    )
    predictions = predictor([str(path) for path in paths], on_error=options.on_error)
    if options.json:
        show_json([prediction.to_dict() for prediction in predictions])
        return
    table = make_table(("image", "labels", "next best"), left=3)
    for prediction in predictions:
        if not prediction.ok:
            add_row(table, prediction.source, prediction.error or "", "", style="red")
            continue
        shown = [f"{name} {prediction.probabilities[name]:.2f}" for name in prediction.labels]
        others = [(n, p) for n, p in prediction.top(len(shown) + 2) if n not in prediction.labels]
        rest = [f"{name} {probability:.2f}" for name, probability in others]
        add_row(table, prediction.source, ", ".join(shown) or "–", ", ".join(rest))
    show_table(table)


def image_paths(path: Path) -> list[Path]:
    """Returns an image file, or all image files below a folder.

    Raises:
        InputError: If the folder has none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGES)
    if not found:
        raise InputError(f"the folder {path} has no images ({', '.join(IMAGES)})")
    return found

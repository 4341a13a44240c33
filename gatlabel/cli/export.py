"""``gatlabel export``."""

from __future__ import annotations

from pathlib import Path

from gatlabel.cli.output import show
from gatlabel.cli.parsing import Parser, make_parser, parse

DESCRIPTION = (
    "Exports a trained run as a bundle: a folder with the model as one file, which runs without "
    "gatlabel, and bundle.json, which says how to use it. The file takes RGB bytes and gives "
    "logits; a graph head that can be is folded into one linear layer. The bundle appears only if "
    "its logits agree with the run's. gatlabel predict takes bundles too."
)


def export_parser() -> Parser:
    """Makes the parser of the command."""
    parser = make_parser("export", DESCRIPTION)
    parser.add_argument("run", type=Path, help="The run folder.")
    parser.add_argument(
        "--format",
        type=str,
        default="onnx",
        help="onnx (needs the extra onnx), or pt2: a program for torch.export.load.",
    )
    parser.add_argument(
        "--output", type=Path | None, help="The bundle to write; default: RUN/FORMAT."
    )
    parser.add_argument(
        "--overwrite", type=bool, default=False, help="Replace a bundle that stands there."
    )
    parser.add_argument(
        "--threshold",
        type=float | None,
        help="Probability from which a label is present; default: the decision of the run.",
    )
    return parser


def export_command(words: list[str]) -> None:
    """Exports a run, and says how well the file agrees with it."""
    options = parse(export_parser(), words)
    from gatlabel.deploy import export_model

    output = options.output or options.run / options.format
    export = export_model(
        options.run,
        output,
        format=options.format,
        threshold=options.threshold,
        overwrite=options.overwrite,
    )
    head = "head folded" if export.folded else "head as it is"
    show(
        f"{export.file}: {export.size / 1e6:.1f} MB, {head}; logits differ from the run's by up to "
        f"{export.parity.greatest_difference:.1e} (largest {export.parity.greatest_logit:.1f})"
    )

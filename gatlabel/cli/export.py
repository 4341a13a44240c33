"""``gatlabel export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gatlabel.cli.options import Flag, add_options, flags_of, given_options, topic_help
from gatlabel.cli.output import show
from gatlabel.cli.parsing import Namespace, Parser, make_parser, parse
from gatlabel.errors import InputError
from gatlabel.model.formats import has_tasks
from gatlabel.option_values import from_text
from gatlabel.options import nested, updated
from gatlabel.training.config import TrainConfig

if TYPE_CHECKING:
    from gatlabel.deploy import Export
    from gatlabel.deploy.onnx_resizing import ResizingParity
    from gatlabel.deploy.quantization import Quantization

DESCRIPTION = (
    "Exports a trained run as a bundle: a folder with the model as one file, which runs without "
    "gatlabel, and bundle.json, which describes it. The file takes RGB bytes and returns logits; a "
    "graph head is folded into one linear layer if possible. The bundle is written only if its "
    "logits agree with the run's, or if quantization costs at most --max-loss points of mAP."
)
SPLITS = ("train", "val", "test")


def export_parser() -> Parser:
    """Creates the parser of the command."""
    flags = _flags()

    def help_on(topic: str | None) -> str:
        return basic if topic is None else topic_help(topic, flags)

    parser = make_parser("export", DESCRIPTION, help_on)
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
    parser.add_argument("--overwrite", type=bool, default=False, help="Replace an existing bundle.")
    parser.add_argument(
        "--threshold",
        type=float | None,
        help="Probability from which a label is present; default: the decision of the run.",
    )
    parser.add_argument(
        "--batch", type=int | None, help="Fix the batch size; default: any number of images."
    )
    parser.add_argument(
        "--preprocess",
        type=bool,
        default=False,
        help="Include resizing in the file, which then takes uint8 images of any size (onnx).",
    )
    parser.add_argument("--half", type=bool, default=False, help="Compute in float16, for GPUs.")
    parser.add_argument(
        "--quantize",
        type=Literal["static", "dynamic"] | None,
        help="8-bit integers (onnx): static, with calibration images; dynamic, linear layers only.",
    )
    parser.add_argument(
        "--calibration-images",
        type=str | None,
        help="Calibration images of static: train (default), val or test of the run's data, or a "
        "folder or pattern of images.",
    )
    parser.add_argument(
        "--evaluation-split",
        type=Literal["train", "val", "test"] | None,
        help="Split on which the loss of mAP is measured; default: test, else val, of the run's "
        "data.",
    )
    parser.add_argument(
        "--max-loss",
        type=float | None,
        help="Maximum loss of quantization, in points of mAP; default: 1.",
    )
    basic = f"{parser.format_help()}\ngatlabel export --help data lists options of other data."
    add_options(parser, flags)
    return parser


def export_command(words: list[str]) -> None:
    """Exports a run, and prints the differences between the file's outputs and the run's."""
    options = parse(export_parser(), words)
    given = given_options(options, _flags())
    if given and options.quantize is None:
        raise InputError("options of data are for --quantize only, which measures mAP on the data")
    for name in ("calibration_images", "evaluation_split", "max_loss"):
        if options[name] is not None and options.quantize is None:
            raise InputError(f"--{name.replace('_', '-')} {options[name]}: only with --quantize")
    from gatlabel.deploy import export_model

    output = options.output or options.run / options.format
    if has_tasks(options.run):
        _export_tasks(options, output)
        return
    export = export_model(
        options.run,
        output,
        format=options.format,
        threshold=options.threshold,
        overwrite=options.overwrite,
        batch=options.batch,
        preprocess=options.preprocess,
        half=options.half,
        quantization=None if options.quantize is None else _quantization(options, given),
    )
    show(*_report(export))


def _export_tasks(options: Namespace, output: Path) -> None:
    """Exports a run with several tasks.

    Raises:
        InputError: If an option is given that only a run with one task has.
    """
    for name in ("threshold", "quantize"):
        if options[name] is not None:
            raise InputError(f"--{name}: not for a run with several tasks")
    from gatlabel.deploy.task_export import export_tasks

    export = export_tasks(
        options.run,
        output,
        format=options.format,
        overwrite=options.overwrite,
        batch=options.batch,
        preprocess=options.preprocess,
        half=options.half,
    )
    show(f"{export.file}: {export.size / 1e6:.1f} MB, an output for each task")
    for name, parity in export.parity.items():
        show(
            f"{name}: differs from the run's by up to {parity.greatest_difference:.1e} (largest "
            f"{parity.greatest_logit:.1f})"
        )
    show(*_resizing(export.resizing))


def _report(export: Export) -> list[str]:
    head = "head folded" if export.folded else "head not folded"
    lines = [
        f"{export.file}: {export.size / 1e6:.1f} MB, {head}; logits differ from the run's by up to "
        f"{export.parity.greatest_difference:.1e} (largest {export.parity.greatest_logit:.1f})"
    ]
    lines += _resizing(export.resizing)
    if export.loss is not None:
        loss = export.loss
        lines.append(
            f"mAP {100 * loss.before:.2f} before and {100 * loss.after:.2f} after quantization, on "
            f"{loss.images} images: {loss.points:+.2f} points lost, allowed {loss.max_loss:g}"
        )
    return lines


def _resizing(found: ResizingParity | None) -> list[str]:
    if found is None:
        return []
    return [
        f"resizing in the file: pixel values differ from those of evaluation by up to "
        f"{found.largest_difference} of 255, {found.differing:.1%} of them"
    ]


def _quantization(options: Namespace, given: dict[str, Any]) -> Quantization:
    """Reads the data for the measurement of mAP and for calibration."""
    from gatlabel.deploy.quantization import Quantization
    from gatlabel.training.data import read_data
    from gatlabel.training.finished_runs import open_run

    config = open_run(options.run)[1]
    config = updated(config, nested(given), from_text)
    splits = {name: source for name, source in read_data(config).items() if len(source)}
    split = options.evaluation_split or ("test" if "test" in splits else "val")
    images = options.calibration_images or ("train" if options.quantize == "static" else None)
    for name in {split, images} & {split, *SPLITS}:
        if name not in splits:
            raise InputError(f"the data has no split {name!r} with images: {', '.join(splits)}")
    calibration = splits[images] if images in SPLITS else images
    max_loss = 1.0 if options.max_loss is None else options.max_loss
    return Quantization(options.quantize, splits[split], calibration, max_loss)


def _flags() -> list[Flag]:
    """Returns the options of data sets."""
    return [flag for flag in flags_of(TrainConfig) if flag.path.partition(".")[0] == "data"]

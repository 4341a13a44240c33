"""``gatlabel pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatlabel.cli.options import add_options, flags_of, given_options, short_help, topic_help
from gatlabel.cli.output import note, show
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.errors import InputError
from gatlabel.option_values import from_text
from gatlabel.options import nested, updated
from gatlabel.pretraining.config import PretrainConfig

DESCRIPTION = (
    "Trains an encoder on the images of a folder, without labels, by comparing random views of "
    "them. Use the run folder as weights: gatlabel train --weights RUN. Needs the extra "
    "pretraining."
)
OTHERS = {"FOLDER": "The images, also in subfolders", "--resume": "Run folder to continue"}


def pretrain_parser() -> Parser:
    """Creates the parser of the command."""
    flags = flags_of(PretrainConfig)

    def help_on(topic: str | None) -> str:
        if topic is None or topic.startswith("-"):
            return short_help("gatlabel pretrain [options] FOLDER", DESCRIPTION, flags, OTHERS)
        return topic_help(topic, flags)

    parser = make_parser("pretrain", DESCRIPTION, help_on)
    parser.add_argument("folder", type=Path | None, nargs="?", help="The images.")
    parser.add_argument("--resume", type=Path | None, help="Run folder to continue.")
    add_options(parser, flags)
    return parser


def pretrain_command(words: list[str]) -> None:
    """Pretrains, or resumes an interrupted run, and prints the quality of the features."""
    options = parse(pretrain_parser(), words)
    named = given_options(options, flags_of(PretrainConfig))
    if options.resume is not None:
        further = [name for name in named if name != "output"]
        if options.folder is not None or further:
            given = f"--{further[0].replace('_', '-')}" if further else str(options.folder)
            raise InputError(f"{given}: not with --resume, which uses the options of the run")
        from gatlabel.pretraining.run import resume_pretraining

        _show(resume_pretraining(options.resume, log=note))
        return
    if options.folder is None:
        raise InputError("pretrain: give a folder of images")
    config: PretrainConfig = updated(PretrainConfig(), nested(named), from_text)
    from gatlabel.pretraining.run import pretrain

    _show(pretrain(options.folder, config, log=note))


def _show(result: Any) -> None:
    last = result.curves[-1]
    if "val_linear" in last:
        show(
            f"mAP on the features: ridge regression {last['val_linear']:.3f}, nearest neighbours "
            f"{last['val_neighbours']:.3f} (leave-one-out)"
        )
    show(f"to continue: gatlabel train --weights {result.folder}")

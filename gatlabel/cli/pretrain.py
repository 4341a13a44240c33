"""``gatlabel pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatlabel.cli.config_files import CONFIG_HELP, add_config_arguments, options_in, show_config
from gatlabel.cli.options import add_options, flags_of, given_options, short_help, topic_help
from gatlabel.cli.output import note, show
from gatlabel.cli.parsing import Parser, make_parser, parse
from gatlabel.errors import InputError
from gatlabel.option_values import from_text
from gatlabel.options import nested, updated
from gatlabel.pretraining.config import PretrainConfig
from gatlabel.training.config import read_options

DESCRIPTION = (
    "Trains an encoder on the images of a folder, without labels, by comparing random views of "
    "them. Use the run folder as weights: gatlabel train --weights RUN. Needs the extra "
    "pretraining."
)
OTHERS = {
    "FOLDER": "The images, also in subfolders",
    **CONFIG_HELP,
    "--resume": "Run folder to go on with",
}


def pretrain_parser() -> Parser:
    """Creates the parser of the command."""
    flags = flags_of(PretrainConfig)

    def help_on(topic: str | None) -> str:
        if topic is None or topic.startswith("-"):
            return short_help("gatlabel pretrain [options] FOLDER", DESCRIPTION, flags, OTHERS)
        return topic_help(topic, flags)

    parser = make_parser("pretrain", DESCRIPTION, help_on)
    parser.add_argument("folder", type=Path | None, nargs="?", help="The images.")
    add_config_arguments(parser)
    parser.add_argument("--resume", type=Path | None, help="Run folder to go on with.")
    add_options(parser, flags)
    return parser


def pretrain_command(words: list[str]) -> None:
    """Pretrains, or resumes an interrupted run, and prints the quality of the features."""
    options = parse(pretrain_parser(), words)
    named = given_options(options, flags_of(PretrainConfig))
    if options.resume is not None:
        further = [name for name in named if name != "output"]
        further += [name for name in ("config", "print_config") if options[name]]
        if options.folder is not None or further:
            given = f"--{further[0].replace('_', '-')}" if further else str(options.folder)
            raise InputError(f"{given}: not with --resume, which uses the options of the run")
        from gatlabel.pretraining.run import resume_pretraining

        _show(resume_pretraining(options.resume, log=note))
        return
    folder, base = options.folder, PretrainConfig()
    if options.config is not None:
        written = read_options(options.config)
        images = written.pop("images", None)
        folder = Path(str(images)) if folder is None and images is not None else folder
        base = options_in(PretrainConfig, options.config, written)
    config: PretrainConfig = updated(base, nested(named), from_text)
    if options.print_config:
        show_config({"images": None if folder is None else str(folder), **config.to_dict()})
        return
    if folder is None:
        raise InputError("pretrain: give the folder of images")
    from gatlabel.pretraining.run import pretrain

    _show(pretrain(folder, config, log=note))


def _show(result: Any) -> None:
    last = result.curves[-1]
    if "val_linear" in last:
        show(
            f"mAP on the features: ridge regression {last['val_linear']:.3f}, nearest neighbours "
            f"{last['val_neighbours']:.3f} (leave-one-out)"
        )
    show(f"to continue: gatlabel train --weights {result.folder}")

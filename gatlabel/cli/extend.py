"""``gatlabel extend``."""

from __future__ import annotations

import time

from gatlabel.cli.config_files import config_parser, configured, require_options, show_config
from gatlabel.cli.output import show
from gatlabel.cli.parsing import Parser, parse
from gatlabel.fewshot.options import ExtendConfig

DESCRIPTION = (
    "Adds a label to a trained run without training, and writes a new run. The classifiers of "
    "the other labels are unchanged to the last bit."
)


PLACES = {"run": "The run folder"}


def extend_parser() -> Parser:
    """Makes the parser of the command."""
    return config_parser("extend", DESCRIPTION, ExtendConfig, PLACES)


def extend_command(words: list[str]) -> None:
    """Adds a label to a run."""
    options = parse(extend_parser(), words)
    config = configured(ExtendConfig, options, PLACES)
    if options.print_config:
        show_config(config.to_dict())
        return
    require_options(
        config,
        "extend",
        run="the run folder",
        label="the new label: --label NAME",
        output="the new run folder: --output FOLDER",
    )
    assert config.run is not None
    assert config.label is not None
    assert config.output is not None
    from gatlabel.fewshot.extending import extend_run
    from gatlabel.fewshot.run_features import image_paths

    shares = config.shares()
    began = time.perf_counter()
    made = extend_run(
        config.run,
        config.label,
        config.output,
        like=shares or None,
        similarity=config.similarity,
        images=image_paths(config.images),
        log=show,
    )
    similar = ", ".join(f"{name} {share:.2f}" for name, share in made.label.like.items())
    show(
        f"{config.label}: {made.label.images} images, similar labels: {similar or 'none'}; "
        f"{made.folder} has {len(made.model.labels)} labels, "
        f"{time.perf_counter() - began:.1f} s",
        *made.notes,
    )

"""The options of a training run: one dataclass with a group for each part.

The names are the same in ``config.yaml``, on the command line (``--optimizer.lr 0.001``) and here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gatlabel.errors import InputError
from gatlabel.files import write_text
from gatlabel.options import with_absolute_paths
from gatlabel.reading import read_text
from gatlabel.training.parts import TrainParts
from gatlabel.yaml_reading import parse_yaml

LARGEST_CONFIG = 1 << 20  # bytes; a file with every option has about 4,000


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainParts):
    """All options of ``gatlabel train``.

    For an option that is a choice, a plain name selects the choice with its defaults::

        TrainConfig(head="conditioned")
        TrainConfig(head=GAT(hidden=128), data=CSV(root="photos"))
        TrainConfig().with_options({"head.hidden": 128, "optimizer.lr": 1e-3})
    """

    def resolved(self) -> TrainConfig:
        """Returns the config with all unset options set, so that the run can be repeated.

        See :func:`gatlabel.training.resolving.choices_of`. Paths become absolute, except that of
        the run folder, since a run folder is read from any working directory.
        """
        from gatlabel.training.resolving import choices_of

        return with_absolute_paths(self.with_options(choices_of(self)))

    def save(self, path: Path) -> None:
        """Writes a YAML file for ``gatlabel train --config``."""
        write_text(path, self.to_yaml())

    def to_yaml(self) -> str:
        """Returns all options as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def read_options(path: Path) -> dict[str, Any]:
    """Reads the options in a YAML file, without checking them.

    Raises:
        InputError: If the file cannot be read, or is not a mapping.
    """
    text = read_text(path, "config file", LARGEST_CONFIG)
    options = parse_yaml(text, f"the config file {path}")
    if options is not None and not isinstance(options, dict):
        raise InputError(f"the config file {path} has no options: expected lines 'name: value'")
    return options or {}

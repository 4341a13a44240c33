"""The options of a training run, as one typed record of the options of each part.

The same names stand in ``config.yaml``, on the command line (``--optimizer.lr 0.001``) and here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gatlabel.errors import InputError
from gatlabel.files import write_text
from gatlabel.reading import read_text
from gatlabel.training.parts import TrainParts
from gatlabel.yaml_reading import parse_yaml

LARGEST_CONFIG = 1 << 20  # bytes; one with every option has four thousand


@dataclass(frozen=True, kw_only=True)
class TrainConfig(TrainParts):
    """All options of ``gatlabel train``.

    Where an option is a choice, a plain name stands for the choice with its defaults::

        TrainConfig(head="conditioned")
        TrainConfig(head=GAT(hidden=128), data=CSV(root="photos"))
        TrainConfig().with_options({"head.hidden": 128, "optimizer.lr": 1e-3})
    """

    def resolved(self) -> TrainConfig:
        """Returns the config with every choice that was left open made, so that it can be repeated.

        See :func:`gatlabel.training.resolving.open_choices`.
        """
        from gatlabel.training.resolving import open_choices

        return self.with_options(open_choices(self))

    def save(self, path: Path) -> None:
        """Writes a YAML file that ``gatlabel train --config`` runs again."""
        write_text(path, self.to_yaml())

    def to_yaml(self) -> str:
        """Returns all options as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def read_options(path: Path) -> dict[str, Any]:
    """Reads the options that a YAML file sets, unchecked.

    Raises:
        InputError: If the file cannot be read, or is no mapping.
    """
    text = read_text(path, "config file", LARGEST_CONFIG)
    options = parse_yaml(text, f"the config file {path}")
    if options is not None and not isinstance(options, dict):
        raise InputError(f"the config file {path} holds no options: expected lines 'name: value'")
    return options or {}

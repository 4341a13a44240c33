"""The kinds of saved models."""

from __future__ import annotations

import os
from pathlib import Path

from gatlabel.errors import InputError
from gatlabel.files import read_json

#: File of a model's description, and the format of one with several tasks.
FILE, TASKS_FORMAT = "model.json", "gatlabel-tasks-1"


def has_tasks(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has a model with tasks; its validity is checked on loading."""
    path = Path(folder) / FILE
    if not path.is_file():
        return False
    try:
        found = read_json(path, "model description")
    except InputError:
        return False
    return isinstance(found, dict) and found.get("format") == TASKS_FORMAT

"""Replacement of a run by a new one, so that a kill at any moment loses neither.

The new run is written to ``.new-run``. When it is complete, that folder is renamed to
``.new-run-ready``, and the swap can only be completed, not undone. The files of the old run are
removed, the folder is renamed to ``.new-run-moving``, and its files are moved out. ``model.json``
is removed first and moved last. A folder in between has no model, and the error on loading it
explains how to continue.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gatlabel.deploy.description import FILE as BUNDLE
from gatlabel.deploy.formats import FORMATS
from gatlabel.errors import InputError
from gatlabel.files import atomic_path, read_json, remove_leftovers, sync, write_errors

NEW, READY, MOVING = ".new-run", ".new-run-ready", ".new-run-moving"

MODEL = "model.json"
FILES = (
    MODEL, "model.safetensors", "report.html", "metrics.json", "metrics.csv",
    "config.yaml", "labels.json", "counts.json", "graph.json", "out_of_fold.npz",
    "moments.safetensors", "decisions.json", "choices.json",
)  # fmt: skip
"""The files of a run."""
BELOW = {
    ".": ("nonfinite-epoch*-step*.npz", "graph-*.json"),
    "compare": ("*/*.ckpt", "*.json"),
    "checkpoints": ("last.ckpt", "previous.ckpt", "best.ckpt"),
    "tensorboard": ("events.out.tfevents.*", "hparams.yaml"),
}
"""Patterns of further files, by folder."""


def swap(target: Path) -> None:
    """Replaces the run in ``target`` by the finished one in its temporary folder.

    Raises:
        InputError: If a file cannot be moved; :func:`complete_swap` can then continue.
    """
    with write_errors(target, "the run folder "):
        (target / NEW).rename(target / READY)
        sync(target)
    complete_swap(target)


def complete_swap(target: Path) -> bool:
    """Completes an interrupted swap.

    Returns:
        Whether a swap was interrupted.

    Raises:
        InputError: If a file cannot be moved or removed.
    """
    ready, moving = target / READY, target / MOVING
    with write_errors(target, "the run folder "):
        if ready.is_dir():
            for path in list(run_files(target)):
                path.unlink(missing_ok=True)
                _remove_if_empty(path.parent, target)
            ready.rename(moving)
            sync(target)
        if not moving.is_dir():
            return False
        files = [path.relative_to(moving) for path in moving.rglob("*") if not path.is_dir()]
        for name in sorted(files, key=lambda name: (name == Path(MODEL), name)):
            _move(moving / name, target / name)
        sync(target)
        shutil.rmtree(moving)
    return True


def swap_is_pending(target: Path) -> bool:
    """Whether a swap was interrupted."""
    return (target / READY).is_dir() or (target / MOVING).is_dir()


def run_files(target: Path) -> Iterator[Path]:
    """Yields the files of a run and its exports in a folder; other files are the user's."""
    yield from (target / name for name in FILES if (target / name).is_file())
    for bundle in bundles(target):
        # the description last, as it identifies a bundle
        yield from (file for form in FORMATS.values() if (file := bundle / form.file).is_file())
        yield bundle / BUNDLE
    for folder, patterns in BELOW.items():
        remove_leftovers(target / folder)
        yield from (path for pattern in patterns for path in (target / folder).glob(pattern))


def bundles(target: Path) -> list[Path]:
    """Returns the exported bundles of a run, in any subfolder of its folder."""
    found = []
    for path in sorted(target.rglob(BUNDLE)):
        hidden = any(part.startswith(".") for part in path.relative_to(target).parts)
        with suppress(InputError):
            content = read_json(path, "bundle description")
            form = content.get("format") if isinstance(content, dict) else None
            if not hidden and str(form).startswith(("gatlabel-bundle", "gatlabel-tasks-bundle")):
                found.append(path.parent)
    return found


def _remove_if_empty(folder: Path, target: Path) -> None:
    if folder != target and not any(folder.iterdir()):
        with suppress(OSError):  # a mount point, for example
            folder.rmdir()


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # the folder checkpoints may be a link to another disk
            raise
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        source.unlink()

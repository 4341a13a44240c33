"""A finished run takes the place of another, so that a kill at any moment loses neither.

The new run grows in ``.new-run``. When it is complete, that folder becomes ``.new-run-ready``: from
here on the swap goes forward only. The files of the old run are removed, the folder becomes
``.new-run-moving``, and its files are moved out. ``model.json`` is the first file to go and the
last to come: a folder in between has no model, and loading it says how to go on.
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
    "moments.safetensors",
    "decisions.json",
)  # fmt: skip
"""The files of a run."""
BELOW = {
    ".": ("nonfinite-epoch*-step*.npz", "graph-*.json"),
    "compare": ("*/*.ckpt", "*.json"),
    "checkpoints": ("last.ckpt", "previous.ckpt", "best.ckpt"),
    "tensorboard": ("events.out.tfevents.*", "hparams.yaml"),
}
"""By folder, those that are known by patterns."""


def swap(target: Path) -> None:
    """Replaces the run in ``target`` by the finished one that grew in it.

    Raises:
        InputError: If a file cannot be moved; the rest is done by :func:`complete_swap`.
    """
    with write_errors(target, "the run folder "):
        (target / NEW).rename(target / READY)
        sync(target)
    complete_swap(target)


def complete_swap(target: Path) -> bool:
    """Does what is left of a swap.

    Returns:
        Whether anything was left.

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
    """The files that a run, and exports of it, have left in a folder; others are not ours."""
    yield from (target / name for name in FILES if (target / name).is_file())
    for bundle in bundles(target):
        # the description last: it is what a bundle is known by
        yield from (file for form in FORMATS.values() if (file := bundle / form.file).is_file())
        yield bundle / BUNDLE
    for folder, patterns in BELOW.items():
        remove_leftovers(target / folder)
        yield from (path for pattern in patterns for path in (target / folder).glob(pattern))


def bundles(target: Path) -> list[Path]:
    """The exported bundles in a run folder, wherever in it, which answer with its model."""
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

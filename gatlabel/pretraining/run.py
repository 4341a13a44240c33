"""One pre-training run: images, encoder, training, probes, and the run folder."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from gatlabel import data, logs
from gatlabel.csv_files import write_curves
from gatlabel.data import ImageSource
from gatlabel.encoders import create_encoder
from gatlabel.engine.checkpoints import newest_checkpoint
from gatlabel.engine.fitting import fit
from gatlabel.engine.options import OneCycle, OptimizerOptions
from gatlabel.engine.specs import FitSpec
from gatlabel.errors import InputError, Interrupted
from gatlabel.files import read_json, write_json, write_text
from gatlabel.folder_lock import LOCK, FolderLock
from gatlabel.interruptions import Signals, Stopped
from gatlabel.labels import LabelSet
from gatlabel.logs import Log
from gatlabel.model import MultiLabelClassifier
from gatlabel.nn import LinearHead
from gatlabel.option_values import from_yaml
from gatlabel.options import nested, updated
from gatlabel.pretraining.config import PretrainConfig
from gatlabel.pretraining.methods import METHODS
from gatlabel.pretraining.objective import SelfSupervised
from gatlabel.pretraining.probing import COLLAPSED
from gatlabel.pretraining.views import ViewDataset, make_transform, view_loader
from gatlabel.saving import write_state
from gatlabel.training.config import TrainConfig, read_options
from gatlabel.training.data import checked_workers, default_workers

CONFIG, CURVES, RESULT = "config.yaml", "metrics.csv", "metrics.json"
#: The weights that ``--weights RUN`` reads, and the description of their encoder.
WEIGHTS, ENCODER = "encoder.safetensors", "encoder.json"
FORMAT = "gatlabel-encoder-1"
#: Number of images for measuring the spread of features if none is labelled.
UNLABELLED_PROBES = 256


@dataclass(frozen=True)
class PretrainResult:
    """What a pre-training run returns.

    Attributes:
        folder: The run folder.
        model: A classifier with the encoder; its head is untrained.
        curves: One row per epoch: ``train_loss``, ``val_spread``, and ``val_neighbours`` and
            ``val_linear`` where labels were given.
    """

    folder: Path
    model: MultiLabelClassifier
    curves: Sequence[dict[str, float]]


def pretrain(
    images: str | Path | ImageSource,
    config: PretrainConfig | None = None,
    *,
    probes: ImageSource | None = None,
    log: Log = logs.log,
) -> PretrainResult:
    """Pre-trains an encoder on images without labels, and leaves a run folder.

    Args:
        images: A folder of images, or a source, whose targets are not used.
        config: The options.
        probes: Labelled images to evaluate the features on; default: those of ``config.labels``.
        log: Called with progress messages.

    Raises:
        InputError: If options or images are wrong, or the folder is in use; nothing is written.
        Interrupted: On Ctrl-C or SIGTERM; :func:`resume_pretraining` continues the run.

    Example:
        >>> from gatlabel.pretraining import PretrainConfig, pretrain
        >>> result = pretrain("photos", PretrainConfig(epochs=50))  # doctest: +SKIP
    """
    config = config or PretrainConfig()
    folder = config.folder
    # a lock alone is of a run that was killed before it wrote anything
    if folder.is_dir() and any(entry.name != LOCK for entry in folder.iterdir()):
        if not config.overwrite:
            raise InputError(
                f"the folder {folder} is not empty: give another --output, or --overwrite"
            )
        _images_of_run(folder)  # only a pre-training run may be overwritten
    return _locked(images, config, probes, log, resumed=False)


def resume_pretraining(
    folder: str | Path, images: ImageSource | None = None, *, log: Log = logs.log
) -> PretrainResult:
    """Resumes an interrupted run after its last finished epoch.

    Args:
        folder: The run folder.
        images: The source, if the run did not read a folder.
        log: Called with progress messages.

    Raises:
        InputError: If this is not such a run, it is finished, or its checkpoints are damaged.
        Interrupted: As :func:`pretrain`.
    """
    path = Path(folder)
    where, written = _images_of_run(path)
    config: PretrainConfig = updated(PretrainConfig(), nested(written), from_yaml)
    config = config.with_options({"output": path, "overwrite": True})
    if (path / RESULT).is_file():
        raise InputError(f"the run {path} is finished: nothing to resume")
    given = where if images is None else images
    if given is None:
        raise InputError(f"the run {path} did not read a folder: give its source of images")
    return _locked(given, config, None, log, resumed=True)


def _images_of_run(folder: Path) -> tuple[str | None, dict[str, Any]]:
    """Returns the folder of images and the options of a run.

    Raises:
        InputError: If the folder is not a pre-training run.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder} is not a pre-training run: it has no {CONFIG}")
    written = read_options(folder / CONFIG)
    if "images" not in written:
        raise InputError(f"{folder / CONFIG} is not of a pre-training run")
    return written.pop("images"), written


def _locked(
    images: str | Path | ImageSource,
    config: PretrainConfig,
    probes: ImageSource | None,
    log: Log,
    *,
    resumed: bool,
) -> PretrainResult:
    folder = config.folder
    prepared = _prepare(images, config, probes, log)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with Signals() as signals, signals.first(), FolderLock(folder):
            return _train(images, config, *prepared, log, signals, resumed=resumed)
    except Stopped as stop:
        raise Interrupted(
            f"{stop}; continue with: gatlabel pretrain --resume {shlex.quote(str(folder))}",
            stop.exit_code,
        ) from None


def _prepare(
    images: str | Path | ImageSource,
    config: PretrainConfig,
    probes: ImageSource | None,
    log: Log,
) -> tuple[ImageSource, ImageSource, MultiLabelClassifier]:
    """Reads and checks all inputs of the run before anything is written."""
    nothing = LabelSet(["any"])
    source = images if isinstance(images, ImageSource) else data.unlabelled_images(images, nothing)
    source, notes = data.check_images(source, config.on_error)
    if probes is None and config.labels is not None:
        root = config.labels.absolute().parent
        splits = data.read_csv(root, config.labels.absolute(), on_error="skip")
        probes = data.JoinedImages([each for _, each in splits.items()])
    if probes is None:
        few = range(0, len(source), max(1, len(source) // UNLABELLED_PROBES))
        probes = source.subset(list(few)[:UNLABELLED_PROBES])
        probes = probes.with_targets(torch.full(probes.targets.shape, -1.0))
    for note in notes:
        log(note)
    torch.manual_seed(config.seed)
    encoder = create_encoder(_backbone(config), weights=config.weights, stride=config.stride)
    head = LinearHead(encoder.pooled_features, labels=probes.labels)
    model = MultiLabelClassifier(encoder, head, probes.labels, image_size=config.image_size)
    log(f"images: {len(source)}; encoder: {encoder.name}, weights {config.weights or 'none'}")
    return source, probes, model


def _backbone(config: PretrainConfig) -> str:
    if config.backbone != "auto":
        return config.backbone
    return TrainConfig().resolved().encoder.backbone


def _train(
    images: str | Path | ImageSource,
    config: PretrainConfig,
    source: ImageSource,
    probes: ImageSource,
    model: MultiLabelClassifier,
    log: Log,
    signals: Signals,
    *,
    resumed: bool,
) -> PretrainResult:
    folder = config.folder
    workers = default_workers() if config.workers is None else checked_workers(config.workers)
    transform = make_transform(
        config.method, model.preprocessing, config.smallest_crop, config.colour, config.grey
    )
    views = ViewDataset(source, transform)
    size = config.images_per_step(len(source))
    train = view_loader(views, size, seed=config.seed, workers=workers)
    whole = data.ImageDataset(probes, model.preprocessing.transform(), cache="memory")
    judged = data.loader(whole, 2 * size, train=False)
    torch.manual_seed(config.seed)
    method = METHODS[config.method](model.encoder.pooled_features)
    objective = SelfSupervised(method, model, config.epochs * len(train))
    checkpoint = newest_checkpoint(folder / "checkpoints", log) if resumed else None
    if not resumed:
        for name in (RESULT, ENCODER, WEIGHTS, CURVES):  # of a run that is overwritten
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        place = None if isinstance(images, ImageSource) else str(Path(images).absolute())
        _write_config(folder, config, place)
    (folder / "checkpoints").mkdir(exist_ok=True)
    curves = fit(
        model,
        (train, judged),
        objective,
        OptimizerOptions(
            lr=config.lr, encoder_lr=1.0, weight_decay=config.weight_decay,
            schedule=OneCycle(warmup=config.warmup), ema=0.0, clip_gradient=3.0,
        ),
        FitSpec(
            epochs=config.epochs, seed=config.seed, device=config.device, amp=config.amp,
            progress=config.progress,
        ),
        checkpoints=folder / "checkpoints",
        resume=checkpoint,
        write_curves=lambda rows: _write_curves(folder, rows, log),
        signals=signals,
        log=log,
    )  # fmt: skip
    described = {"format": FORMAT, "encoder": model.encoder.config, "method": config.method}
    write_state(model.encoder, folder / WEIGHTS)
    write_json(folder / ENCODER, {**described, "image_size": config.image_size})
    write_json(folder / RESULT, {"metrics": curves[-1], "images": len(source)})
    return PretrainResult(folder, model, curves)


def _write_config(folder: Path, config: PretrainConfig, images: str | None) -> None:
    options = {"images": images, **config.to_dict()}
    write_text(folder / CONFIG, yaml.safe_dump(options, sort_keys=False, allow_unicode=True))


def _write_curves(folder: Path, rows: Sequence[dict[str, float]], log: Log) -> None:
    write_curves(folder / CURVES, rows)
    spread = rows[-1].get("val_spread", 1.0)
    if spread < COLLAPSED and len(rows) > 1:
        log(
            f"warning: the features have collapsed (spread {spread:.2f}, below {COLLAPSED}): all "
            "images have nearly the same features; try another --method, or a lower --lr"
        )


def encoder_description(folder: Path) -> dict[str, Any]:
    """Returns the description of the encoder of a run: name, method and image size.

    Raises:
        InputError: If the folder is not a finished pre-training run.
    """
    found = read_json(folder / ENCODER, "description of an encoder")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{folder / ENCODER} is not of the format {FORMAT!r}")
    return found

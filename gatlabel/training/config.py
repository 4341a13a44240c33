"""The options of a training run, as one flat typed record.

The same names stand in ``config.yaml``, on the command line (``--image-size 224``) and here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from gatlabel.errors import InputError, nearest
from gatlabel.files import write_text
from gatlabel.reading import read_text
from gatlabel.training.option_checks import check_options
from gatlabel.yaml_reading import parse_yaml

LARGEST_CONFIG = 1 << 20  # bytes; one with every option has four thousand
SCENE_SIZE = 96  # side in pixels of the pictures that the presets of scenes draw


@dataclass(frozen=True)
class TrainConfig:
    """All options of ``gatlabel train``.

    Attributes:
        recipe: Name of the recipe the defaults were taken from: auto, plain, mlgcn or asl.
        preset: auto: fast (one pass over the images), good, or best (all that has a chance).
        time: auto: how long training may take, as 10m, 90s or 1h; none: as long as the preset has
            a use for. The first model takes one pass over the images whatever is said here.
        data: Kind of data set: scenes, csv, voc, coco or json.
        root: Folder that the pictures' paths are relative to.
        annotations: The annotation file, below root if it is a relative path.
        classes: File with one label name a line, in the order wanted.
        image_column: csv: column of the pictures' paths.
        label_column: csv: column of the labels (or one column a label if it is missing).
        label_columns: csv: the columns of one-hot labels, as [cat,dog]; none finds them.
        separator: csv: what stands between labels in one cell.
        delimiter: csv: what stands between cells.
        split_column: csv: column that names the split; none splits at random, stratified.
        group_column: csv and json: column (json: key) of the image's group, such as its patient or
            video; splits that are made here keep groups together.
        unknown_column: csv: column with the labels of which nothing is known.
        difficult_column: csv: column with the labels whose objects are all hard to tell.
        minus_one: csv and json with one number per label: what -1 is, absent or unknown; none takes
            unknown where absence is written as 0, and asks otherwise.
        train_set: What to train on: the image set (voc; train is the default), the annotation
            file (coco), or the list (json), below root.
        val_set: What to choose by, likewise; voc: no cuts it from the training pictures.
        test_set: What to test on, likewise.
        images: coco and json: the folder below root that pictures' paths are relative to.
        crowd: coco: what a label with crowds only is read as: unknown, positive or negative.
        drop_empty: coco: leave out pictures without any instance.
        fractions: Shares of train, val and test where the data has no split of its own.
        year: voc and coco: year of the challenge (2007 and 2017 where none is given).
        download: voc and coco: download what is missing.
        difficult: What difficult objects are read as: unknown, positive or negative.
        on_error: What to do with a picture that cannot be decoded: stop or skip.
        max_pixels: Most pixels (width times height) that an image file may say that it has; a
            larger one is not decoded, and counts as one that cannot be.
        scene_preset: scenes: voc or coco.
        scene_size: scenes: side of the drawn pictures in pixels; none takes the preset's, as for
            the options that follow.
        scene_hidden: scenes: probability that a present label cannot be seen, at least 0, below 1.
        scene_difficulty: scenes: 0 to 1: how small, faint, turned and covered objects get.
        scene_strength: scenes: factor on the couplings of the true label graph, 0 to 2.
        scene_long_tail: scenes: exponent on the label frequencies, 0 to 2.
        label_noise: Share of each label's training positives that change places with negatives.
        hide_labels: Share of the known training labels to make unknown, or single: all but one
            label a picture that is present. To measure what unknown labels cost.
        train_pictures: scenes: number of training pictures.
        test_pictures: scenes: number of validation and of test pictures.
        backbone: Encoder: a torchvision CNN, efficientnet_lite0/1/2, or timm:NAME; auto takes
            efficientnet_lite0 if the extra lite is installed, else resnet18 from random weights.
        weights: Encoder weights: default (ImageNet), a torchvision weight name, a file, or none
            (random).
        init: Run folder whose model to start from, with a new schedule: the encoder is taken whole,
            of the head the classifiers of labels with the same names.
        start: Where the classifiers start: random, or ridge (regression on the features of the
            encoder as it is, its penalty chosen by leave-one-out).
        similarity: gat, gatv2, pyg with a start in closed form: which labels share classifiers, and
            how strongly: auto (chosen from the training images), none, or a choice as an earlier
            run's config.yaml has it.
        stride: Pixels a cell of the encoder's map: 16 or 8 end the encoder earlier, for small
            objects and small pictures; none keeps it whole (mostly 32), and takes 16 for scenes
            with backbone auto.
        stages: Last stages of the encoder whose pooled maps are the features, side by side and each
            brought to one scale; 1 is the last map as it is (with init: what that model has).
        freeze: What does not learn: none, norms (batch norms keep their
            statistics: for a few hundred photographs), or encoder (head alone learns).
        pooling: From feature map to features: average, max or gem; none takes average, and gem
            for scenes, whose objects are small.
        image_size: Side of the pictures in pixels; none takes the encoder's preferred size, and
            for scenes the size they are drawn in.
        resize: How whole pictures are brought to size: squash, pad or crop.
        augmentation: Changes of training pictures: none, light, standard, turned, strong,
            mlgcn or asl.
        cache: Keep decoded, resized pictures: in memory, on disk (for this run and later ones),
            none, or auto (in memory, up to 2 GB).
        cache_folder: Where a cache on disk, and features of the encoder, are kept.
        workers: Processes that load pictures; none takes what suits the machine.
        head: Head: gat, gatv2, gcn or pyg (over the label graph), conditioned (over the graph, by
            what each picture shows), csra or query (attention to the picture, no graph), or linear.
        node_features: Label vectors for the graph: svd (of the counts), names (what the labels'
            names mean; extra names), learned, or a file (npz or GloVe text).
        hidden: Total width of the head's inner layer; none takes the head's own default.
        heads: Number of attention heads; none takes the head's own default.
        base: What a gat head starts from: classifiers or nodes.
        layers: Number of graph-attention layers with base nodes.
        decoder_layers: query: number of decoder layers; none takes the head's own default.
        self_attention: query: labels also attend to each other, as in Query2Label.
        lam: csra: weight of the attended score beside the average; none takes the head's own
            default.
        conv: pyg: name of a class of torch_geometric.nn.conv, such as SAGEConv.
        steps: conditioned: how often evidence passes along the edges; 0 sends none.
        kinship: gat, gatv2, pyg: share that similar labels have in a label's classifier; none takes
            0.5 on a graph of similarity (knn:vectors=names), else 0. Labels with
            many pictures take less.
        dropout: Probability of dropping an attention weight in training; none leaves it to the
            head (query: 0.1 of its units too, others 0).
        graph: Label graph: a variant with its options, as npmi:top_k=5,threshold=0.1 (conditional,
            npmi, lift, knn, mlgcn_code, mlgcn_paper, complete, identity, random, permuted), or the
            file of a graph (graph.json, or an edge list: edges.csv:relation=similarity).
        loss: Loss: bce, focal or asl.
        gamma_positive: asl and focal: focusing exponent of positives; none takes the loss's own,
            0 for asl and 2 for focal.
        gamma_negative: asl: focusing exponent of negatives; none takes 4.
        clip: asl: probability by which negatives are shifted; none takes 0.05.
        unknown: What unknown training labels are treated as: ignore, negative, prior, or complete
            (by picture and label graph).
        epochs: Passes over the training pictures; none takes 12, and 4 for scenes.
        batch_size: Pictures in a step.
        optimizer: Optimiser: adamw or sgd.
        lr: Largest learning rate of the head, or find: by a ramp of rates before training.
        encoder_lr: Factor on the learning rate for the encoder; none takes 0.1, and 1 for scenes,
            which look like nothing in ImageNet.
        weight_decay: Weight decay, on weights but not on biases and norms.
        shrinkage: Weight decay of the part in which a gat head leaves the linear classifier.
        schedule: Learning-rate schedule: onecycle, step or constant.
        warmup: onecycle: share of the steps in which the rate rises.
        step_epochs: step: epochs between two tenfold decays.
        clip_gradient: Largest norm of the gradient; 0 clips nothing.
        ema: Decay of the moving average of the weights that is evaluated; 0 for none.
        amp: Mixed precision: auto (on CUDA), on or off.
        compile: Compile the encoder (torch.compile), which takes a while at first. Gains nothing on
            CPUs, where it needs a C++ compiler.
        on_nan: What to do with a batch whose loss or gradient is not finite: stop (the batch is
            saved in the run folder) or skip it.
        patience: Stop when validation mAP has not risen for this many epochs; 0 never stops.
        keep: Which weights become the model: last, best (by validation mAP), or proven (the last,
            if they have gained on the start in closed form by more than the standard error).
        folds: Also train without each of so many parts of the training images, and keep what is
            said of the part left out, in out_of_fold.npz; keep=proven then goes by that. The model
            is the one that learned from all training images.
        device: auto, cpu, cuda, cuda:1 or mps.
        seed: Seed of everything random.
        compare: Also train a linear head alike, and print it beside: auto (for scenes), yes or no.
        output: Run folder; none makes one below runs/.
        overwrite: Write into a run folder that exists already.
        tensorboard: Also write TensorBoard logs (extra tensorboard).
        progress: Show a progress bar.
    """

    recipe: str = "plain"
    preset: Literal["fast", "good", "best"] = "good"
    time: str | None = None
    data: Literal["scenes", "csv", "voc", "coco", "json"] = "scenes"
    root: Path | None = None
    annotations: Path | None = None
    classes: Path | None = None
    image_column: str = "image"
    label_column: str = "labels"
    label_columns: tuple[str, ...] | None = None
    separator: str = "|"
    delimiter: str = ","
    split_column: str | None = "split"
    group_column: str | None = None
    unknown_column: str = "unknown"
    difficult_column: str = "difficult"
    minus_one: Literal["absent", "unknown"] | None = None
    train_set: str | None = None
    val_set: str | None = None
    test_set: str | None = None
    images: str | None = None
    crowd: Literal["unknown", "positive", "negative"] = "positive"
    drop_empty: bool = False
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    year: str | None = None
    download: bool = False
    difficult: Literal["unknown", "positive", "negative"] = "unknown"
    on_error: Literal["stop", "skip"] = "stop"
    max_pixels: int = 128_000_000
    scene_preset: Literal["voc", "coco"] = "voc"
    scene_size: int | None = None
    scene_hidden: float | None = None
    scene_difficulty: float | None = None
    scene_strength: float | None = None
    scene_long_tail: float | None = None
    label_noise: float = 0.0
    hide_labels: float | Literal["single"] = 0.0
    train_pictures: int = 2000
    test_pictures: int = 600
    backbone: str = "auto"
    weights: str | None = "default"
    init: Path | None = None
    start: Literal["random", "ridge"] | None = "random"
    similarity: str | None = "none"
    stride: int | None = None
    stages: int = 1
    freeze: Literal["none", "norms", "encoder"] | None = "none"
    pooling: Literal["average", "max", "gem"] | None = None
    image_size: int | None = None
    resize: Literal["squash", "pad", "crop"] = "squash"
    augmentation: (
        Literal["none", "light", "standard", "turned", "strong", "mlgcn", "asl"] | None
    ) = "standard"
    cache: Literal["auto", "memory", "disk", "none"] = "auto"
    cache_folder: Path = Path("runs") / "cache"
    workers: int | None = None
    head: Literal["gat", "gatv2", "gcn", "pyg", "conditioned", "csra", "query", "linear"] = "gat"
    node_features: str = "svd"
    hidden: int | None = None
    heads: int | None = None
    base: Literal["classifiers", "nodes"] = "classifiers"
    layers: int = 2
    decoder_layers: int | None = None
    self_attention: bool | None = None
    lam: float | None = None
    conv: str = "TransformerConv"
    steps: int = 2
    kinship: float | None = None
    dropout: float | None = None
    graph: str = "conditional"
    loss: Literal["bce", "focal", "asl"] = "bce"
    gamma_positive: float | None = None
    gamma_negative: float | None = None
    clip: float | None = None
    unknown: Literal["ignore", "negative", "prior", "complete"] = "ignore"
    epochs: int | None = None
    batch_size: int = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float | Literal["find"] | None = 3e-3
    encoder_lr: float | None = None
    weight_decay: float = 1e-2
    shrinkage: float = 1e-1
    schedule: Literal["onecycle", "step", "constant"] = "onecycle"
    warmup: float = 0.2
    step_epochs: int = 10
    clip_gradient: float = 1.0
    ema: float = 0.99
    amp: Literal["auto", "on", "off"] = "auto"
    compile: bool = False
    on_nan: Literal["stop", "skip"] = "stop"
    patience: int = 0
    keep: Literal["last", "best", "proven"] | None = "last"
    folds: int | None = None
    device: str = "auto"
    seed: int = 0
    compare: Literal["auto", "yes", "no"] = "auto"
    output: Path | None = None
    overwrite: bool = False
    tensorboard: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def encoder_text(self) -> str:
        """The encoder in words."""
        stride = f" up to stride {self.stride}" if self.stride else ""
        stages = f", its last {self.stages} stages" if self.stages > 1 else ""
        return f"{self.backbone}{stride}{stages}"

    def resolved(self) -> TrainConfig:
        """Returns the config with every choice that was left open made, so that it can be repeated.

        See :func:`gatlabel.training.resolving.resolved`.
        """
        from gatlabel.training.resolving import resolved

        return resolved(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns all options as primitives (paths as text, tuples as lists)."""
        options = dataclasses.asdict(self)
        for name, value in options.items():
            if isinstance(value, Path):
                options[name] = str(value)
            elif isinstance(value, tuple):
                options[name] = list(value)
        return options

    def save(self, path: Path) -> None:
        """Writes a YAML file that ``gatlabel train --config`` runs again."""
        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))


#: Defaults of versions that wrote these options into every config, whatever the loss.
FORMER = {"gamma_positive": 0.0, "gamma_negative": 4.0, "clip": 0.05}
OPTIONS = tuple(field.name for field in dataclasses.fields(TrainConfig))


def read_options(path: Path) -> dict[str, Any]:
    """Reads the options that a YAML file sets.

    Raises:
        InputError: If the file cannot be read, is no mapping, or names an unknown option (the
            message gives the nearest one).
    """
    text = read_text(path, "config file", LARGEST_CONFIG)
    options = parse_yaml(text, f"the config file {path}")
    options = {} if options is None else options
    if not isinstance(options, dict):
        raise InputError(f"the config file {path} holds no options: expected lines 'name: value'")
    for name in options:
        if name not in OPTIONS:
            raise InputError(f"{path}: unknown option {name!r}{nearest(str(name), OPTIONS)}")
    # YAML reads the words on, off, yes and no as booleans, and a year as a number
    no_yes = ("no", "yes")
    for name, words in (("amp", ("off", "on")), ("compare", no_yes), ("val_set", no_yes)):
        if isinstance(options.get(name), bool):
            options[name] = words[options[name]]
    if options.get("recipe") == "default":  # as earlier versions called it
        options["recipe"] = "plain"
    if options.get("preset") in ("voc", "coco"):  # likewise
        options["scene_preset"] = options.pop("preset")
    if isinstance(options.get("year"), int):
        options["year"] = str(options["year"])
    if options.get("loss") != "asl" and all(options.get(name) is not None for name in FORMER):
        # written before these could be left open; then 0.0 was focal's own gamma as well
        options |= {name: None for name, value in FORMER.items() if options[name] == value}
    return options

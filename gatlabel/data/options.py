"""The options of data sets and of image preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gatlabel.errors import InputError
from gatlabel.options import Options, option
from gatlabel.signatures import derived

Treatment = Literal["unknown", "positive", "negative"]
MAX_PIXELS = 128_000_000
_MANY = 10**6
SCENE_SIZE = 96  # side in pixels of the images of the scene presets


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """A data set. Its options depend on its kind."""

    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Scenes(DataOptions):
    """The built-in set: scenes drawn from a seed, without a download."""

    name: Literal["scenes"] = "scenes"
    preset: Literal["voc", "coco"] = option("voc", "Data set whose label statistics are used.")
    size: int | None = option(
        None, "Side of the drawn images in pixels; none: as in the preset, also for other options.",
        least=1, most=8192,
    )  # fmt: skip
    hidden: float | None = option(
        None, "Probability that a present label cannot be seen.", least=0, below=1
    )
    difficulty: float | None = option(
        None,
        "Degree of reduction, fading, rotation and occlusion of objects, 0 to 1.",
        least=0,
        most=1,
    )
    strength: float | None = option(
        None, "Factor on the couplings of the true label graph, 0 to 2.", least=0, most=2
    )
    long_tail: float | None = option(
        None, "Exponent on the label frequencies, 0 to 2.", least=0, most=2
    )
    train_images: int = option(
        2000, "Number of training images.", least=1, most=_MANY, argument=False
    )
    test_images: int = option(
        600, "Number of validation and of test images.", least=1, most=_MANY, argument=False
    )

    def overrides(self) -> dict[str, Any]:
        """Returns the changes to the preset, by the names in ``SceneConfig``."""
        return {name: v for name, v in self.arguments().items() if name != "preset"}


@dataclass(frozen=True, kw_only=True)
class FileOptions(DataOptions):
    """A data set of image files."""

    root: Path | None = option(
        None, "Folder that image paths are relative to.",
        short="root", argument=False, moves=True, source=True,
    )  # fmt: skip
    on_error: Literal["stop", "skip"] = option(
        "stop", "Treatment of images that cannot be decoded.", argument=False
    )
    max_pixels: int = option(
        MAX_PIXELS,
        "Maximum number of pixels (width times height) of an image file. Larger ones are treated "
        "like images that cannot be decoded.",
        least=1, most=2**40, argument=False,
    )  # fmt: skip
    fractions: tuple[float, float, float] = option(
        (0.7, 0.15, 0.15),
        "Shares of train, val and test if the data define no split.",
        least=0, most=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is None:
            raise InputError("root: needed, the folder of the images")
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise InputError(f"fractions={list(self.fractions)}: three shares that add up to 1")


@dataclass(frozen=True, kw_only=True)
class CSV(FileOptions):
    """A CSV file with one row per image."""

    name: Literal["csv"] = "csv"
    annotations: Path | None = option(
        None, "The annotation file, relative to root; none is labels.csv.",
        argument="file", source=True, absolute=False,
    )  # fmt: skip
    classes: Path | None = option(
        None, "File with one label name per line, in label order.", moves=True
    )
    image_column: str = option("image", "Column of the image paths.")
    label_column: str = option(
        "labels", "Column of the labels; if it is missing, each label has its own column."
    )
    label_columns: tuple[str, ...] | None = option(
        None, "The columns of one-hot labels, such as [cat,dog]; none detects them."
    )
    separator: str = option("|", "Separator between labels in a cell.")
    delimiter: str = option(",", "Delimiter between cells.")
    split_column: str | None = option(
        "split", "Column that names the split; null splits at random, stratified.", source=True
    )
    group_column: str | None = option(
        None,
        "Column of the image's group, such as its patient or video. Splits made here keep groups "
        "together.",
    )
    unknown_column: str = option("unknown", "Column with the labels that are unknown.")
    difficult_column: str = option(
        "difficult", "Column with the labels whose objects are all difficult."
    )
    difficult: Treatment = option("unknown", "Reading of difficult objects.")
    minus_one: Literal["absent", "unknown"] | None = option(
        None,
        "With one number per label: meaning of -1. None is unknown if absence is written as 0; "
        "otherwise the option is required.",
    )
    repeated: Literal["refuse", "average"] = option(
        "refuse",
        "Treatment of an image in several rows: refuse it, or average its targets, such as those "
        "of several annotators.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_columns is not None and self.label_column != "labels":
            raise InputError(
                f"label_column={self.label_column}: not for "
                f"label_columns={', '.join(self.label_columns)}, only for none"
            )

    def arguments(self) -> dict[str, Any]:
        """As in the base class, but a missing split column is an argument too."""
        return {**super().arguments(), "split_column": self.split_column}


@dataclass(frozen=True, kw_only=True)
class VOC(FileOptions):
    """Pascal VOC."""

    name: Literal["voc"] = "voc"
    year: str | None = option(None, "Year of the challenge; none is 2007.", source=True)
    classes: Path | None = option(
        None, "File with one label name per line, in label order.", moves=True
    )
    train_set: str | None = option(
        None, "Image set to train on; none is train.", argument="train", source=True
    )
    val_set: str | None = option(
        None, "Image set for validation; none is val, no takes it from the training images.",
        argument="val", source=True,
    )  # fmt: skip
    test_set: str | None = option(
        None, "Image set to test on; none is test.", argument="test", source=True
    )
    difficult: Treatment = option("unknown", "Reading of difficult objects.")
    download: bool = option(False, "Download missing archives.")

    def arguments(self) -> dict[str, Any]:
        """As in the base class; for the reader, a missing validation set is ``None``."""
        found = super().arguments()
        return {**found, "val": None} if self.val_set == "no" else found


@dataclass(frozen=True, kw_only=True)
class COCO(FileOptions):
    """MS COCO, or another data set in its format."""

    name: Literal["coco"] = "coco"
    year: str | None = option(None, "Year of the default files; none is 2017.", source=True)
    train_set: str | None = option(
        None, "Annotation file to train on, below root.", argument="train", source=True
    )
    val_set: str | None = option(
        None, "Annotation file for validation.", argument="val", source=True
    )
    test_set: str | None = option(None, "Annotation file to test on.", argument="test", source=True)
    images: str | None = option(None, "Folder below root that image paths are relative to.")
    crowd: Treatment = option("positive", "Reading of a label with crowds only.")
    drop_empty: bool = option(False, "Skip images without any instance.")
    download: bool = option(False, "Download missing archives.")


@dataclass(frozen=True, kw_only=True)
class JSON(FileOptions):
    """Lists of images in JSON, in the format of mmpretrain."""

    name: Literal["json"] = "json"
    train_set: str | None = option(
        None, "List to train on, below root; none is labels.json.", argument="file", source=True
    )
    val_set: str | None = option(None, "List for validation.", argument="val_file", source=True)
    test_set: str | None = option(None, "List to test on.", argument="test_file", source=True)
    classes: Path | None = option(
        None, "File with one label name per line, in label order.", moves=True
    )
    images: str | None = option(None, "Folder below root that image paths are relative to.")
    group_column: str | None = option(
        None, "Key of the image's group. Splits made here keep groups together."
    )
    minus_one: Literal["absent", "unknown"] | None = option(
        None,
        "With one number per label: meaning of -1. None is unknown if absence is written as 0; "
        "otherwise the option is required.",
    )


@dataclass(frozen=True, kw_only=True)
class Python(DataOptions):
    """A data set passed to gatlabel.training.train in Python."""

    name: Literal["python"] = "python"


#: The scenes, and the readers in ``gatlabel/data/readers.py``; options that are not defined above
#: are derived from the readers' keyword arguments.
DATA: dict[str, type[DataOptions]] = {
    "scenes": Scenes,
    **derived(
        "gatlabel.data.readers",
        "READERS",
        {"csv": CSV, "voc": VOC, "coco": COCO, "json": JSON},
        {},
        FileOptions,
        ignored=("seed", "evaluate_only"),
    ),
    "python": Python,
}


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Options):
    """Preprocessing and augmentation of images before the encoder."""

    size: int | None = option(
        None,
        "Side of the images in pixels. None is the encoder's preferred size, or for scenes the "
        "size at which they are drawn.",
        least=8, most=8192, short="image-size",
    )  # fmt: skip
    resize: Literal["squash", "pad", "crop"] = option("squash", "Resizing of images to a square.")
    augmentation: (
        Literal["none", "light", "standard", "turned", "strong", "mlgcn", "asl"] | None
    ) = option(
        "standard",
        "Random augmentation of training images; null leaves the choice to the recipe auto.",
        training=True,
    )
    cache: Literal["auto", "memory", "disk", "none"] = option(
        "auto",
        "Cache of decoded, resized images: in memory, on disk (for this run and later ones), "
        "none, or auto (in memory, up to 2 GB).",
        resume=True, benchmark=False,
    )  # fmt: skip
    cache_folder: Path = option(
        Path("runs") / "cache",
        "Folder of the disk cache, and of cached encoder features.",
        resume=True,
    )

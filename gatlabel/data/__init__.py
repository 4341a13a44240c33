"""Pictures and targets."""

from gatlabel.data.csv_reader import read_csv
from gatlabel.data.dataset import ImageDataset
from gatlabel.data.file_images import FileImages
from gatlabel.data.loader import loader
from gatlabel.data.source import DataSplits, ImageSource
from gatlabel.data.splits import split
from gatlabel.data.transforms import (
    AUGMENTATIONS,
    Augmentation,
    evaluation_transform,
    training_transform,
)

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "DataSplits",
    "FileImages",
    "ImageDataset",
    "ImageSource",
    "evaluation_transform",
    "loader",
    "read_csv",
    "split",
    "training_transform",
]

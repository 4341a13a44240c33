"""Labelled images: from annotation files to batches.

A **source** (:class:`ImageSource`) provides labels, names and targets of images without decoding
them, and decodes single images on demand. **Readers** create sources from annotation files, one
function per format, listed in :data:`READERS`. They return :class:`DataSplits`: train, val and
perhaps test, with notes on all decisions made in reading. Data without splits are split here,
stratified by label. :func:`check_splits` finds files that cannot be decoded.

Targets (:class:`~gatlabel.targets.Targets`) are 1 present, 0 absent, in between soft, -1 unknown.
Images are uint8 ``(3, h, w)``, RGB, until they are normalised on the device.

A **transform** resizes images for the model. An :class:`ImageDataset` joins source and transform,
and :func:`loader` makes batches of it. Order and augmentation depend on seed and epoch only::

    >>> from gatlabel.data import ImageDataset, loader, read_csv, training_transform
    >>> splits = read_csv("photos")  # photos/labels.csv: image,split,labels
    >>> len(splits.train), splits.labels
    (4, LabelSet(3: cat, dog, sofa))
    >>> dataset = ImageDataset(splits.train, training_transform(size=32))
    >>> batch = next(iter(loader(dataset, batch_size=2, train=True)))
    >>> batch.inputs["image"].shape, batch.targets["labels"].shape
    (torch.Size([2, 3, 32, 32]), torch.Size([2, 3]))

To use images from elsewhere (a database, a renderer), subclass :class:`ImageSource` and put the
sources into :class:`DataSplits`, or pass one source to :func:`split`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatlabel.lazy import lazy_names

if TYPE_CHECKING:
    from gatlabel.data.annotations import DifficultAs
    from gatlabel.data.cache import ImageCache
    from gatlabel.data.checking import check_images, check_splits
    from gatlabel.data.coco_reader import read_coco
    from gatlabel.data.csv_reader import read_csv
    from gatlabel.data.dataset import ImageDataset
    from gatlabel.data.decoding import decode_image
    from gatlabel.data.file_images import FileImages
    from gatlabel.data.fold_split import folds
    from gatlabel.data.image_files import MAX_PIXELS
    from gatlabel.data.joined import JoinedImages, unlabelled_images
    from gatlabel.data.json_reader import read_json
    from gatlabel.data.loading import ImageLoader, SeededSampler, loader
    from gatlabel.data.readers import READERS
    from gatlabel.data.source import DataSplits, ImageSource
    from gatlabel.data.splits import complete_splits, split
    from gatlabel.data.stratification import stratify
    from gatlabel.data.transforms import (
        AUGMENTATIONS,
        Augmentation,
        training_transform,
    )
    from gatlabel.data.voc_reader import VOC_LABELS, read_voc
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "AUGMENTATIONS",
    "MAX_PIXELS",
    "READERS",
    "VOC_LABELS",
    "Augmentation",
    "DataSplits",
    "DifficultAs",
    "FileImages",
    "ImageCache",
    "ImageDataset",
    "ImageLoader",
    "ImageSource",
    "JoinedImages",
    "SeededSampler",
    "check_images",
    "check_splits",
    "complete_splits",
    "decode_image",
    "folds",
    "loader",
    "read_coco",
    "read_csv",
    "read_json",
    "read_voc",
    "split",
    "stratify",
    "training_transform",
    "unlabelled_images",
]
